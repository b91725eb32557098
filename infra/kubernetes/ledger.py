"""What a model's rollouts left behind in the cluster: which releases are proven, and how the last return came about.

A ConfigMap beside the Rollout, not Pulumi's state: a failed update records no outputs, and an abort is what must be remembered.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Protocol

from infra.driver import now
from infra.kubernetes.api import CONFIG_MAP, Kind
from infra.kubernetes.labels import labels

KEY = "ledger"
KEPT = 50


class Store(Protocol):
    """What the ledger needs of a cluster."""

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> dict[str, Any] | None: ...
    def create(self, kind: Kind, document: dict[str, Any], namespace: str | None = None) -> dict[str, Any]: ...
    def patch(self, kind: Kind, name: str, namespace: str, document: dict[str, Any], *, part: str = "") -> dict[str, Any]: ...


@dataclass(frozen=True)
class Proven:
    """A release that was verified and watched here: its number, image, the hash of its pods, and since when."""

    release: int
    image: str
    hash: str
    since: str


@dataclass(frozen=True)
class Ledger:
    """A Rollout's account: ``proven`` latest first; ``last_return`` with from, to, at, reason; ``reported`` aborts by their id."""

    serving: int | None = None
    since: str = ""
    proven: tuple[Proven, ...] = ()
    last_return: dict[str, Any] | None = None
    reported: tuple[str, ...] = ()

    def has_proven(self, pod_hash: str) -> bool:
        """Whether pods of exactly this template have proven themselves."""
        return any(entry.hash == pod_hash for entry in self.proven)

    def may_return(self, pod_hash: str, *, window: int) -> bool:
        """Whether pods of this template serve now, or are among the last ``window`` others that have proven themselves."""
        others = [entry.hash for entry in self.proven if entry.release != self.serving]
        return pod_hash in [*(entry.hash for entry in self.proven if entry.release == self.serving), *others[:window]]


def name(rollout: str) -> str:
    """Name of the ConfigMap of a Rollout."""
    return f"{rollout}-ledger"


def read(cluster: Store, namespace: str, rollout: str) -> Ledger:
    """A Rollout's account; an empty one where there is none, or none that can be read."""
    found = cluster.get(CONFIG_MAP, name(rollout), namespace)
    try:
        document = json.loads((found or {})["data"][KEY])
        proven = tuple(Proven(int(e["release"]), e["image"], e["hash"], e["since"]) for e in document["proven"])
        return Ledger(document["serving"], document["since"], proven, document["last_return"], tuple(document["reported"]))
    except (ValueError, KeyError, TypeError):
        return Ledger()


def record_done(cluster: Store, namespace: str, rollout: str, *, release: int, image: str, pod_hash: str) -> None:
    """Note that a release answers everything, watched or proven before."""
    before = read(cluster, namespace, rollout)
    since = before.since if before.serving == release else now()
    entry = Proven(release, image, pod_hash, since)
    proven = (entry, *(found for found in before.proven if found.hash != pod_hash))[:KEPT]
    _write(cluster, namespace, rollout, replace(before, serving=release, since=since, proven=proven))


def record_return(
    cluster: Store, namespace: str, rollout: str, *, gone_from: int, pod_hash: str, back_to: int | None, reason: str, abort_id: str
) -> None:
    """Note that a rollout went back, and why; the release has to prove itself anew."""
    before = read(cluster, namespace, rollout)
    last = {"from": gone_from, "to": back_to, "at": now(), "reason": reason}
    proven = tuple(entry for entry in before.proven if entry.hash != pod_hash)
    reported = (abort_id, *(found for found in before.reported if found != abort_id))[:KEPT]
    _write(cluster, namespace, rollout, replace(before, proven=proven, last_return=last, reported=reported))


def record_removed(cluster: Store, namespace: str, rollout: str) -> None:
    """Note that a model is served no more. Its ReplicaSets go with it, so that nothing stays proven."""
    before = read(cluster, namespace, rollout)
    if before != Ledger():
        _write(cluster, namespace, rollout, replace(before, serving=None, since=now(), proven=()))


def _write(cluster: Store, namespace: str, rollout: str, ledger: Ledger) -> None:
    document = {
        "serving": ledger.serving,
        "since": ledger.since,
        "proven": [vars(entry) for entry in ledger.proven],
        "last_return": ledger.last_return,
        "reported": list(ledger.reported),
    }
    data = {"data": {KEY: json.dumps(document, indent=1)}}
    if cluster.get(CONFIG_MAP, name(rollout), namespace) is None:
        metadata = {"name": name(rollout), "namespace": namespace, "labels": labels(rollout)}
        cluster.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **data}, namespace)
    else:
        cluster.patch(CONFIG_MAP, name(rollout), namespace, data)
