"""When an object counts as ready, for the kinds that the official provider waits for; and why it is not, from its pods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from toolchain.kubernetes_provider import kinds
from toolchain.kubernetes_provider.api import Api, ApiError, ApiUnreachable, NoSuchKind
from toolchain.kubernetes_provider.expression import condition, conditions, is_observed, unmet
from toolchain.providers.values import at


@dataclass(frozen=True)
class Progress:
    """Where an object stands: ready, failed for good, or on the way; in words."""

    is_ready: bool = False
    is_failed: bool = False
    words: str = ""


READY = Progress(is_ready=True)
Check = Callable[[Api, Mapping[str, Any]], Progress]


@dataclass(frozen=True)
class Awaited:
    """How to wait for a kind, and for how long unless told otherwise."""

    check: Check
    seconds: float = 600.0


def awaited(manifest: Mapping[str, Any], environment: Mapping[str, str]) -> Awaited | None:
    """How to wait for an object, or None where there is nothing to wait for. Raises `BadExpression` for a wrong ``pulumi.com/waitFor``."""
    inputs = dict(manifest)
    if kinds.is_annotated(inputs, kinds.SKIP_AWAIT):
        return None
    annotation = kinds.annotation(inputs, kinds.WAIT_FOR)
    if annotation:
        wanted = conditions(annotation)
        return Awaited(lambda _api, live: _conditions(wanted, live))
    of_group = kinds.group(str(inputs.get("apiVersion", "")))
    found = _AWAITED.get(f"{of_group}/{inputs.get('kind')}")
    if found is None and environment.get("PULUMI_K8S_AWAIT_ALL") == "true":
        return Awaited(_generic)
    return found


def _conditions(wanted: list[str], live: Mapping[str, Any]) -> Progress:
    missing = [words for words in (unmet(text, dict(live)) for text in wanted) if words]
    return Progress(words="; ".join(missing)) if missing else READY


def _generic(_api: Api, live: Mapping[str, Any]) -> Progress:
    found = condition(dict(live), "Ready")
    if found is None or (found.get("status") == "True" and is_observed(dict(live), found)):
        return READY
    return Progress(words=str(found.get("message") or "not Ready"))


def _number(live: Mapping[str, Any], *path: str, default: int = 0) -> int:
    found = at(live, *path)
    return found if isinstance(found, int) else default


def _deployment(_api: Api, live: Mapping[str, Any]) -> Progress:
    if not is_observed(dict(live)) or at(live, "status", "observedGeneration") is None:
        return Progress(words="waiting for the Deployment controller to see it")
    if at(live, "spec", "paused") is True:
        return READY
    wanted = _number(live, "spec", "replicas", default=1)
    updated, available = _number(live, "status", "updatedReplicas"), _number(live, "status", "availableReplicas")
    progressing = condition(dict(live), "Progressing") or {}
    # Of a surge the old pods may still answer: only the new ReplicaSet's own end of progress says that its pods are available.
    is_rolled_out = progressing.get("reason") == "NewReplicaSetAvailable" or (not progressing and available >= wanted)
    if updated >= wanted and available >= wanted and (is_rolled_out or wanted == 0):
        return READY
    words = f"{min(updated, wanted)} of {wanted} pods updated, {available} available"
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        words += f"; {progressing.get('message')}"
    return Progress(words=words)


def _stateful_set(_api: Api, live: Mapping[str, Any]) -> Progress:
    if not is_observed(dict(live)) or at(live, "status", "observedGeneration") is None:
        return Progress(words="waiting for the StatefulSet controller to see it")
    wanted = _number(live, "spec", "replicas", default=1)
    ready, updated = _number(live, "status", "readyReplicas"), _number(live, "status", "updatedReplicas")
    is_by_hand = at(live, "spec", "updateStrategy", "type") == "OnDelete"
    partition = _number(live, "spec", "updateStrategy", "rollingUpdate", "partition")
    if ready >= wanted and (is_by_hand or updated >= max(0, wanted - partition)):
        return READY
    return Progress(words=f"{updated} of {wanted} pods updated, {ready} ready")


def _daemon_set(_api: Api, live: Mapping[str, Any]) -> Progress:
    if not is_observed(dict(live)) or at(live, "status", "observedGeneration") is None:
        return Progress(words="waiting for the DaemonSet controller to see it")
    wanted = _number(live, "status", "desiredNumberScheduled")
    updated, available = _number(live, "status", "updatedNumberScheduled"), _number(live, "status", "numberAvailable")
    is_by_hand = at(live, "spec", "updateStrategy", "type") == "OnDelete"
    if available >= wanted and (is_by_hand or updated >= wanted):
        return READY
    return Progress(words=f"{updated} of {wanted} pods updated, {available} available")


def _service(api: Api, live: Mapping[str, Any]) -> Progress:
    kind = at(live, "spec", "type") or "ClusterIP"
    if kind == "LoadBalancer" and not at(live, "status", "loadBalancer", "ingress"):
        return Progress(words="Service was not allocated an IP address; does your cloud provider support this?")
    if kind == "ExternalName" or at(live, "spec", "clusterIP") == "None" or not at(live, "spec", "selector"):
        return READY
    if _has_endpoints(api, str(at(live, "metadata", "namespace")), str(at(live, "metadata", "name"))):
        return READY
    return Progress(
        words="Service does not target any Pods. Selected Pods may not be ready, or field '.spec.selector' may not match labels on any Pods"
    )


def _has_endpoints(api: Api, namespace: str, service: str) -> bool:
    slices = api.list("discovery.k8s.io/v1", "EndpointSlice", namespace, f"kubernetes.io/service-name={service}")
    return any(each.get("endpoints") for each in slices)


def _ingress(api: Api, live: Mapping[str, Any]) -> Progress:
    if not at(live, "status", "loadBalancer", "ingress"):
        return Progress(words="Ingress .status.loadBalancer field was not updated with a hostname or IP address")
    namespace = str(at(live, "metadata", "namespace"))
    paths = [path for rule in at(live, "spec", "rules") or [] for path in at(rule, "http", "paths") or []]
    names = {at(path, "backend", "service", "name") for path in paths} - {None}
    missing = sorted(str(name) for name in names if not _has_endpoints(api, namespace, str(name)))
    return Progress(words=f"no endpoints yet for {', '.join(missing)}") if missing else READY


def _job(_api: Api, live: Mapping[str, Any]) -> Progress:
    failed, complete = condition(dict(live), "Failed") or {}, condition(dict(live), "Complete") or {}
    if failed.get("status") == "True":
        return Progress(is_failed=True, words=f"Job failed: {failed.get('reason', '')}: {failed.get('message', '')}".rstrip(": "))
    if complete.get("status") == "True" or at(live, "spec", "suspend") is True:
        return READY
    return Progress(words=f"{_number(live, 'status', 'active')} pods active, {_number(live, 'status', 'failed')} failed")


def _pod(_api: Api, live: Mapping[str, Any]) -> Progress:
    phase = at(live, "status", "phase")
    if phase == "Succeeded" or (condition(dict(live), "Ready") or {}).get("status") == "True":
        return READY
    if phase == "Failed":
        return Progress(
            is_failed=True, words=f"Pod failed: {at(live, 'status', 'message') or at(live, 'status', 'reason') or ''}".rstrip(": ")
        )
    return Progress(words=f"Pod is {phase or 'not seen by a node yet'}")


def _claim(api: Api, live: Mapping[str, Any]) -> Progress:
    phase = at(live, "status", "phase")
    if phase == "Bound":
        return READY
    name = at(live, "spec", "storageClassName")
    if phase == "Pending" and name:
        try:
            storage = api.get(kinds.Address("storage.k8s.io/v1", "StorageClass", "", str(name)))
        except ApiError:
            storage = {}
        if storage.get("volumeBindingMode") == "WaitForFirstConsumer":
            return READY
    return Progress(words=f"the claim is {phase or 'not seen yet'}")


def _volume(_api: Api, live: Mapping[str, Any]) -> Progress:
    phase = at(live, "status", "phase")
    return READY if phase in ("Available", "Bound") else Progress(words=f"the volume is {phase or 'not seen yet'}")


def _quota(_api: Api, live: Mapping[str, Any]) -> Progress:
    return READY if at(live, "spec", "hard") == at(live, "status", "hard") else Progress(words="the quota is not counted yet")


def _controller(_api: Api, live: Mapping[str, Any]) -> Progress:
    wanted, available = _number(live, "spec", "replicas", default=1), _number(live, "status", "availableReplicas")
    return READY if available >= wanted else Progress(words=f"{available} of {wanted} pods available")


def _secret(_api: Api, live: Mapping[str, Any]) -> Progress:
    is_filled = at(live, "type") != "kubernetes.io/service-account-token" or bool(at(live, "data"))
    return READY if is_filled else Progress(words="the token is not filled in yet")


_AWAITED: dict[str, Awaited] = {
    "apps/Deployment": Awaited(_deployment),
    "apps/StatefulSet": Awaited(_stateful_set),
    "apps/DaemonSet": Awaited(_daemon_set),
    "batch/Job": Awaited(_job),
    "networking.k8s.io/Ingress": Awaited(_ingress),
    "/PersistentVolume": Awaited(_volume, 300),
    "/PersistentVolumeClaim": Awaited(_claim, 300),
    "/Pod": Awaited(_pod),
    "/ReplicationController": Awaited(_controller),
    "/ResourceQuota": Awaited(_quota, 60),
    "/Secret": Awaited(_secret, 5),
    "/Service": Awaited(_service),
}


def reasons(api: Api, live: Mapping[str, Any]) -> list[str]:
    """Why an object's pods are not well: image pulls, crashes with their last words, and what keeps them from a node."""
    kind = live.get("kind")
    try:
        if kind == "Pod":
            pods = [dict(live)]
        elif kind in ("Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicationController"):
            selector = at(live, "spec", "selector") or {}
            labels = selector.get("matchLabels", {}) if kind != "ReplicationController" else selector
            text = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
            pods = api.list("v1", "Pod", str(at(live, "metadata", "namespace")), text) if text else []
        else:
            return []
    except (ApiError, ApiUnreachable, NoSuchKind):
        return []
    found: list[str] = []
    for pod in sorted(pods, key=lambda each: str(at(each, "metadata", "creationTimestamp")), reverse=True):
        for words in _of_pod(api, pod):
            if words not in found:
                found.append(words)
    return found[:10]


def _of_pod(api: Api, pod: dict[str, Any]) -> list[str]:
    name, namespace = str(at(pod, "metadata", "name")), str(at(pod, "metadata", "namespace"))
    found = []
    scheduled = condition(pod, "PodScheduled") or {}
    if scheduled.get("status") == "False":
        found.append(f"pod {name}: {scheduled.get('reason', '')}: {scheduled.get('message', '')}")
    for status in [*(at(pod, "status", "initContainerStatuses") or []), *(at(pod, "status", "containerStatuses") or [])]:
        container = str(status.get("name"))
        waiting = at(status, "state", "waiting") or {}
        ended = at(status, "state", "terminated") or at(status, "lastState", "terminated") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            found.append(f"pod {name}, container {container}: {waiting['reason']}: {waiting.get('message', '')}".rstrip(": "))
        if ended and ended.get("exitCode") != 0:
            is_previous = not at(status, "state", "terminated")
            said = str(ended.get("message") or api.log(namespace, name, container, is_previous=is_previous)).strip()
            lines = "".join(f"\n    {line}" for line in said.splitlines()[-10:])
            found.append(f"pod {name}, container {container} ended with exit code {ended.get('exitCode')} ({ended.get('reason')}){lines}")
    return found
