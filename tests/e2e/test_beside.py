"""A challenger beside the champion: its share of live traffic, or a shadow copy of it; verified before it gets either."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import sqrt

import pytest

from tests import faulty, invariants
from tests.laptop import FAST, Laptop, wait_until

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(autouse=True)
def rested(home: Laptop) -> Iterator[None]:
    """Begins and ends with release 1 alone."""
    home.drop_challenger()
    home.champion(1, rollout=FAST)
    home.up()
    yield
    home.drop_challenger()
    home.up()


def logged(home: Laptop, release: int) -> list[dict[str, object]]:
    """What users sent to a release, from its request log."""
    path = home.store / "requests" / f"serve-iris-{release}-0.jsonl"
    # Without a last line that is being written.
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n") if path.exists() else ("", "", "")
    lines = [json.loads(line) for line in whole.splitlines()]
    return [line for line in lines if not line["probe"]]


def test_a_challenger_answers_its_share(home: Laptop) -> None:
    with home.load(rate=120) as load:
        home.champion(1, challenger={"release": 2, "share": 30})
        home.up()
        before = len(load.answers)
        load.wait_for(600)
        answers = load.answers[before + 20 :]
    share = sum(answer.release == 2 for answer in answers) / len(answers)
    assert abs(share - 0.3) < 4 * sqrt(0.3 * 0.7 / len(answers)) + 0.01
    invariants.answers_are_right(home, load, between={1, 2})
    status = home.status()
    assert status["challenger"] == "2 (30 %)" and status["traffic"] == {"1": 70, "2": 30}
    home.has_no_changes()


def test_a_shadow_sees_everything_and_answers_nothing(home: Laptop) -> None:
    home.champion(1, challenger={"release": 2, "shadow": True})
    home.up()
    seen = len(logged(home, 2))
    with home.load(rate=60) as load:
        load.wait_for(120)
    assert load.by_release() == {1: len(load.answers)}
    wait_until(lambda: len(logged(home, 2)) - seen >= 0.95 * len(load.answers), what="the shadow's request log")
    invariants.answers_are_right(home, load, between={1})
    assert home.status()["traffic"] == {"1": 100}


@pytest.mark.parametrize("beside", [{"share": 30}, {"shadow": True}], ids=["share", "shadow"])
def test_a_challenger_that_is_wrong_gets_nothing(home: Laptop, beside: dict[str, object]) -> None:
    home.make_release(80, fault=faulty.one_wrong_answer)
    home.champion(1, challenger={"release": 80, **beside})
    with home.load(rate=60) as load:
        out = home.refused("up", "--stack", "local")
        load.wait_for(60)
    assert "1 of 41 golden requests" in out or "golden requests got another answer" in out
    assert load.by_release() == {1: len(load.answers)} and not load.failed
    assert not logged(home, 80)


def test_a_promotion_with_a_challenger_beside_it(home: Laptop) -> None:
    home.make_release(81)
    home.champion(1, challenger={"release": 2, "share": 20})
    home.up()
    with home.load(rate=60) as load:
        home.ok("promote", "iris", "81")
        load.wait_for(60)
    invariants.answers_are_right(home, load, between={1, 2, 81})
    assert home.status()["traffic"] == {"2": 20, "81": 80}
    home.ok("promote", "iris", "1")


def test_the_challenger_is_promoted(home: Laptop) -> None:
    home.champion(1, challenger={"release": 2, "share": 20})
    home.up()
    with home.load(rate=60) as load:
        home.drop_challenger()
        home.champion(2)
        home.up()
        load.wait_for(60)
    invariants.answers_are_right(home, load, between={1, 2})
    assert home.status()["traffic"] == {"2": 100}
    home.ok("promote", "iris", "1")
