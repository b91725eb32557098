"""A small client of the Kubernetes API: discovery, server-side apply, reads and deletes, with errors in words."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from urllib.request import getproxies, proxy_bypass

import httpx

from toolchain.kubernetes_provider.kinds import Address
from toolchain.kubernetes_provider.kubeconfig import Connection, KubeconfigError

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
_TRIES = 6


class ApiUnreachable(Exception):
    """The API server did not answer; the text says which and why."""


class NoSuchKind(Exception):
    """The API server does not know a kind, or not in that version."""


class ApiError(Exception):
    """The API server refused."""

    def __init__(self, status: int, answer: Mapping[str, Any], text: str = "") -> None:
        self.status = status
        self.reason = str(answer.get("reason") or "")
        self.details: Mapping[str, Any] = answer.get("details") or {}
        self.message = str(answer.get("message") or text or f"HTTP {status}").strip()
        super().__init__(self.message)

    @property
    def is_gone(self) -> bool:
        """Whether the object is not there."""
        return self.status == 404

    @property
    def is_without_namespace(self) -> bool:
        """Whether the namespace is what is not there."""
        return self.status == 404 and self.details.get("kind") == "namespaces"

    @property
    def conflicts(self) -> list[tuple[str, str]]:
        """Field and its manager, for each field that another manager owns."""
        causes = self.details.get("causes") or []
        return [
            (str(cause.get("field", "")).lstrip("."), _manager(str(cause.get("message", ""))))
            for cause in causes
            if cause.get("reason") == "FieldManagerConflict"
        ]


def _manager(message: str) -> str:
    match = re.search(r'conflicts? with "((?:[^"\\]|\\.)*)"', message)
    return match[1] if match else message


@dataclass(frozen=True)
class Kind:
    """How the API server serves a kind."""

    prefix: str
    plural: str
    is_namespaced: bool

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """Path of a collection, an object, or a part of one."""
        parts = [self.prefix]
        if self.is_namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts += [part for part in (self.plural, quote(name, safe=""), subresource) if part]
        return "/".join(parts)


class Api:
    """One API server. Threads share it."""

    def __init__(self, connection: Connection, warn: Callable[[str], None] = lambda _text: None) -> None:
        self.connection = connection
        self._warn = warn
        self._kinds: dict[str, dict[str, Kind]] = {}
        self._lock = threading.Lock()
        self._client = httpx.Client(
            base_url=connection.server,
            verify=connection.tls,
            proxy=connection.proxy or _ambient_proxy(connection.server),
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
            # Else the headers of ~/.netrc would go to the cluster.
            trust_env=False,
        )

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        tries: int = _TRIES,
    ) -> dict[str, Any]:
        """One request and its JSON answer. Raises `ApiError` or `ApiUnreachable`.

        A server that restarts or asks for patience is asked again, for a few seconds; so is one that dropped the connection: nothing sent
        with more than one try does harm when sent twice.
        """
        for number in range(tries):
            is_last = number == tries - 1
            try:
                answer = self._send(method, path, params, body, content_type)
                if answer.status_code == 401 and self.connection.renew():
                    answer = self._send(method, path, params, body, content_type)
            except KubeconfigError as error:
                raise ApiUnreachable(str(error)) from None
            except httpx.HTTPError as error:
                if is_last or isinstance(error, httpx.ConnectTimeout):
                    raise ApiUnreachable(f"{self.connection.server}: {_plainly(error)}") from None
            else:
                if answer.status_code not in (429, 500, 502, 503, 504) or is_last:
                    return self._checked(answer)
            time.sleep(0.25 * 2**number)
        raise ApiUnreachable(self.connection.server)

    def _send(self, method: str, path: str, params: Mapping[str, str] | None, body: Any, content_type: str) -> httpx.Response:
        headers = {**self.connection.headers(), "accept": "application/json", "user-agent": "mldelivery-kubernetes-provider"}
        if body is not None:
            headers["content-type"] = content_type
        extensions = {"sni_hostname": self.connection.server_name} if self.connection.server_name else {}
        return self._client.request(
            method,
            path,
            params=dict(params or {}),
            content=None if body is None else json.dumps(body).encode(),
            headers=headers,
            extensions=extensions,
        )

    def _checked(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            found = answer.json()
        except ValueError:
            found = {}
        found = found if isinstance(found, dict) else {}
        if answer.status_code >= 400:
            raise ApiError(answer.status_code, found, answer.text[:500])
        for warning in answer.headers.get_list("warning"):
            match = re.match(r'299 \S+ "(.*)"', warning)
            if match:
                self._warn(match[1].replace('\\"', '"'))
        return found

    def text(self, path: str, params: Mapping[str, str]) -> str:
        """An answer that is no JSON, such as a log; "" when it can't be had."""
        try:
            answer = self._send("GET", path, params, None, "")
        except (httpx.HTTPError, KubeconfigError):
            return ""
        return answer.text if answer.status_code == 200 else ""

    def version(self) -> str:
        """The server's version, asked once without patience: who is not there now is unreachable."""
        return str(self.ask("GET", "/version", tries=1).get("gitVersion", ""))

    def kind(self, api_version: str, kind: str) -> Kind:
        """How a kind is served; raises `NoSuchKind`."""
        api_version = api_version.removeprefix("core/")
        with self._lock:
            known = self._kinds.get(api_version, {})
        if kind not in known:
            known = self._discover(api_version)
            with self._lock:
                self._kinds[api_version] = known
        if kind not in known:
            raise NoSuchKind(f"no kind {kind} in {api_version}")
        return known[kind]

    def _discover(self, api_version: str) -> dict[str, Kind]:
        prefix = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        try:
            found = self.ask("GET", prefix)
        except ApiError as error:
            if error.status == 404:
                raise NoSuchKind(f"no API {api_version}") from None
            raise
        return {
            str(entry["kind"]): Kind(prefix, str(entry["name"]), bool(entry.get("namespaced")))
            for entry in found.get("resources", [])
            if "/" not in entry["name"]
        }

    def forget_kinds(self) -> None:
        """After a CustomResourceDefinition came or went."""
        with self._lock:
            self._kinds.clear()

    def get(self, address: Address) -> dict[str, Any]:
        """An object as it is now."""
        return self.ask("GET", self._path(address))

    def list(self, api_version: str, kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        """Objects of a kind in a namespace."""
        path = self.kind(api_version, kind).path(namespace)
        return list(self.ask("GET", path, params={"labelSelector": selector} if selector else {}).get("items") or [])

    def apply(self, manifest: dict[str, Any], *, manager: str, is_forced: bool = False, is_dry: bool = False) -> dict[str, Any]:
        """Server-side apply: make the object, or change what this manager owns of it."""
        params = {"fieldManager": manager, "force": str(is_forced).lower(), "fieldValidation": "Warn", **_dry(is_dry)}
        return self.ask("PATCH", self._path(Address.of(manifest)), params=params, body=manifest, content_type=APPLY)

    def create(self, manifest: dict[str, Any], *, manager: str, is_dry: bool = False) -> dict[str, Any]:
        """Make an object that must not be there yet."""
        address = Address.of(manifest)
        path = self.kind(address.api_version, address.kind).path(address.namespace)
        return self.ask("POST", path, params={"fieldManager": manager, "fieldValidation": "Warn", **_dry(is_dry)}, body=manifest, tries=1)

    def replace(self, manifest: dict[str, Any], *, manager: str, is_dry: bool = False) -> dict[str, Any]:
        """Put an object in the place of the one with its resourceVersion."""
        params = {"fieldManager": manager, "fieldValidation": "Warn", **_dry(is_dry)}
        return self.ask("PUT", self._path(Address.of(manifest)), params=params, body=manifest)

    def merge(self, address: Address, patch: dict[str, Any], *, manager: str, is_dry: bool = False) -> dict[str, Any]:
        """Change an object by a JSON merge patch."""
        params = {"fieldManager": manager, "fieldValidation": "Warn", **_dry(is_dry)}
        return self.ask("PATCH", self._path(address), params=params, body=patch, content_type=MERGE)

    def delete(self, address: Address, *, propagation: str, uid: str | None = None) -> None:
        """Ask for the end of an object; with a uid only of that very one."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        self.ask("DELETE", self._path(address), body=options)

    def log(self, namespace: str, pod: str, container: str, lines: int = 10, is_previous: bool = False) -> str:
        """The last lines that a container wrote; "" when they can't be had."""
        path = Kind("/api/v1", "pods", True).path(namespace, pod, "log")
        return self.text(path, {"container": container, "tailLines": str(lines), "previous": str(is_previous).lower()})

    def _path(self, address: Address) -> str:
        return self.kind(address.api_version, address.kind).path(address.namespace, address.name)


def _dry(is_dry: bool) -> dict[str, str]:
    return {"dryRun": "All"} if is_dry else {}


def _ambient_proxy(server: str) -> str | None:
    """The environment's proxy for a server, as other clients of the cluster take it; never for this machine itself."""
    url = httpx.URL(server)
    if url.host in ("localhost", "::1") or url.host.startswith("127.") or proxy_bypass(url.host):
        return None
    return getproxies().get(url.scheme)


def _plainly(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:.0f} s"
    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {ANSWER_SECONDS:.0f} s"
    text = re.sub(r"\[Errno -?\d+\] |\[SSL: \w+\] ", "", str(error)).strip()
    text = re.sub(r" ?\(_ssl\.c:\d+\)", "", text)
    return text[:1].lower() + text[1:] if text else type(error).__name__
