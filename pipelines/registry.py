"""An image registry, spoken to by the OCI distribution protocol (v1.1), with the credentials that ``docker login`` or its helpers keep.

A registry on AWS takes the shell's login to AWS, where nothing else is kept for it.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import os
import re
import ssl
import subprocess
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from infra.errors import PlatformError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TIMEOUT_SECONDS = 60
ECR = re.compile(r"\d{12}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?")
"""A registry on AWS, by its host."""


@dataclass
class Registry:
    """One repository of a registry, for the length of a ``with``.

    Its methods raise PlatformError that names the registry, what it said and the next act.
    """

    host: str
    repository: str
    _connections: dict[str, http.client.HTTPConnection] = field(default_factory=dict, repr=False)
    _authorization: str | None = field(default=None, repr=False)

    @classmethod
    def at(cls, registry: str, name: str) -> Registry:
        """The repository of an image below ``registry``, such as ``registry.example.com/models``."""
        host, _, path = registry.partition("/")
        return cls(host, f"{path}/{name}" if path else name)

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections.values():
            connection.close()

    @property
    def is_plain(self) -> bool:
        """Whether it is spoken to without TLS, and then without credentials.

        Only a loopback address or one of 10.0.0.0/8, written as a number: no public authority certifies these, and no name that somebody
        else may answer to leads there.
        """
        try:
            address = ipaddress.ip_address(self.host.rsplit(":", 1)[0].strip("[]"))
        except ValueError:
            return False
        return address.is_loopback or (address.version == 4 and address in ipaddress.ip_network("10.0.0.0/8"))

    def has_manifest(self, digest: str) -> bool:
        """Whether it has an image of this digest already."""
        return self._has(f"/v2/{self.repository}/manifests/{digest}")

    def push_blob(self, digest: str, path: Path) -> None:
        """Send a blob unless it is there. Raises FileNotFoundError when ``path`` is not."""
        if self._has(f"/v2/{self.repository}/blobs/{digest}"):
            return
        size = path.stat().st_size
        status, headers, said = self._ask("POST", f"/v2/{self.repository}/blobs/uploads/", headers={"Content-Length": "0"})
        self._expect(202, status, said, "take an upload")
        place = urllib.parse.urljoin(f"{self._scheme}://{self.host}/", headers.get("location", ""))
        place += ("&" if "?" in place else "?") + urllib.parse.urlencode({"digest": digest})
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        status, _, said = self._ask("PUT", place, headers=headers, path=path)
        self._expect(201, status, said, f"keep {digest[:19]} ({size / 1e6:.0f} MB)")

    def push_manifest(self, digest: str, manifest: bytes, *, tag: str) -> None:
        """Send an image's manifest, whose blobs are there, and let a tag point to it."""
        for reference in (digest, tag):
            headers = {"Content-Type": MANIFEST, "Content-Length": str(len(manifest))}
            status, _, said = self._ask("PUT", f"/v2/{self.repository}/manifests/{reference}", headers=headers, body=manifest)
            self._expect(201, status, said, f"keep the manifest as {reference[:19]}")

    @property
    def _scheme(self) -> str:
        return "http" if self.is_plain else "https"

    def _has(self, path: str) -> bool:
        status, _, said = self._ask("HEAD", path, headers={"Accept": MANIFEST})
        if status not in (200, 404):
            self._expect(200, status, said, "say what it has")
        return status == 200

    def _ask(
        self, method: str, place: str, *, headers: dict[str, str], body: bytes = b"", path: Path | None = None
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of an answer; once more with a token where the registry asks for one."""
        status, answered, said = self._once(method, place, headers=headers, body=body, path=path)
        if status == 401 and not self.is_plain and self._authorize(answered.get("www-authenticate", "")):
            status, answered, said = self._once(method, place, headers=headers, body=body, path=path)
        return status, answered, said

    def _once(self, method: str, place: str, *, headers: dict[str, str], body: bytes, path: Path | None) -> tuple[int, dict[str, str], str]:
        url = urllib.parse.urlsplit(urllib.parse.urljoin(f"{self._scheme}://{self.host}/", place))
        if url.scheme != self._scheme:
            self._refuse(f"it sends the upload to {url.scheme}://{url.netloc}, which is not as safe as itself", "correct the registry")
        own = {"Authorization": self._authorization} if self._authorization and url.netloc == self.host else {}
        target = urllib.parse.urlunsplit(("", "", url.path, url.query, ""))
        if url.netloc not in self._connections:
            self._connections[url.netloc] = _connection(url.scheme, url.netloc)
        connection = self._connections[url.netloc]
        try:
            response = _sent(connection, method, target, headers={**headers, **own}, body=body, path=path)
            said = response.read(10_000).decode(errors="replace")
            response.close()
        except FileNotFoundError:
            raise
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
            self._refuse(
                f"{method} {url.path}: {reason}", "start it (a development cluster's comes with make cluster), or correct its address"
            )
        if response.will_close:
            connection.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, said

    def _expect(self, wanted: int, status: int, said: str, what: str) -> None:
        if status == wanted:
            return
        act = "see its log, then run the same command again"
        if status in (401, 403):
            how = "log in to AWS (aws sso login, AWS_PROFILE)" if ECR.fullmatch(self.host) else f"docker login {self.host}"
            act = f"{how}, with an account that may write {self.repository}"
        elif "no space left" in said:
            act = "free some space where the registry keeps its images, then run the same command again"
        self._refuse(f"it did not {what}: {status} {' '.join(said.split())[:200]}", act)

    def _refuse(self, got: str, act: str) -> None:
        raise PlatformError(
            f"the image registry refuses {self.repository}",
            where=f"{self._scheme}://{self.host}",
            got=got,
            allowed="a registry that answers and lets images in (kubernetes.registry of the stack's file)",
            act=act,
        )

    def _authorize(self, challenge: str) -> bool:
        """Take what the registry's challenge asks for: the account itself, or a token for it. False when there is nothing new to try."""
        if self._authorization is not None:
            return False
        kind, _, rest = challenge.partition(" ")
        account = _account(self.host)
        if kind.lower() == "basic" and account:
            self._authorization = f"Basic {account}"
            return True
        fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = urllib.parse.urlsplit(fields.get("realm", ""))
        if kind.lower() != "bearer" or realm.scheme != "https":
            return False
        query = {"service": fields.get("service", ""), "scope": f"repository:{self.repository}:pull,push"}
        connection = _connection("https", realm.netloc)
        try:
            connection.request(
                "GET", f"{realm.path}?{urllib.parse.urlencode(query)}", headers={"Authorization": f"Basic {account}"} if account else {}
            )
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status != 200:
                return False
            self._authorization = f"Bearer {answer.get('token') or answer['access_token']}"
        except (OSError, http.client.HTTPException, ValueError, KeyError, AttributeError):
            return False
        finally:
            connection.close()
        return True


class _Blocks:
    """A file that is sent in large blocks: http.client's own are 8 KiB."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, _size: int = -1) -> bytes:
        return self._file.read(1 << 20)


def _sent(
    connection: http.client.HTTPConnection, method: str, target: str, *, headers: dict[str, str], body: bytes, path: Path | None
) -> http.client.HTTPResponse:
    """Send a request and get the head of its answer, also the answer of a registry that stopped to listen before all was sent."""
    try:
        if path is None:
            connection.request(method, target, body=body or None, headers=headers)
        else:
            with path.open("rb") as file:
                connection.request(method, target, body=_Blocks(file), headers=headers)
    except (BrokenPipeError, ConnectionResetError):
        early = http.client.HTTPResponse(connection.sock, method=method)
        early.begin()
        early.will_close = True
        return early
    return connection.getresponse()


def _connection(scheme: str, host: str) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, timeout=TIMEOUT_SECONDS)
    context = ssl.create_default_context()
    proxy = urllib.request.getproxies().get("https")
    if proxy and not urllib.request.proxy_bypass(host):
        connection = http.client.HTTPSConnection(urllib.parse.urlsplit(proxy).netloc, timeout=TIMEOUT_SECONDS, context=context)
        connection.set_tunnel(host)
        return connection
    return http.client.HTTPSConnection(host, timeout=TIMEOUT_SECONDS, context=context)


def _account(host: str) -> str | None:
    """The account of a registry, as base64 of ``user:password``: what ``docker login`` keeps, else, on AWS, the shell's login to AWS."""
    return _kept(host) or _of_aws(host)


def _of_aws(host: str) -> str | None:
    """ECR's account for whoever is logged in to AWS; it lasts for twelve hours, and is kept nowhere."""
    place = ECR.fullmatch(host)
    if place is None:
        return None
    import boto3
    import botocore.exceptions

    try:
        ecr = boto3.Session(region_name=place["region"]).client("ecr")
        return str(ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"])
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        return None


def _kept(host: str) -> str | None:
    """What ``docker login`` keeps for a registry; a helper is asked where one keeps it."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        config = json.loads((folder / "config.json").read_bytes())
        helper = config.get("credHelpers", {}).get(host) or config.get("credsStore")
        if helper and re.fullmatch(r"[\w.-]+", helper):
            asked = subprocess.run(
                [f"docker-credential-{helper}", "get"], input=host.encode(), capture_output=True, timeout=TIMEOUT_SECONDS, check=False
            )
            if asked.returncode == 0:
                found = json.loads(asked.stdout)
                return base64.b64encode(f"{found['Username']}:{found['Secret']}".encode()).decode()
        kept = config.get("auths", {}).get(host, {}).get("auth")
        return str(kept) if kept else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, subprocess.TimeoutExpired):
        return None
