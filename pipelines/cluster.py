"""What a command asks of an existing cluster before the engine does: can it be used, and does it still hold what the stack's state says."""

from __future__ import annotations

from infra.config import StackConfig
from pipelines.engine import Engine

ROLLOUT_TYPE = "kubernetes:argoproj.io/v1alpha1:Rollout"


def refreshing(engine: Engine, config: StackConfig) -> tuple[str, ...]:
    """Flags for the engine: it asks first what stands where a Rollout of the state is gone, with its namespace or its whole cluster.

    Raises PlatformError where the cluster can't be reached, or before a stack's first update can't run what the stack would make.
    """
    if config.target != "kubernetes" or config.kubernetes is None:
        return ()
    from infra.kubernetes.api import ROLLOUT, connect
    from infra.kubernetes.needs import check_cluster

    kubernetes = config.kubernetes
    cluster = connect(kubernetes.kubeconfig, kubernetes.context)
    known = [found["outputs"]["metadata"] for found in engine.state().get("resources") or [] if found["type"] == ROLLOUT_TYPE]
    if not known:
        check_cluster(cluster, kubernetes.namespace, has_platform=kubernetes.platform == "existing")
        return ()
    gone = [each["name"] for each in known if cluster.get(ROLLOUT, each["name"], each["namespace"]) is None]
    if not gone:
        return ()
    print(f"{cluster.where} has no {', '.join(gone)} any more: what stands there is looked at first", flush=True)
    return ("--refresh",)


def gone_for_good(reason: str, stack: str) -> str:
    """The act for a stack that can't be taken down: its cluster may not be there any more."""
    again = f"make down STACK={stack}"
    return f"{again}; where the cluster was deleted: PULUMI_K8S_DELETE_UNREACHABLE=true {again}" if "unreachable" in reason else again
