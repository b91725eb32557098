"""What a command asks of an existing cluster before the engine does: can it be used, and does it still hold what the stack's state says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from infra.config import StackConfig
from infra.errors import PlatformError
from pipelines.engine import Engine
from pipelines.kubeconfig import ensure_kubeconfig

if TYPE_CHECKING:
    from infra.kubernetes.api import Cluster

ROLLOUT_TYPE = "kubernetes:argoproj.io/v1alpha1:Rollout"


def check_before_first(engine: Engine, config: StackConfig) -> None:
    """Refuse a cluster of one's own that can't be reached, or can't run what the stack would make, before anything is made for it.

    Asked of a stack's first update alone: later ones have made it all. Raises PlatformError.
    """
    kubernetes = config.kubernetes
    if config.target != "kubernetes" or kubernetes is None or _known(engine):
        return
    from infra.kubernetes.api import connect
    from infra.kubernetes.needs import check_cluster

    cluster = connect(kubernetes.kubeconfig, kubernetes.context)
    check_cluster(cluster, kubernetes.namespace, has_platform=kubernetes.platform == "existing")


def refreshing(engine: Engine, config: StackConfig) -> tuple[str, ...]:
    """Flags for the engine: it asks first what stands where somebody else deleted a Rollout of the state, or gave it another release.

    By the state alone it would see nothing to do. Raises PlatformError where a cluster of one's own can't be reached; an environment's may
    be closed to whoever previews: that is said.
    """
    kubernetes = config.kubernetes
    known = _known(engine) if kubernetes is not None else []
    if kubernetes is None or not known:
        return ()
    from infra.kubernetes.api import connect

    try:
        ensure_kubeconfig(engine.root, config)
        return _flags(connect(kubernetes.kubeconfig, kubernetes.context), known, _wanted(config))
    except PlatformError as error:
        if config.target == "kubernetes":
            raise
        print(f"warning: whether {engine.stack}'s own cluster is as the state says is unknown: {error}", flush=True)
        return ()


def _known(engine: Engine) -> list[dict[str, Any]]:
    """The Rollouts of the stack's state."""
    return [found["outputs"] for found in engine.state().get("resources") or [] if found["type"] == ROLLOUT_TYPE]


def _flags(cluster: Cluster, known: list[dict[str, Any]], wanted: Mapping[str, int | None]) -> tuple[str, ...]:
    from infra.kubernetes.api import ROLLOUT

    told = False
    for each in known:
        name, namespace = each["metadata"]["name"], each["metadata"]["namespace"]
        if words := _news(each, cluster.get(ROLLOUT, name, namespace), wanted.get(name)):
            print(f"{cluster.where}: {words}", flush=True)
            told = True
    return ("--refresh",) if told else ()


def _wanted(config: StackConfig) -> dict[str, int | None]:
    """The release that each Rollout has by the stack's file."""
    from infra.kubernetes.labels import Names

    champions = {Names(name).rollout: model.champion for name, model in config.models.items()}
    challengers = {Names(name, "challenger").rollout: model.challenger.release for name, model in config.models.items() if model.challenger}
    return {**champions, **challengers}


def _news(known: dict[str, Any], live: dict[str, Any] | None, wanted: int | None) -> str:
    """What somebody else did to a Rollout; empty where it is as the state says, or where an update changes it anyway."""
    from infra.kubernetes.words import release_of

    name = known["metadata"]["name"]
    if live is None:
        return f"the Rollout {name} is not there any more"
    before, now = release_of(known["spec"]["template"]), release_of(live["spec"]["template"])
    return f"somebody else gave the Rollout {name} release {now}, not {before}" if before == wanted != now else ""


def gone_for_good(reason: str, stack: str) -> str:
    """The act for a stack that can't be taken down: its cluster may not be there any more."""
    again = f"make down STACK={stack}"
    return f"{again}; where the cluster was deleted: PULUMI_K8S_DELETE_UNREACHABLE=true {again}" if "unreachable" in reason else again
