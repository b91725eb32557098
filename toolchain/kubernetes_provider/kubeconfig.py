"""Which API server to talk to, and as whom: kubeconfig files or their content, the context chosen in them, or a pod's own account."""

from __future__ import annotations

import base64
import binascii
import json
import os
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
EXEC_SECONDS = 60


class KubeconfigError(Exception):
    """A kubeconfig that can't be used; the text says which and why."""


@dataclass(frozen=True)
class Connection:
    """One API server and how to talk to it. ``headers`` is called for each request; ``renew`` after a 401."""

    server: str
    namespace: str
    context: str
    tls: ssl.SSLContext | bool
    headers: Callable[[], dict[str, str]]
    renew: Callable[[], bool] = field(default=lambda: False)
    server_name: str | None = None
    proxy: str | None = None


def read(given: str | None, environment: Mapping[str, str]) -> dict[str, Any]:
    """The merged configuration: of a path or a content if one is given, else of ``KUBECONFIG`` or ``~/.kube/config``; may be empty."""
    if given:
        path = _as_path(given)
        if path is not None:
            return _of_file(path)
        if "\n" not in given.strip() and not given.lstrip().startswith("{"):
            raise KubeconfigError(f"there is no kubeconfig file {given.strip()!r}, and that text is no kubeconfig either")
        return _parsed(given, "the kubeconfig given to the provider", Path.cwd())
    listed = environment.get("KUBECONFIG", "")
    paths = [Path(part).expanduser() for part in listed.split(os.pathsep) if part] or [Path("~/.kube/config").expanduser()]
    merged: dict[str, Any] = {}
    for path in paths:
        if path.is_file():
            _merge(merged, _of_file(path))
    return merged


def _as_path(given: str) -> Path | None:
    if "\n" in given or len(given) > 4096:
        return None
    path = Path(given.strip()).expanduser()
    try:
        return path if path.is_file() else None
    except OSError:
        return None


def _of_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"{path} can't be read: {getattr(error, 'strerror', error)}") from None
    return _parsed(text, str(path), path.parent)


