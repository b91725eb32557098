"""Objects of Kubernetes as manifests, for tools that know Kubernetes' own kinds alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from policy.resource import UNKNOWN, Resource

UNSAID = "known-at-update"
"""Stands for a value that only an update knows."""


def manifests(resource: Resource) -> Iterator[dict[str, Any]]:
    """What a resource puts into a cluster: itself, and of what a controller of Argo's reads also that which it makes of it.

    A Rollout makes pods as a Deployment does, an AnalysisTemplate makes Jobs; a Helm release's objects are not known before Helm has them.
    """
    if resource.type.startswith("kubernetes:helm.sh/"):
        return
    manifest = _plain(resource.props)
    metadata = manifest.setdefault("metadata", {})
    metadata["annotations"] = {key: value for key, value in (metadata.get("annotations") or {}).items() if "pulumi.com/" not in key}
    if manifest.get("kind") == "Rollout":
        spec = {key: value for key, value in manifest["spec"].items() if key not in ("strategy", "workloadRef", "analysis")}
        yield {**manifest, "apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}
    elif manifest.get("kind") in ("AnalysisTemplate", "ClusterAnalysisTemplate"):
        for metric in manifest["spec"].get("metrics") or []:
            job = (metric.get("provider") or {}).get("job")
            if job:
                inner = {key: value for key, value in metadata.items() if key in ("namespace", "labels")}
                name = f"{metadata['name']}-{metric['name']}"
                yield {"apiVersion": "batch/v1", "kind": "Job", "metadata": {**inner, "name": name}, "spec": job["spec"]}
    elif manifest.get("kind") == "HorizontalPodAutoscaler" and manifest["spec"]["scaleTargetRef"]["kind"] == "Rollout":
        target = {**manifest["spec"]["scaleTargetRef"], "apiVersion": "apps/v1", "kind": "Deployment"}
        yield {**manifest, "spec": {**manifest["spec"], "scaleTargetRef": target}}
    else:
        yield manifest


def _plain(value: Any) -> Any:
    if value is UNKNOWN:
        return UNSAID
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
