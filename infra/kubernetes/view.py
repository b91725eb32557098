"""How a model stands in a cluster, for ``make status``: what its Rollout, its weights and its ledger say."""

from __future__ import annotations

from typing import Any

from infra.kubernetes import ledger
from infra.kubernetes.api import REPLICA_SET, ROLLOUT, TRAEFIK_SERVICE, Cluster, Object
from infra.kubernetes.labels import Names, selector
from infra.kubernetes.words import release_of, release_of_hash
from infra.route import live_name


def view(cluster: Cluster, namespace: str, model: str) -> dict[str, Any]:
    """Serving release, since when, last return, percent of the champion's traffic by release, and health in words.

    Raises PlatformError where the cluster cannot be asked.
    """
    names = Names(model)
    account = ledger.read(cluster, namespace, names.rollout)
    rollout = cluster.get(ROLLOUT, names.rollout, namespace)
    found: dict[str, Any] = {"serving": account.serving, "since": account.since or None, "last_return": account.last_return}
    if rollout is None:
        return {**found, "traffic": {}, "health": "no route"}
    weights = cluster.get(TRAEFIK_SERVICE, names.weights, namespace)
    sets = cluster.find(REPLICA_SET, namespace, selector(names))
    shares = traffic(rollout, weights, sets, names)
    beside = Names(model, "challenger")
    challenger = cluster.get(ROLLOUT, beside.rollout, namespace)
    live = cluster.get(TRAEFIK_SERVICE, live_name(model), namespace)
    if challenger is not None and live is not None:
        shares = with_challenger(shares, release_of(challenger["spec"]["template"]), live, beside)
    return {**found, "traffic": shares, "health": health(rollout)}


def with_challenger(shares: dict[str, int], release: int | None, live: Object, beside: Names) -> dict[str, int]:
    """Percent by release where a challenger has its share: what is left is the champion's, in the proportions that it has."""
    members = live["spec"]["weighted"]["services"]
    share = sum(int(member.get("weight") or 0) for member in members if member["name"] == beside.stable)
    left = {found: round(percent * (100 - share) / 100) for found, percent in shares.items()}
    return {**left, str(release): left.get(str(release), 0) + share}


def traffic(rollout: Object, weights: Object | None, sets: list[Object], names: Names) -> dict[str, int]:
    """Percent by release. With blue-green the gateway's weights do not move: the stable Service has everything."""
    status = rollout.get("status") or {}
    current, stable = str(status.get("currentPodHash") or ""), str(status.get("stableRS") or "")
    by_service = {names.stable: release_of_hash(sets, stable), names.canary: release_of_hash(sets, current)}
    if "blueGreen" in rollout["spec"]["strategy"]:
        active = release_of_hash(sets, str((status.get("blueGreen") or {}).get("activeSelector") or stable))
        return {str(active): 100} if active is not None else {}
    shares: dict[str, int] = {}
    for member in ((weights or {}).get("spec") or {}).get("weighted", {}).get("services") or []:
        release, weight = by_service.get(member["name"]), int(member.get("weight") or 0)
        if release is not None and weight:
            shares[str(release)] = shares.get(str(release), 0) + weight
    return shares


def health(rollout: Object) -> str:
    """Whether the pods that answer are ready, and what the Rollout says beside it."""
    status = rollout.get("status") or {}
    phase = str(status.get("phase") or "unknown")
    wanted, ready = int(rollout["spec"].get("replicas") or status.get("replicas") or 0), int(status.get("readyReplicas") or 0)
    if phase == "Healthy" and ready >= wanted:
        return "ready"
    said = str(status.get("message") or "").strip()
    return f"{phase.lower()}, {ready} of {wanted} pods ready" + (f": {said}" if said else "")