def _parsed(text: str, what: str, folder: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        # The error's own text quotes lines, which may hold keys.
        mark = getattr(error, "problem_mark", None)
        raise KubeconfigError(f"{what} is not valid YAML{f', line {mark.line + 1}' if mark else ''}") from None
    if not isinstance(found, dict) or not isinstance(found.get("clusters") or [], list):
        raise KubeconfigError(f"{what} is no kubeconfig: it needs clusters, users and contexts")
    for name, single in (("clusters", "cluster"), ("users", "user")):
        for entry in found.get(name) or []:
            _absolute(entry.get(single) or {}, folder)
    return found


def _absolute(entry: dict[str, Any], folder: Path) -> None:
    """Paths in a kubeconfig are relative to its own folder."""
    for key in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
        if entry.get(key):
            entry[key] = str(folder / Path(entry[key]).expanduser())


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Of entries of the same name the first file's counts, as kubectl merges."""
    for key, value in more.items():
        if isinstance(value, list):
            have = into.setdefault(key, [])
            have += [entry for entry in value if entry.get("name") not in {known.get("name") for known in have}]
        elif not into.get(key):
            into[key] = value


def choose(config: Mapping[str, Any], context: str | None = None, cluster: str | None = None) -> dict[str, Any]:
    """The context, cluster and user that count, as ``{"context": name, "namespace": …, "cluster": {…}, "user": {…}}``."""
    contexts = _named(config, "contexts", "context")
    name = context or config.get("current-context") or ""
    if not name and not cluster:
        raise KubeconfigError(f"no context is chosen: give the provider one; the kubeconfig has {_listed(contexts)}")
    if name and name not in contexts:
        raise KubeconfigError(f"context {name!r} does not exist; the kubeconfig has {_listed(contexts)}")
    chosen = contexts.get(name) or {}
    clusters, users = _named(config, "clusters", "cluster"), _named(config, "users", "user")
    cluster = cluster or chosen.get("cluster") or ""
    if cluster not in clusters:
        raise KubeconfigError(f"cluster {cluster!r} does not exist; the kubeconfig has {_listed(clusters)}")
    user = chosen.get("user") or ""
    if user and user not in users:
        raise KubeconfigError(f"user {user!r} of context {name!r} does not exist; the kubeconfig has {_listed(users)}")
    return {
        "context": name,
        "namespace": chosen.get("namespace") or "",
        "cluster": clusters[cluster] or {},
        "user": users.get(user) or {},
    }


def _named(config: Mapping[str, Any], plural: str, single: str) -> dict[str, Any]:
    return {str(entry.get("name")): entry.get(single) or {} for entry in config.get(plural) or [] if isinstance(entry, dict)}


def _listed(entries: Mapping[str, Any]) -> str:
    return ", ".join(sorted(entries)) or "none"


def connect(given: str | None, environment: Mapping[str, str], context: str | None = None, cluster: str | None = None) -> Connection:
    """The connection that a provider's settings ask for; nothing is sent yet. Raises `KubeconfigError`."""
    config = read(given, environment)
    if not config.get("clusters"):
        inside = _in_cluster(environment)
        if inside is not None and not given:
            return inside
        raise KubeconfigError(
            "no kubeconfig was found: set KUBECONFIG, or ~/.kube/config, or the provider's kubeconfig (a path or its content)"
        )
    chosen = choose(config, context, cluster)
    server = str(chosen["cluster"].get("server") or "")
    if not server.startswith(("https://", "http://")):
        raise KubeconfigError(f"the cluster of context {chosen['context']!r} has no server address")
    credentials = _Credentials(chosen["user"], server)
    return Connection(
        server=server.rstrip("/"),
        namespace=chosen["namespace"],
        context=chosen["context"],
        tls=_tls(chosen["cluster"], credentials) if server.startswith("https://") else False,
        headers=credentials.headers,
        renew=credentials.renew,
        server_name=chosen["cluster"].get("tls-server-name"),
        proxy=chosen["cluster"].get("proxy-url"),
    )


def active_cluster(given: str | None, environment: Mapping[str, str], context: str | None, cluster: str | None) -> tuple[Any, ...] | None:
    """What identifies the cluster that some settings mean (server and authority), or None when they mean none."""
    try:
        chosen = choose(read(given, environment), context, cluster)["cluster"]
    except KubeconfigError:
        return None
    return (chosen.get("server"), chosen.get("certificate-authority-data"), chosen.get("certificate-authority"))


def _in_cluster(environment: Mapping[str, str]) -> Connection | None:
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    token = IN_CLUSTER / "token"
    if not host or not token.is_file():
        return None
    credentials = _Credentials({"tokenFile": str(token)}, "")
    namespace = (IN_CLUSTER / "namespace").read_text(encoding="utf-8").strip() if (IN_CLUSTER / "namespace").is_file() else ""
    tls = _tls({"certificate-authority": str(IN_CLUSTER / "ca.crt")}, credentials)
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Connection(server, namespace, "", tls, credentials.headers, credentials.renew)


def _tls(cluster: Mapping[str, Any], credentials: _Credentials) -> ssl.SSLContext:
    authority = _bytes(cluster, "certificate-authority")
    if cluster.get("insecure-skip-tls-verify"):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        try:
            context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
        except (ssl.SSLError, UnicodeDecodeError, ValueError):
            raise KubeconfigError("the certificate authority in the kubeconfig is not a PEM certificate") from None
        # Clusters' own authorities often lack the extensions that newer OpenSSL asks for in its strict mode.
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    credentials.into(context)
    return context


def _bytes(entry: Mapping[str, Any], key: str) -> bytes:
    """``KEY-data`` decoded, or what the file ``KEY`` holds, or nothing."""
    if entry.get(f"{key}-data"):
        try:
            return base64.b64decode("".join(str(entry[f"{key}-data"]).split()), validate=True)
        except (binascii.Error, ValueError):
            raise KubeconfigError(f"{key}-data in the kubeconfig is not valid base64") from None
    if entry.get(key):
        try:
            return Path(entry[key]).read_bytes()
        except OSError as error:
            raise KubeconfigError(f"{key}: {entry[key]} can't be read: {error.strerror}") from None
    return b""


class _Credentials:
    """A user of a kubeconfig: a certificate, a token, a password, or a command that gives one of them."""

    def __init__(self, user: Mapping[str, Any], server: str) -> None:
        if user.get("auth-provider"):
            raise KubeconfigError("auth-provider is not supported, and no longer by Kubernetes itself; use an exec plugin")
        self._user, self._server = user, server
        self._lock = threading.Lock()
        self._given: dict[str, Any] = {}
        self._until = 0.0

    def headers(self) -> dict[str, str]:
        """Headers that say who asks."""
        user = self._user
        found: dict[str, str] = {}
        token = user.get("token") or ""
        if not token and user.get("tokenFile"):
            token = _bytes({"token": user["tokenFile"]}, "token").decode("utf-8").strip()
        if not token and user.get("exec"):
            token = self._execute().get("token") or ""
        if token:
            found["authorization"] = f"Bearer {token}"
        elif user.get("username"):
            pair = f"{user['username']}:{user.get('password', '')}".encode()
            found["authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
        if user.get("as"):
            found["impersonate-user"] = str(user["as"])
        return found

    def renew(self) -> bool:
        """Forget what a command gave; whether a second try can end differently."""
        with self._lock:
            had, self._given, self._until = bool(self._given), {}, 0.0
        return had

    def into(self, context: ssl.SSLContext) -> None:
        """Load the user's certificate, if it has one."""
        certificate, key = _bytes(self._user, "client-certificate"), _bytes(self._user, "client-key")
        if not certificate and self._user.get("exec"):
            given = self._execute()
            certificate = str(given.get("clientCertificateData") or "").encode()
            key = str(given.get("clientKeyData") or "").encode()
        if not certificate:
            return
        # OpenSSL's loader takes files only; these are readable by this user alone and gone at once.
        with tempfile.TemporaryDirectory() as folder:
            both = Path(folder) / "client.pem"
            both.touch(mode=0o600)
            both.write_bytes(certificate + b"\n" + key)
            try:
                context.load_cert_chain(both)
            except (ssl.SSLError, OSError):
                raise KubeconfigError("the client certificate and key in the kubeconfig do not fit each other or are no PEM") from None

    def _execute(self) -> dict[str, Any]:
        with self._lock:
            if not self._given or time.time() > self._until - 10:
                self._given, self._until = self._ask()
            return self._given

    def _ask(self) -> tuple[dict[str, Any], float]:
        plugin = self._user["exec"]
        command = [str(plugin.get("command")), *(str(argument) for argument in plugin.get("args") or [])]
        version = str(plugin.get("apiVersion") or "client.authentication.k8s.io/v1")
        info = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False, "cluster": {"server": self._server}}}
        given = {str(entry["name"]): str(entry["value"]) for entry in plugin.get("env") or []}
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **given, "KUBERNETES_EXEC_INFO": json.dumps(info)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=EXEC_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            hint = f": {plugin['installHint']}" if plugin.get("installHint") else ""
            raise KubeconfigError(f"the kubeconfig's command {command[0]!r} is not on PATH{hint}") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise KubeconfigError(f"the kubeconfig's command {command[0]!r} failed: {error}") from None
        if done.returncode:
            said = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise KubeconfigError(f"the kubeconfig's command {command[0]!r} ended with exit code {done.returncode}: {said[0]}")
        try:
            status = dict(json.loads(done.stdout)["status"])
        except (ValueError, KeyError, TypeError):
            raise KubeconfigError(f"the kubeconfig's command {command[0]!r} did not answer with an ExecCredential") from None
        return status, _expiry(status.get("expirationTimestamp"))


def _expiry(stamp: object) -> float:
    if not isinstance(stamp, str):
        return float("inf")
    from datetime import datetime

    try:
        return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return float("inf")
