"""What is known about the kinds of objects without asking a cluster: tokens, scope, names, and what can't be changed in place."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from toolchain.providers import urn
from toolchain.providers.paths import Path, parse
from toolchain.providers.values import at

AUTONAMED = "pulumi.com/autonamed"
SKIP_AWAIT = "pulumi.com/skipAwait"
WAIT_FOR = "pulumi.com/waitFor"
TIMEOUT_SECONDS = "pulumi.com/timeoutSeconds"
PATCH_FORCE = "pulumi.com/patchForce"
PATCH_FIELD_MANAGER = "pulumi.com/patchFieldManager"
DELETION_PROPAGATION = "pulumi.com/deletionPropagationPolicy"
REPLACE_UNREADY = "pulumi.com/replaceUnready"

CLUSTER_SCOPED = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ClusterTrustBundle",
        "CustomResourceDefinition",
        "DeviceClass",
        "FlowSchema",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "ResourceSlice",
        "RuntimeClass",
        "ServiceCIDR",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
        "VolumeAttributesClass",
    }
)

IDENTITY: tuple[Path, ...] = (("metadata", "name"), ("metadata", "namespace"), ("kind",))
_SELECTOR = ("spec.selector",)
_ROLE = ("roleRef",)
_CONTAINER = (
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resources",
    "securityContext",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
)
_POD = (
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostname",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "volumes",
)
# Group/Kind -> what the official provider replaces for, whatever the version. Kinds of other groups (a Rollout) change in place.
_IMMUTABLE: dict[str, tuple[str, ...]] = {
    "/PersistentVolume": tuple(
        f"spec.{source}"
        for source in (
            "awsElasticBlockStore",
            "azureDisk",
            "azureFile",
            "cephfs",
            "cinder",
            "csi",
            "fc",
            "flexVolume",
            "flocker",
            "gcePersistentDisk",
            "glusterfs",
            "hostPath",
            "iscsi",
            "local",
            "nfs",
            "photonPersistentDisk",
            "portworxVolume",
            "quobyte",
            "rbd",
            "scaleIO",
            "storageos",
            "vsphereVolume",
        )
    ),
    "/PersistentVolumeClaim": ("spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"),
    "/Pod": (
        *(f"spec.{name}" for name in _POD),
        *(f"spec.{list_name}[*].{name}" for list_name in ("containers", "initContainers") for name in _CONTAINER),
    ),
    "/ResourceQuota": ("spec.scopes",),
    "/Secret": ("type",),
    "/Service": ("spec.clusterIP",),
    "apps/DaemonSet": _SELECTOR,
    "apps/Deployment": _SELECTOR,
    "apps/StatefulSet": (
        *_SELECTOR,
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    "batch/Job": (*_SELECTOR, "spec.completions", "spec.parallelism", "spec.template"),
    "rbac.authorization.k8s.io/ClusterRoleBinding": _ROLE,
    "rbac.authorization.k8s.io/RoleBinding": _ROLE,
    "storage.k8s.io/StorageClass": ("parameters", "provisioner"),
}
_DATA = {"ConfigMap": ("binaryData", "data"), "Secret": ("data", "stringData")}


class Urn(urn.Urn):
    """The name of a resource of Kubernetes, taken apart."""

    @property
    def kind(self) -> str:
        """The last part of the type."""
        return self.type.split(":")[-1]

    @property
    def api_version(self) -> str:
        """The object's apiVersion, as the type says it."""
        module = self.type.split(":")[1]
        return module.removeprefix("core/")

    @property
    def is_patch(self) -> bool:
        """Whether the resource is a Patch of an object that others made, such as ``kubernetes:core/v1:ServicePatch``."""
        return self.kind.endswith("Patch") and self.is_built_in

    @property
    def is_list(self) -> bool:
        """Whether the type is a list of a built-in kind."""
        return self.kind.endswith("List") and self.is_built_in

    @property
    def is_built_in(self) -> bool:
        """Whether the group is one that every API server has; other groups are of custom resources."""
        found = group(self.api_version)
        return "." not in found or (found.endswith(".k8s.io") and found.count(".") == 2)

    @property
    def is_chart(self) -> bool:
        """Whether it takes Helm, which only the official plugin has."""
        return self.type.startswith("kubernetes:helm.sh/")


@dataclass(frozen=True)
class Address:
    """Where an object is found: apiVersion, kind, namespace ("" outside any) and name."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> Address:
        """The address that a manifest gives."""
        metadata = manifest.get("metadata") or {}
        return cls(
            str(manifest.get("apiVersion", "")),
            str(manifest.get("kind", "")),
            str(metadata.get("namespace") or ""),
            str(metadata.get("name") or ""),
        )

    @property
    def id(self) -> str:
        """The resource's ID in the engine: ``namespace/name``, or the name alone."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


def group(api_version: str) -> str:
    """The API group of an apiVersion; "" is the core's."""
    found = api_version.rpartition("/")[0]
    return "" if found == "core" else found


def immutable(manifest: dict[str, Any], mutable: Collection[str] = ()) -> tuple[Path, ...]:
    """Patterns of the properties for which an object is replaced.

    A ConfigMap's and a Secret's data are among them unless their kind is in ``mutable`` and the object itself is not marked immutable.
    """
    kind, of_group = str(manifest.get("kind", "")), group(str(manifest.get("apiVersion", "")))
    texts = _IMMUTABLE.get(f"{of_group}/{kind}", ())
    if of_group == "" and kind in _DATA and (kind not in mutable or manifest.get("immutable") is True):
        texts = (*texts, *_DATA[kind])
    return (*IDENTITY, *(parse(text) for text in texts))


def annotation(manifest: dict[str, Any], key: str) -> str:
    """The value of an annotation, or ""."""
    found = at(manifest, "metadata", "annotations", key)
    return found if isinstance(found, str) else ""


def is_annotated(manifest: dict[str, Any], key: str) -> bool:
    """Whether an annotation says ``true``."""
    return annotation(manifest, key) == "true"


def autoname(resource_name: str, seed: bytes) -> str:
    """``name-xxxxxxxx``: the resource's name with eight hexadecimal digits, the same for the same seed."""
    suffix = hashlib.sha256(seed + resource_name.encode()).hexdigest()[:8] if seed else secrets.token_hex(4)
    return f"{resource_name[: 253 - 9]}-{suffix}"


def field_manager(resource: Urn) -> str:
    """The name under which the server keeps what a resource owns.

    By the URN: what a killed update left behind is then owned by the same name as what the next one applies.
    """
    return f"pulumi-kubernetes-{hashlib.sha256(resource.text.encode()).hexdigest()[:8]}"
