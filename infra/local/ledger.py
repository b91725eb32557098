"""What a model's rollouts left behind: which releases are proven, how the last return came about, and the history of events.

Kept beside the processes and not in Pulumi's state, because a failed update records no outputs, and an abort is what must be remembered.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from infra.driver import now
from infra.local import place


@dataclass(frozen=True)
class Ledger:
    """A model's account: ``proven`` as (release, record digest), latest first; ``last_return`` with from, to, at, reason."""

    serving: int | None = None
    since: str = ""
    proven: tuple[tuple[int, str], ...] = ()
    last_return: dict[str, Any] | None = None

    def is_proven(self, release: int, digest: str, *, window: int) -> bool:
        """Whether this very release serves now, or is among the last ``window`` others that have baked here."""
        others = [entry for entry in self.proven if entry[0] != self.serving]
        return (release, digest) in [*(entry for entry in self.proven if entry[0] == self.serving), *others[:window]]


def read(model: str) -> Ledger:
    """A model's account; an empty one where there is none, or none that can be read."""
    try:
        document = json.loads((place.ROLLOUTS / f"{model}.json").read_text(encoding="utf-8"))
        return Ledger(document["serving"], document["since"], tuple((n, d) for n, d in document["proven"]), document["last_return"])
    except (OSError, ValueError, KeyError, TypeError):
        return Ledger()


def record_done(model: str, release: int, digest: str) -> None:
    """Note that a release answers everything, watched or proven before."""
    before = read(model)
    proven = [(release, digest), *(entry for entry in before.proven if entry[0] != release)]
    since = before.since if before.serving == release else now()
    _write(model, Ledger(release, since, tuple(proven[:50]), before.last_return))
    note(model, "done", release=release)


def record_return(model: str, *, gone_from: int, back_to: int | None, reason: str) -> None:
    """Note that a rollout went back, and why. A release that went back has to prove itself anew."""
    before = read(model)
    proven = tuple(entry for entry in before.proven if entry[0] != gone_from)
    last = {"from": gone_from, "to": back_to, "at": now(), "reason": reason}
    _write(model, Ledger(before.serving, before.since, proven, last))
    note(model, "returned", **last)


def record_removed(model: str) -> None:
    """Note that a model has no route any more; what is proven stays so."""
    before = read(model)
    _write(model, Ledger(None, now(), before.proven, before.last_return))
    note(model, "removed")


def note(model: str, event: str, **facts: Any) -> None:
    """Append one event to a model's history, a line of JSON."""
    path = place.ROLLOUTS / f"{model}.history.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"at": now(), "event": event, **facts}) + "\n")


def _write(model: str, ledger: Ledger) -> None:
    document = {
        "serving": ledger.serving,
        "since": ledger.since,
        "proven": [list(entry) for entry in ledger.proven],
        "last_return": ledger.last_return,
    }
    place.write_whole(place.ROLLOUTS / f"{model}.json", json.dumps(document, indent=1) + "\n")
