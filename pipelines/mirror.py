"""MLflow's alias ``champion-<stack>`` follows what a stack serves: written after a rollout, for people who look there, and never read.

MLflow is asked by its REST API, as its client takes seconds to import, and only where something changed since the alias was written last.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.config import StackConfig, file_name
from infra.errors import DeliveryError, PlatformError
from infra.release import file_digest, load, record_path
from infra.tracking import client_environment, is_server
from pipelines.store import write_whole

TIMEOUT_SECONDS = 3.0
BUDGET_SECONDS = 8.0
"""For all models together: what a slow MLflow has not taken by then, the next update brings."""

Wanted = dict[str, str | int] | None
"""What an alias shall follow: the number of a release, and the digest of its record's file. None: nothing."""


def alias(stack: str) -> str:
    """The alias by which MLflow calls the version that a stack serves."""
    return f"champion-{stack}"


def mirror(root: Path, stack: str, config: StackConfig) -> None:
    """Point each model's alias at the version that its champion's record names. Never raises: what MLflow did not take is said in a line.

    Where a stack tracks in its store alone, without a server, there is nobody to tell.
    """
    url, account = _without_account(_url(config))
    if not is_server(url):
        return
    noted = root / ".local" / "mirrored" / f"{stack}.json"
    try:
        wanted = {name: _wanted(config.store(root), name, model.champion) for name, model in config.models.items()}
        done = _done(noted, url)
        behind = {name: wanted.get(name) for name in sorted({*wanted, *done}) if name not in done or done[name] != wanted.get(name)}
        if not behind:
            return
        _bring(_server(root, stack, config, url, account), config.store(root), stack, behind, done, noted)
    except (DeliveryError, OSError, KeyboardInterrupt) as error:
        # What serves is settled by now: Ctrl-C ends the waiting for MLflow, and takes no promotion back.
        reason = error.what if isinstance(error, DeliveryError) else str(error) or "interrupted"
        print(f"MLflow's alias {alias(stack)} is not up to date yet, the next `make up` does it: {reason}", flush=True)


@dataclass
class _Server:
    """MLflow's REST API at ``url``. Raises PlatformError for every answer that is none, but for what is not there."""

    url: str
    headers: dict[str, str]
    authorities: str | None
    deadline: float = field(default_factory=lambda: time.monotonic() + BUDGET_SECONDS)

    def version(self, model: str, version: int) -> dict[str, Any] | None:
        """A version of a registered model; None where there is none."""
        found = self._ask("GET", "model-versions/get", {"name": model, "version": str(version)})
        return None if found is None else dict(found["model_version"])

    def set_alias(self, model: str, name: str, version: int) -> None:
        self._ask("POST", "registered-models/alias", {"name": model, "alias": name, "version": str(version)})

    def remove_alias(self, model: str, name: str) -> None:
        self._ask("DELETE", "registered-models/alias", {"name": model, "alias": name})

    def _ask(self, method: str, path: str, values: dict[str, str]) -> dict[str, Any] | None:
        query, body = ("?" + urllib.parse.urlencode(values), None) if method == "GET" else ("", json.dumps(values).encode())
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise PlatformError(f"{self.url} is slow")
        url = f"{self.url.rstrip('/')}/api/2.0/mlflow/{path}{query}"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json", **self.headers}, method=method)
        try:
            with self._opener().open(request, timeout=min(TIMEOUT_SECONDS, left)) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                said = _said(error)
            if error.code == 404 and said.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise PlatformError(f"{self.url} answers {error.code} {said.get('message', '')}".rstrip()[:300]) from None
        except (OSError, http.client.HTTPException, ValueError, TypeError) as error:
            raise PlatformError(f"{self.url} does not answer: {getattr(error, 'reason', error)}") from None

    def _opener(self) -> urllib.request.OpenerDirector:
        is_here = urllib.parse.urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect(), *([urllib.request.ProxyHandler({})] if is_here else [])]
        if self.url.startswith("https://"):
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.authorities)))
        return urllib.request.build_opener(*handlers)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An account is for the server that it was given for, not for where that one points."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _bring(server: _Server, store: Path, stack: str, behind: dict[str, Wanted], done: dict[str, Wanted], noted: Path) -> None:
    """Write the aliases that are behind, and note each that MLflow took."""
    try:
        for name, wanted in behind.items():
            _follow(server, store, name, alias(stack), wanted)
            done[name] = wanted
    finally:
        write_whole(noted, json.dumps({"server": server.url, "models": done}, indent=1).encode() + b"\n")


def _follow(server: _Server, store: Path, model: str, name: str, wanted: Wanted) -> None:
    record = load(store, model, int(wanted["release"])) if wanted else None
    if record is None or record.tracking is None:
        server.remove_alias(model, name)
        return
    found = server.version(model, record.tracking.version)
    if found is None or found.get("run_id") != record.tracking.run:
        # Here that number is nobody's, or another release's; and what the alias said before is not so any more.
        server.remove_alias(model, name)
        print(f"{model}: release {record.release} is registered elsewhere, so {server.url} has no {name}", flush=True)
    elif name not in (found.get("aliases") or ()):
        server.set_alias(model, name, record.tracking.version)
        print(f"{model}: MLflow's {name} is version {record.tracking.version}", flush=True)


def _wanted(store: Path, model: str, champion: int | None) -> Wanted:
    return None if champion is None else {"release": champion, "record": file_digest(record_path(store, model, champion))}


def _done(noted: Path, url: str) -> dict[str, Wanted]:
    """What that server took last, by model; nothing where nobody knows."""
    try:
        found = json.loads(noted.read_bytes())
        return dict(found["models"]) if found["server"] == url else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _url(config: StackConfig) -> str:
    """Where a stack's releases are registered, as the steps of a release find it; empty where no server is."""
    named = os.environ.get("MLFLOW_TRACKING_URI")
    if named:
        return named
    if config.kubernetes is not None:
        return config.kubernetes.tracking.url if config.kubernetes.tracking else ""
    # The local server shows the same database that the steps write to.
    return f"http://127.0.0.1:{config.ports.mlflow}"


def _without_account(url: str) -> tuple[str, str]:
    """An address without the account in it, and the account, which MLflow's own client takes from there; empty where there is none."""
    parts = urllib.parse.urlsplit(url)
    account, found, place = parts.netloc.rpartition("@")
    return (parts._replace(netloc=place).geturl(), urllib.parse.unquote(account)) if found and is_server(url) else (url, "")


def _server(root: Path, stack: str, config: StackConfig, url: str, account: str) -> _Server:
    settings = dict(os.environ)
    if config.kubernetes is not None and not settings.get("MLFLOW_TRACKING_URI"):
        settings |= client_environment(config.kubernetes, root, file=file_name(stack))
    headers = {}
    if not account and settings.get("MLFLOW_TRACKING_USERNAME"):
        account = f"{settings['MLFLOW_TRACKING_USERNAME']}:{settings.get('MLFLOW_TRACKING_PASSWORD', '')}"
    if account:
        headers["Authorization"] = "Basic " + base64.b64encode(account.encode()).decode()
    elif settings.get("MLFLOW_TRACKING_TOKEN"):
        headers["Authorization"] = f"Bearer {settings['MLFLOW_TRACKING_TOKEN']}"
    return _Server(url, headers, settings.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None)


def _said(error: urllib.error.HTTPError) -> dict[str, Any]:
    try:
        found = json.load(error)
        return found if isinstance(found, dict) else {}
    except (OSError, http.client.HTTPException, ValueError):
        return {}
