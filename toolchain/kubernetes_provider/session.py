"""One configured provider of a run of the engine: its settings, its cluster (or why that can't be reached), and its voice in the log."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from typing import Any

from toolchain.kubernetes_provider import kinds, kubeconfig
from toolchain.kubernetes_provider.api import Api, ApiError, ApiUnreachable, NoSuchKind
from toolchain.providers.service import Log

PREFIX = "kubernetes:config:"
INSTALLED_BY = "https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/"
_ENVIRONMENT = {
    "deleteUnreachable": "PULUMI_K8S_DELETE_UNREACHABLE",
    "skipUpdateUnreachable": "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE",
    "enableServerSideApply": "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY",
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
    "enablePatchForce": "PULUMI_K8S_ENABLE_PATCH_FORCE",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
}
_DEFAULTS = {"enableServerSideApply": True}


class Session:
    """State of one connection from the engine. Before `configure` it has no cluster."""

    def __init__(self, log: Log, *, is_offline: bool = False) -> None:
        self.log = log
        self.is_offline = is_offline
        self.cancelled = threading.Event()
        self.environment: Mapping[str, str] = dict(os.environ)
        self.namespace = "default"
        self.settings: dict[str, str] = {}
        self.unreachable: str | None = "the provider has no configuration yet"
        self._api: Api | None = None
        self._asking = threading.local()

    def configure(self, variables: Mapping[str, str], urn: str) -> None:
        """Take the settings and see whether the cluster answers."""
        self.settings = {key.removeprefix(PREFIX): value for key, value in variables.items()}
        self.unreachable = None
        if self.is_offline:
            self.namespace = self.settings.get("namespace") or "default"
            self.unreachable = "this preview is offline and looks for no cluster"
            return
        try:
            connection = kubeconfig.connect(
                self.settings.get("kubeconfig") or None,
                self.environment,
                self.settings.get("context") or None,
                self.settings.get("cluster") or None,
            )
        except kubeconfig.KubeconfigError as error:
            self.namespace = self.settings.get("namespace") or "default"
            self._set_unreachable(str(error), urn)
            return
        self.namespace = self.settings.get("namespace") or connection.namespace or "default"
        self._api = Api(connection, warn=self._warned)
        try:
            self._api.version()
        except ApiUnreachable as error:
            self._set_unreachable(str(error), urn)
        except ApiError as error:
            if error.status == 401:
                self._set_unreachable(f"{connection.server} does not accept the credentials of context {connection.context!r}", urn)

    def _set_unreachable(self, reason: str, urn: str) -> None:
        self.unreachable = reason
        self.log.warn(urn, f"configured Kubernetes cluster is unreachable: {reason}")

    def is_on(self, setting: str) -> bool:
        """A yes-or-no setting: the provider's, else the environment's, else the default."""
        text = self.settings.get(setting)
        if text is None and setting in _ENVIRONMENT:
            text = self.environment.get(_ENVIRONMENT[setting])
        return _DEFAULTS.get(setting, False) if text is None else text == "true"

    @property
    def mutable(self) -> set[str]:
        """Kinds whose data may change in place."""
        pairs = (("ConfigMap", "enableConfigMapMutable"), ("Secret", "enableSecretMutable"))
        return {kind for kind, setting in pairs if self.is_on(setting)}

    @property
    def api(self) -> Api:
        """The cluster; raises `ApiUnreachable` where there is none."""
        if self.unreachable is not None or self._api is None:
            raise ApiUnreachable(self.unreachable or "no cluster")
        return self._api

    @contextlib.contextmanager
    def about(self, urn: str) -> Any:
        """While the block runs, warnings of the API server are shown at this resource."""
        self._asking.urn = urn
        try:
            yield
        finally:
            self._asking.urn = None

    def _warned(self, text: str) -> None:
        urn = getattr(self._asking, "urn", None)
        # Deprecations come with each request; what nobody reads is that a field is not known, and was dropped.
        if urn and "unknown field" in text:
            self.log.warn(urn, f"the API server ignored something: {text}")

    def is_namespaced(self, api_version: str, kind: str) -> bool:
        """Whether objects of a kind are in a namespace; a kind that nobody knows yet is taken as one that is."""
        if kind in kinds.CLUSTER_SCOPED and kinds.Urn(f"::::x:{api_version}:{kind}::").is_built_in:
            return False
        try:
            return self.api.kind(api_version, kind).is_namespaced
        except (ApiUnreachable, ApiError, NoSuchKind):
            return True

    def knows(self, api_version: str, kind: str) -> bool:
        """Whether the cluster is there and has the kind."""
        try:
            self.api.kind(api_version, kind)
        except (ApiUnreachable, ApiError, NoSuchKind):
            return False
        return True


def same_cluster(olds: Mapping[str, Any], news: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """Whether two settings of a provider mean the same cluster, as far as their kubeconfigs tell."""
    found = []
    for settings in (olds, news):
        given = [settings.get(key) for key in ("kubeconfig", "context", "cluster")]
        texts = [json.dumps(value) if isinstance(value, dict) else value for value in given]
        found.append(kubeconfig.active_cluster(texts[0] or None, environment, texts[1] or None, texts[2] or None))
    return None in found or found[0] == found[1]
