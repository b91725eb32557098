"""What holds after every promotion, good or bad, and after every fault: one checker for all tests."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

from serving.golden import difference
from tests.laptop import Laptop
from tests.load import Load

TOLERANCE = 1e-5


def records(laptop: Laptop) -> dict[str, str]:
    """Digest of every release record, by path."""
    return {
        str(path.relative_to(laptop.releases)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((laptop.releases / "releases").rglob("*.yaml"))
    }


def check(
    laptop: Laptop,
    *,
    champion: int,
    load: Load | None,
    between: Collection[int],
    before: dict[str, str],
    may_fail: float = 0,
    reconcile: bool = True,
) -> None:
    """Assert the eight invariants.

    ``may_fail`` is the largest share of the load's requests that may have failed; ``between`` are the releases that may have answered.
    """
    if load is not None:
        answers_are_right(laptop, load, between=between, may_fail=may_fail)
    if reconcile:
        laptop.up()
    laptop.has_no_changes()
    only_one_answers(laptop, champion)
    nothing_is_left_over(laptop, champion)
    after = records(laptop)
    assert {path: after.get(path) for path in before} == before, "a release record was changed"


def answers_are_right(laptop: Laptop, load: Load, *, between: Collection[int], may_fail: float = 0) -> None:
    """No failed request beyond the allowed share, and each answer is the golden one of the release that its header names."""
    assert load.answers, "the load sent nothing"
    most = may_fail * len(load.answers)
    failed = load.failed
    assert len(failed) <= most, f"{len(failed)} of {len(load.answers)} requests failed (at most {most:.0f}): {failed[:3]}"
    expected: dict[int, list[dict[str, Any]]] = {}
    for answer in load.answers:
        if answer.status != 200:
            continue
        assert answer.release in between, f"release {answer.release} answered, not one of {sorted(between)}: {_when(load, answer.release)}"
        golden = expected.setdefault(int(answer.release or 0), _answers_to(laptop, int(answer.release or 0), load))
        wrong = difference(golden[answer.request], answer.body, TOLERANCE)
        assert not wrong, f"request {answer.request} to release {answer.release}: {wrong}"


def _when(load: Load, release: int | None) -> str:
    """Which of the load's answers a release gave, and when."""
    began = min(answer.at for answer in load.answers)
    at = [answer.at - began for answer in load.answers if answer.release == release]
    return f"{len(at)} of {len(load.answers)} answers, from {min(at):.2f} s to {max(at):.2f} s after the first of all"


def only_one_answers(laptop: Laptop, champion: int) -> None:
    """All requests are answered by the champion, and rightly."""
    for line in laptop.golden(champion)[:10]:
        status, headers, body = laptop.ask(line["request"])
        assert (status, headers.get("x-release")) == (200, str(champion)), (status, headers)
        assert not difference(line["response"], body, TOLERANCE)


def nothing_is_left_over(laptop: Laptop, champion: int) -> None:
    """No server, process, pod, file or lock beside those of the champion and the platform."""
    left = laptop.left_over(champion)
    assert not left, f"left over: {left}"


def _answers_to(laptop: Laptop, release: int, load: Load) -> list[dict[str, Any]]:
    """The recorded answers of a release to the load's requests, in their order."""
    recorded = {_key(line["request"]): line["response"] for line in laptop.golden(release)}
    return [recorded[_key(body)] for body in load.bodies]


def _key(body: Any) -> str:
    import json

    return json.dumps(body, sort_keys=True)
