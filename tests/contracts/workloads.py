"""Rules over every pod that we let run in a cluster. Each takes a manifest and returns its violations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
# An AnalysisRun fills it in with the image of the release, which is by digest.
ARGUMENT = "{{args.image}}"


def pods(manifest: Any) -> Iterator[dict[str, Any]]:
    """Every pod's spec in a manifest, however deep: those of Rollouts, and of the Jobs inside AnalysisTemplates."""
    if isinstance(manifest, dict):
        if "containers" in manifest:
            yield manifest
        for value in manifest.values():
            yield from pods(value)
    elif isinstance(manifest, list):
        for value in manifest:
            yield from pods(value)


def unsafe_pods(manifest: Any) -> list[str]:
    """What a pod may do beyond Pod Security Standard *restricted* and our own rules, as ``container: what``."""
    violations = []
    for spec in pods(manifest):
        security = spec.get("securityContext") or {}
        if spec.get("automountServiceAccountToken") is not False:
            violations.append("pod: has a service account's token")
        if not security.get("runAsUser") or security.get("runAsNonRoot") is not True:
            violations.append("pod: may run as root")
        if (security.get("seccompProfile") or {}).get("type") != "RuntimeDefault":
            violations.append("pod: any system call")
        if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            violations.append("pod: shares the node's namespaces")
        for volume in spec.get("volumes") or []:
            # What a ConfigMap holds is small, and can only be read.
            if "configMap" not in volume and not (volume.get("emptyDir") or {}).get("sizeLimit"):
                violations.append(f"{volume['name']}: a volume without a limit, or of the node")
        for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
            violations += [f"{container['name']}: {what}" for what in _container(container)]
    return violations


def _container(container: dict[str, Any]) -> Iterator[str]:
    security = container.get("securityContext") or {}
    if security.get("readOnlyRootFilesystem") is not True:
        yield "writes to its root"
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield "may gain privileges"
    if (security.get("capabilities") or {}) != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    for kind in ("requests", "limits"):
        if {"cpu", "memory"} - set((container.get("resources") or {}).get(kind) or {}):
            yield f"has no {kind}"
    image = container.get("image", "")
    if image != ARGUMENT and not DIGEST.search(image):
        yield f"image is not by digest: {image}"
