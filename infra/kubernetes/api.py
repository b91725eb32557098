"""The few calls to a cluster that its watcher and guard make, with every failure in words that a person can act on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from infra.errors import PlatformError

ROOT = Path(__file__).resolve().parents[2]
"""A stack names its kubeconfig from the checkout's root, wherever a command is started."""

TIMEOUT_SECONDS = 10
CONNECT_SECONDS = 5

Object = dict[str, Any]
"""One Kubernetes object, as its JSON."""


@dataclass(frozen=True)
class Kind:
    """A kind of object: its group with version (``v1`` for the core), and its plural in a URL."""

    version: str
    plural: str

    @property
    def group(self) -> str:
        """The group alone; empty for the core."""
        return self.version.rpartition("/")[0]


ROLLOUT = Kind("argoproj.io/v1alpha1", "rollouts")
ANALYSIS_RUN = Kind("argoproj.io/v1alpha1", "analysisruns")
ANALYSIS_TEMPLATE = Kind("argoproj.io/v1alpha1", "analysistemplates")
REPLICA_SET = Kind("apps/v1", "replicasets")
POD = Kind("v1", "pods")
SERVICE = Kind("v1", "services")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "endpointslices")
CONFIG_MAP = Kind("v1", "configmaps")
JOB = Kind("batch/v1", "jobs")
TRAEFIK_SERVICE = Kind("traefik.io/v1alpha1", "traefikservices")
NAMESPACE = Kind("v1", "namespaces")
CRD = Kind("apiextensions.k8s.io/v1", "customresourcedefinitions")
ACCESS_REVIEW = Kind("authorization.k8s.io/v1", "selfsubjectaccessreviews")


class Unreachable(PlatformError):
    """The cluster gave no answer: it may be starting again, so that a watcher waits a while before it gives up."""


