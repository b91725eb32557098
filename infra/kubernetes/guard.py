"""What must hold before a Rollout is changed: the cluster can run it, the user may, and nothing unproven can pass for proven."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CheckResult, CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from infra.driver import say
from infra.errors import PlatformError
from infra.kubernetes import ledger
from infra.kubernetes.api import REPLICA_SET, ROLLOUT, Cluster, Object, connect, is_content
from infra.kubernetes.labels import Names, selector
from infra.kubernetes.needs import check_cluster
from infra.kubernetes.words import active_hash, is_observed, release_hash, release_of


def clear_unproven(cluster: Cluster, namespace: str, names: Names, *, window: int) -> list[int]:
    """Delete the ReplicaSets of releases that may not come back at once, and return the numbers of those that were never proven.

    Argo Rollouts takes every ReplicaSet that is older than the stable one for a release that may come back without verification; one that
    was aborted must not be such, nor one that was proven before the last ``window`` others. The stable one stays, the one that is being
    rolled out right now, and whatever users are still led to.
    """
    rollout = cluster.get(ROLLOUT, names.rollout, namespace)
    if rollout is None:
        return []
    status = rollout.get("status") or {}
    kept = {status.get("stableRS"), status.get("currentPodHash"), active_hash(rollout)}
    if "canary" in rollout["spec"].get("strategy", {}):
        weights = (status.get("canary") or {}).get("weights") or {}
        kept |= {found.get("podTemplateHash") for found in (weights.get("canary"), weights.get("stable")) if found and found.get("weight")}
    asked = release_of(rollout["spec"].get("template", {}))
    account = ledger.read(cluster, namespace, names.rollout)
    gone = []
    for replica_set in owned(cluster.find(REPLICA_SET, namespace, selector(names)), rollout):
        release = release_of(replica_set["spec"].get("template", {}))
        is_next = not is_observed(rollout) and release == asked
        own_hash = release_hash(replica_set)
        if own_hash in kept or is_next or account.may_return(own_hash, window=window):
            continue
        cluster.delete(REPLICA_SET, replica_set["metadata"]["name"], namespace)
        if not account.has_proven(own_hash):
            gone.append(release or 0)
    return gone


def forget_old_weights(cluster: Cluster, namespace: str, names: Names) -> None:
    """Take the weights of an earlier canary out of the status of a blue-green Rollout: for their sake Argo Rollouts would keep its pods."""
    rollout = cluster.get(ROLLOUT, names.rollout, namespace)
    if rollout is None or "blueGreen" not in rollout["spec"].get("strategy", {}):
        return
    if ((rollout.get("status") or {}).get("canary") or {}).get("weights"):
        cluster.patch(ROLLOUT, names.rollout, namespace, {"status": {"canary": {"weights": None}}}, part="status")


def read(id_: str, props: dict[str, Any], where: dict[str, Any]) -> ReadResult:
    """What a refresh learns: a guard or watch goes with its Rollout, so that the next update begins as a model's first.

    ``where`` holds kubeconfig, context and namespace. A cluster that can't be asked says nothing.
    """
    try:
        found = connect(where.get("kubeconfig"), where.get("context")).get(ROLLOUT, _names(props).rollout, where["namespace"])
    except PlatformError as error:
        print(f"warning: whether {props['model']} has a Rollout is unknown: {error}", flush=True)
        return ReadResult(id_, props)
    return ReadResult(id_ if found is not None else "", props)


def owned(objects: list[Object], owner: Object) -> list[Object]:
    """Those of the objects that belong to this very owner, not to one of the same labels."""
    uid = owner["metadata"]["uid"]
    return [found for found in objects if any(each.get("uid") == uid for each in found["metadata"].get("ownerReferences") or ())]


class RolloutGuardProvider(ResourceProvider):
    """Checks the cluster at every preview, and clears away what is unproven before a Rollout changes. Inputs: see ``RolloutGuard``."""

    serialize_as_secret_always = False

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        kubeconfig = news.get("kubeconfig")
        if kubeconfig is not None and (not isinstance(kubeconfig, str) or is_content(kubeconfig)):
            # The stack makes this cluster itself: it may not be there yet, and whoever previews may have no more than the right to read.
            return CheckResult(news, [])
        cluster = connect(kubeconfig, news.get("context"))
        check_cluster(cluster, news["namespace"], has_platform=news.get("platform", "existing") == "existing")
        return CheckResult(news, [])

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(olds.get(key) != value for key, value in news.items()))

    def create(self, props: dict[str, Any]) -> CreateResult:
        self._run(props)
        return CreateResult(f"{props['namespace']}/{_names(props).rollout}", props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        self._run(news)
        return UpdateResult(news)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return read(id_, props, props)

    def _run(self, props: dict[str, Any]) -> None:
        cluster = connect(props.get("kubeconfig"), props.get("context"))
        check_cluster(cluster, props["namespace"])
        names = _names(props)
        gone = clear_unproven(cluster, props["namespace"], names, window=int(props["rollback_window"]))
        if gone:
            say(names.rollout, f"forgot {', '.join(map(str, sorted(gone)))}, never proven here")


class RolloutGuard(Resource, module="mldelivery", name="RolloutGuard"):
    """Stands before a Rollout. Props: kubeconfig, context, namespace, model, role, champion, image; any change of theirs runs it again."""

    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(RolloutGuardProvider(), name, props, opts)


def _names(props: dict[str, Any]) -> Names:
    return Names(props["model"], props.get("role") or "champion")
