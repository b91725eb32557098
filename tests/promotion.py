"""Plays one line of the scenario table on a target, whichever it is, and holds its ending against the line and the invariants."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tests import invariants
from tests.laptop import FAST, SLO, Laptop
from tests.load import Load
from tests.scenarios import Scenario


def play(home: Laptop, number: int, scenario: Scenario) -> None:
    """Promote release ``number``, made as the scenario says, over champion 1; afterwards 1 is the champion again."""
    # given
    home.make_release(number, fault=scenario.given)
    changes = dict(scenario.config)
    usual: dict[str, Any] = {"replicas": 1, "ready-seconds": 20, "rollout": FAST, "slo": SLO}
    home.champion(1, **{**usual, **changes, "rollout": {**FAST, **changes.get("rollout", {})}})
    home.up()
    text, before = home.config.read_text(encoding="utf-8"), invariants.records(home)

    # when
    with _users(home, scenario.rate) as load:
        done = home.run("promote", "iris", str(number), "--stack", home.stack)
        if load is not None:
            load.wait_for(20)

    # then
    for words in scenario.says:
        assert words in done.stdout, f"{words!r} is not in:\n{done.stdout}"
    if scenario.ends == "promoted":
        assert done.returncode == 0, done.stdout
        champion = number
    else:
        assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
        assert home.config.read_text(encoding="utf-8") == text, "the file is not as it was"
        assert f"{number} was not promoted; 1 is back in {home.config.name}" in done.stdout
        champion = 1
        if load is not None:
            exposed = load.by_release()[number] + len(load.failed)
            assert exposed <= max(0.35 * len(load.answers), 1), "more than its step's share was exposed"
    invariants.check(
        home,
        champion=champion,
        load=load,
        between={1, number},
        before=before,
        may_fail=scenario.hurt,
        reconcile=scenario.ends == "promoted",
    )
    if champion != 1:
        back = home.ok("promote", "iris", "1", "--stack", home.stack)
        assert f"{champion} -> 1 | 2/2 switch to 100 % | pass: proven before" in back, "a proven release was walked through steps again"
    home.champion(1, **usual)


@contextlib.contextmanager
def _users(home: Laptop, rate: float) -> Iterator[Load | None]:
    """Users who ask at a constant rate, or nobody."""
    if not rate:
        yield None
        return
    with home.load(rate=rate) as load:
        yield load