class Cluster:
    """One cluster by kubeconfig and context. Raises PlatformError from every call: not found is an answer, all else that fails is not."""

    def __init__(self, client: Any, where: str) -> None:
        self._client = client
        self.where = where

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """One object, or None where there is none of that name."""
        status, body = self._request("GET", _path(kind, namespace, name), absent_is_answer=True)
        return None if status == 404 else dict(json.loads(body))

    def find(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """All objects of a kind with these labels."""
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())}
        _, body = self._request("GET", _path(kind, namespace), query=query)
        return list(json.loads(body).get("items") or [])

    def create(self, kind: Kind, document: Object, namespace: str | None = None) -> Object:
        """Make an object; returns it as the cluster has it."""
        _, body = self._request("POST", _path(kind, namespace), document=document)
        return dict(json.loads(body))

    def patch(self, kind: Kind, name: str, namespace: str, document: Object, *, part: str = "") -> Object:
        """Merge ``document`` into an object, or into its subresource ``part`` such as ``status``."""
        path = _path(kind, namespace, name) + (f"/{part}" if part else "")
        _, body = self._request("PATCH", path, document=document, media="application/merge-patch+json")
        return dict(json.loads(body))

    def delete(self, kind: Kind, name: str, namespace: str) -> bool:
        """Delete an object and, behind it, what it owns. False where there was none."""
        document = {"propagationPolicy": "Background"}
        status, _ = self._request("DELETE", _path(kind, namespace, name), document=document, absent_is_answer=True)
        return status != 404

    def log(self, pod: str, namespace: str, container: str, *, lines: int, previous: bool = False) -> str:
        """The last lines of a container, of its run before the present one with ``previous``; empty where the node has none (any more)."""
        query = {"container": container, "tailLines": str(lines), **({"previous": "true"} if previous else {})}
        try:
            status, body = self._request("GET", _path(POD, namespace, pod) + "/log", query=query, absent_is_answer=True)
        except Unreachable:
            raise
        except PlatformError:
            # 400 while the container waits to start: a missing log must not hide the reason that is known without it.
            return ""
        return "" if status == 404 else body.decode(errors="replace").strip()

    def kinds(self, version: str) -> set[str]:
        """Plurals of the kinds that the cluster serves in a group's version; empty where it does not know the group."""
        status, body = self._request("GET", f"/apis/{version}", absent_is_answer=True)
        return set() if status == 404 else {found["name"] for found in json.loads(body)["resources"]}

    def may(self, verb: str, kind: Kind, namespace: str, *, part: str = "") -> bool:
        """Whether the kubeconfig's user is allowed to do this in the namespace."""
        attributes = {"namespace": namespace, "verb": verb, "group": kind.group, "resource": kind.plural, "subresource": part}
        review = self.create(ACCESS_REVIEW, {"spec": {"resourceAttributes": attributes}})
        return bool(review["status"]["allowed"])

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        document: Object | None = None,
        media: str = "application/json",
        absent_is_answer: bool = False,
    ) -> tuple[int, bytes]:
        import urllib3

        configuration = self._client.configuration
        url = configuration.host + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json, */*"}
        if document is not None:
            headers["Content-Type"] = media
        try:
            # Asked for each time: a token of a cloud's login lives for minutes.
            for found in configuration.auth_settings().values():
                if found["in"] == "header" and found["value"]:
                    headers[found["key"]] = found["value"]
            answer = self._client.rest_client.pool_manager.request(
                method,
                url,
                body=None if document is None else json.dumps(document).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=TIMEOUT_SECONDS),
                retries=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(
                f"the cluster cannot be reached: {_plain(error)}",
                where=self.where,
                act="start it (`make cluster` for the repository's own), or set kubernetes.kubeconfig and .context in the stack's file",
            ) from None
        if answer.status < 400 or (answer.status == 404 and absent_is_answer):
            return answer.status, answer.data
        raise _refusal(method, path, answer.status, answer.data, self.where)


def connect(kubeconfig: str | None, context: str | None) -> Cluster:
    """The cluster of a kubeconfig's context. Raises PlatformError where there is no such file or context; asks the cluster nothing yet.

    ``kubeconfig`` is a path from the checkout's root, or a kubeconfig's own content (a JSON object); without one KUBECONFIG counts, then
    ``~/.kube/config``. Without ``context`` it is the file's current one.
    """
    import kubernetes.client
    import kubernetes.config
    import yaml

    # Read now: the package itself looks at the environment once, when it is imported.
    content = json.loads(kubeconfig) if kubeconfig and is_content(kubeconfig) else None
    path = str(ROOT / kubeconfig) if kubeconfig and content is None else os.environ.get("KUBECONFIG")
    shown = "the stack's own cluster" if content else kubeconfig or "KUBECONFIG or ~/.kube/config"
    if kubeconfig and content is None and not Path(str(path)).is_file():
        raise PlatformError(
            "there is no such kubeconfig",
            where="kubernetes.kubeconfig in the stack's file",
            got=kubeconfig,
            allowed="a path from the repository's root",
            act="make the cluster first (`make cluster` for the repository's own), or correct the path",
        )
    try:
        configuration = kubernetes.client.Configuration()
        configuration.retries = False
        load = kubernetes.config.load_kube_config_from_dict if content else kubernetes.config.load_kube_config
        load(content or path, context, client_configuration=configuration, persist_config=False)  # type: ignore[no-untyped-call]
    except (kubernetes.config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError) as error:
        known = _contexts(path)
        is_unknown = context is not None and known and context not in known
        raise PlatformError(
            "there is no such context" if is_unknown else f"cannot be used: {_plain(error)}",
            where=f"kubeconfig {shown}",
            got=context or "its current context",
            allowed=", ".join(known) or "a kubeconfig with a current context",
            act="set kubernetes.kubeconfig and kubernetes.context in the stack's file",
        ) from None
    return Cluster(kubernetes.client.ApiClient(configuration), f"context {context or 'current'} of {shown} ({configuration.host})")


def is_content(kubeconfig: str) -> bool:
    """Whether this is a kubeconfig's content rather than its path."""
    return kubeconfig.startswith("{")


def _contexts(path: str | None) -> list[str]:
    import kubernetes.config
    import yaml

    try:
        found, _ = kubernetes.config.list_kube_config_contexts(path)  # type: ignore[no-untyped-call]
    except (kubernetes.config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError):
        return []
    return sorted(str(entry["name"]) for entry in found)


def _path(kind: Kind, namespace: str | None, name: str = "") -> str:
    base = f"/apis/{kind.version}" if "/" in kind.version else f"/api/{kind.version}"
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"{base}{inside}/{kind.plural}" + (f"/{name}" if name else "")


def _refusal(method: str, path: str, status: int, body: bytes, where: str) -> PlatformError:
    try:
        message = str(json.loads(body).get("message") or "")
    except (ValueError, AttributeError):
        message = body.decode(errors="replace")[:200]
    if status >= 500 or status == 429:
        return Unreachable(f"the cluster answers {status} to {method} {path}: {message}", where=where, act="run the same command again")
    if status in (401, 403):
        return PlatformError(
            f"this user is not allowed to: {message}",
            where=where,
            allowed="a user who may read and change Rollouts, ReplicaSets, Pods, Jobs and ConfigMaps in the stack's namespace",
            act="choose another context, or ask the cluster's owner for the rights",
        )
    if status == 404:
        return PlatformError(
            f"the cluster does not know {path}: {message}",
            where=where,
            act="install Argo Rollouts and Traefik: docs, 'on your own cluster'",
        )
    return PlatformError(f"the cluster refuses {method} {path}: {message}", where=where, got=status, act="read the message above")


def _plain(error: BaseException) -> str:
    """An error's text without addresses of Python objects."""
    import re

    return re.sub(r"<[^<>]* object at 0x[0-9a-f]+>:?\s*", "", str(error)).strip() or type(error).__name__
