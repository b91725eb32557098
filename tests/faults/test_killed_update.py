"""kill -9 of an update at every phase, under load: nobody notices, and the same command finishes the work."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

import psutil
import pytest

from tests import invariants
from tests.laptop import FAST, Laptop, kill_session, wait_until

pytestmark = pytest.mark.timeout(900)
SLOW_ENOUGH = {**FAST, "step-seconds": 3, "bake-seconds": 3}


def history(home: Laptop, since: int) -> list[dict[str, object]]:
    """The events of iris' rollouts after the first ``since`` lines."""
    path = home.store / "rollouts" / "iris.history.jsonl"
    # Without a last line that is being written.
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()[since:]]


def route(home: Laptop) -> str:
    return (home.store / "gateway" / "routes" / "iris.yaml").read_text(encoding="utf-8")


def holds_lock(home: Laptop, _number: int, _since: int) -> bool:
    return any((home.state / "locks").rglob("*.json"))


def starts_server(home: Laptop, number: int, _since: int) -> bool:
    return f"serve-iris-{number}-0" in home.serving()


def replays(home: Laptop, _number: int, since: int) -> bool:
    return any(event["event"] == "started" for event in history(home, since))


def steps(home: Laptop, number: int, _since: int) -> bool:
    return f"iris-{number}" in route(home) and "weight: 20" in route(home)


def bakes(home: Laptop, _number: int, since: int) -> bool:
    return sum(event["event"] == "stage" for event in history(home, since)) == 3


def retires(home: Laptop, _number: int, since: int) -> bool:
    return any(event["event"] == "done" for event in history(home, since))


MOMENTS = [holds_lock, starts_server, replays, steps, bakes, retires]


@pytest.mark.parametrize(
    ("then", "moment"),
    [*(("again", moment) for moment in MOMENTS), ("back", starts_server), ("back", steps), ("back", retires)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_killed_update_is_finished_or_undone_by_the_same_command(
    home: Laptop, moment: Callable[[Laptop, int, int], bool], then: str, request: pytest.FixtureRequest
) -> None:
    # given
    number = 100 + sum(map(ord, request.node.name)) % 800
    home.make_release(number)
    home.champion(1, rollout=FAST)
    home.up()
    before = invariants.records(home)
    since = len(history(home, 0))
    # when
    with home.load(rate=40) as load:
        home.champion(number, rollout=SLOW_ENOUGH)
        update = home.start("up", "--stack", "local")
        wait_until(lambda: moment(home, number, since), what=moment.__name__)
        kill_session(update)
        champion = number if then == "again" else 1
        home.champion(champion, rollout=FAST)
        out = home.up()
        load.wait_for(20)
    # then
    assert "recovered: cleared the lock of process" in out
    invariants.check(home, champion=champion, load=load, between={1, number}, before=before)


def test_when_only_the_engine_is_killed_the_rollout_goes_back_by_itself(home: Laptop) -> None:
    home.make_release(90)
    home.champion(1, rollout=FAST)
    home.up()
    before = invariants.records(home)
    since = len(history(home, 0))
    with home.load(rate=40) as load:
        home.champion(90, rollout={**FAST, "step-seconds": 60})
        update = home.start("up", "--stack", "local")
        wait_until(lambda: steps(home, 90, since), what="the first step")
        engine = next(child for child in psutil.Process(update.pid).children() if child.name() == "pulumi")
        engine.kill()
        wait_until(lambda: "weight: 20" not in route(home), seconds=10, what="the weights go back")
        assert update.wait(timeout=120) != 0
        assert update.stdout is not None
        update.stdout.close()
        reason = "the command that drove this rollout was killed"
        wait_until(lambda: (home.account()["last_return"] or {}).get("reason") == reason, seconds=10, what="the reason is noted")
        home.champion(1, rollout=FAST)
        home.up()
    invariants.check(home, champion=1, load=load, between={1, 90}, before=before)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_promotion_puts_the_number_and_the_traffic_back(home: Laptop, how: signal.Signals) -> None:
    import os

    home.make_release(91)
    home.champion(1, rollout={**FAST, "step-seconds": 60})
    home.up()
    before, text = invariants.records(home), home.config.read_text(encoding="utf-8")
    since = len(history(home, 0))
    with home.load(rate=40) as load:
        promotion = home.start("promote", "iris", "91")
        wait_until(lambda: steps(home, 91, since), what="the first step")
        os.killpg(promotion.pid, how)
        out, _ = promotion.communicate(timeout=150)
    assert promotion.returncode != 0
    assert "Traceback" not in out, out
    assert "interrupted" in out and "91 was not promoted" in out, out
    assert home.config.read_text(encoding="utf-8") == text
    invariants.check(home, champion=1, load=load, between={1, 91}, before=before, reconcile=False)
    home.champion(1, rollout=FAST)


def test_the_store_can_be_moved(home: Laptop) -> None:
    """Nothing in state names the folder of the checkout: a moved checkout is previewed as it is."""
    state = (home.state / "stacks" / "mldelivery" / "local.json").read_text(encoding="utf-8")
    assert str(home.root) not in state
