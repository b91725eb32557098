"""What every container of ours may do in a cluster: nothing. Fits Pod Security Standard *restricted*, and more."""

from __future__ import annotations

from typing import Any

USER = 10001
SCRATCH_MIB = 64

POD_SECURITY: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}

CONTAINER_SECURITY: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def scratch() -> dict[str, Any]:
    """The only place that a container may write to."""
    return {"name": "tmp", "emptyDir": {"sizeLimit": f"{SCRATCH_MIB}Mi"}}


def scratch_mount() -> dict[str, Any]:
    """Where it lies."""
    return {"name": "tmp", "mountPath": "/tmp"}
