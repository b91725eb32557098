"""What a stack of the ladder has served, taken from its cluster's ledger into the store, where the stack above looks for it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from infra import ladder
from infra.config import StackConfig
from infra.errors import DeliveryError
from infra.kubernetes import ledger
from infra.kubernetes.api import connect
from infra.kubernetes.labels import Names, image
from infra.release import load


def record_served(root: Path, stack: str, config: StackConfig) -> list[Path]:
    """Note each champion that the rollout has proven. Returns the files that were written, and says why one was not.

    Nothing that happens here makes an update a failed one: the next one notes it.
    """
    if config.kubernetes is None or stack not in ladder.LADDER[:-1] or all(model.champion is None for model in config.models.values()):
        return []
    try:
        return _record(root, stack, config)
    except DeliveryError as error:
        print(f"warning: what {stack} serves is not on record yet: {error}\nrun make up STACK={stack} again", flush=True)
        return []


def has_baked(account: ledger.Ledger, entry: ledger.Proven, bake_seconds: float, now: datetime) -> bool:
    """Whether a release was watched at 100 %: a model's first had nothing to be watched against, and bakes by serving as long."""
    is_first = all(other is entry for other in account.proven)
    return not is_first or (now - datetime.fromisoformat(entry.since)).total_seconds() >= bake_seconds


def _record(root: Path, stack: str, config: StackConfig) -> list[Path]:
    from pipelines.kubeconfig import ensure_kubeconfig

    kubernetes = config.kubernetes
    if kubernetes is None:
        return []
    ensure_kubeconfig(root, config)
    cluster = connect(kubernetes.kubeconfig, kubernetes.context)
    store, written = config.store(root), []
    for name, model in config.models.items():
        if model.champion is None:
            continue
        record = load(store, name, model.champion)
        account = ledger.read(cluster, kubernetes.namespace, Names(name).rollout)
        pulled = image(kubernetes.registry, record.image or "")
        entry = next((each for each in account.proven if each.release == model.champion and each.image == pulled), None)
        if entry is None or account.serving != model.champion:
            print(f"warning: {stack} does not serve {name} {model.champion} by its own account: not on record", flush=True)
            continue
        baked = has_baked(account, entry, model.rollout.bake_seconds, datetime.now(UTC))
        path = ladder.write(store, record, stack, since=entry.since, baked=baked)
        if path is not None:
            print(
                f"{path.relative_to(root)}: {stack} serves {name} {record.release}{', baked' if baked else ', not baked yet'}", flush=True
            )
            written.append(path)
    return written
