"""What a cluster must know and a user be allowed before a Rollout of ours can stand in it."""

from __future__ import annotations

from infra.errors import PlatformError
from infra.kubernetes.api import CONFIG_MAP, CRD, ENDPOINT_SLICE, JOB, POD, REPLICA_SET, ROLLOUT, SERVICE, TRAEFIK_SERVICE, Cluster, Kind

NEEDED_KINDS = {
    "argoproj.io/v1alpha1": ({"rollouts", "analysisruns", "analysistemplates"}, "Argo Rollouts", "1.8"),
    "traefik.io/v1alpha1": ({"ingressroutes", "traefikservices", "middlewares"}, "Traefik", "3.0"),
}
"""Custom resources that a model's objects are made of, what brings them, and since which version."""

NEEDED_FIELDS = ("rollbackWindow", "progressDeadlineAbort", "analysis", "strategy")
"""Fields of a Rollout's spec that an older CRD would drop in silence."""

NEEDED_RIGHTS: tuple[tuple[str, Kind, str], ...] = (
    ("create", ROLLOUT, ""),
    ("patch", ROLLOUT, ""),
    ("patch", ROLLOUT, "status"),
    ("patch", REPLICA_SET, ""),
    ("delete", REPLICA_SET, ""),
    ("list", POD, ""),
    ("get", POD, "log"),
    ("list", ENDPOINT_SLICE, ""),
    ("patch", SERVICE, ""),
    ("patch", TRAEFIK_SERVICE, ""),
    ("create", JOB, ""),
    ("patch", CONFIG_MAP, ""),
)


def check_cluster(cluster: Cluster, namespace: str, *, has_platform: bool = True) -> None:
    """Refuse a cluster that cannot run a Rollout of ours, or a user who may not. Raises PlatformError with the first that is missing."""
    if has_platform:
        _check_kinds(cluster)
        _check_fields(cluster)
    for verb, kind, part in NEEDED_RIGHTS:
        if not cluster.may(verb, kind, namespace, part=part):
            raise PlatformError(
                f"this user is not allowed to {verb} {kind.plural}{'/' + part if part else ''} in namespace {namespace}",
                where=cluster.where,
                allowed="a user who may "
                + ", ".join(f"{verb} {kind.plural}{'/' + part if part else ''}" for verb, kind, part in NEEDED_RIGHTS),
                act="choose another context (kubernetes.context), or ask the cluster's owner for the rights",
            )


def _check_kinds(cluster: Cluster) -> None:
    for version, (kinds, product, least) in NEEDED_KINDS.items():
        missing = sorted(kinds - cluster.kinds(version))
        if missing:
            raise PlatformError(
                f"{product} is missing in the cluster, or too old: it knows no {', '.join(missing)} in {version}",
                where=cluster.where,
                allowed=f"{product} {least} or later with its CRDs",
                act=f"install {product} ('on your own cluster' in the README), or make a cluster of one's own: make cluster",
            )


def _check_fields(cluster: Cluster) -> None:
    try:
        found = cluster.get(CRD, "rollouts.argoproj.io")
    except PlatformError:
        # Not everybody may read definitions; an old one shows when the Rollout is made.
        return
    versions = (found or {}).get("spec", {}).get("versions") or ()
    for version in versions:
        spec = version.get("schema", {}).get("openAPIV3Schema", {}).get("properties", {}).get("spec", {})
        missing = [field for field in NEEDED_FIELDS if field not in (spec.get("properties") or {})]
        if version.get("name") == "v1alpha1" and spec.get("properties") and missing:
            raise PlatformError(
                f"the CRDs of Argo Rollouts are too old: a Rollout has no {', '.join(missing)}",
                where=cluster.where,
                allowed="Argo Rollouts 1.8 or later",
                act="update Argo Rollouts and its CRDs",
            )
