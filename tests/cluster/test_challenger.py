"""A challenger beside the champion in a cluster: its share of live traffic, or a shadow copy of it; verified before it gets either."""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import sqrt

import pytest

from tests import faulty, invariants
from tests.clustered import ClusterStack
from tests.laptop import FAST, wait_until

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(autouse=True)
def rested(town: ClusterStack) -> Iterator[None]:
    """Begins and ends with release 1 alone."""
    town.champion(1, rollout=FAST)
    yield
    town.drop_challenger()
    town.up()


def answered(town: ClusterStack, release: int) -> int:
    """Users' requests that the pods of a release answered, by their own count."""
    total = 0.0
    for pod in town.objects("pods", f"--selector=mldelivery/release={release}", "--field-selector=status.phase=Running"):
        if "deletionTimestamp" in pod["metadata"]:
            # Of a challenger before: it may be gone before it is asked.
            continue
        # By way of the API server: nobody but the gateway reaches a pod from outside.
        path = f"/api/v1/namespaces/{town.namespace}/pods/{pod['metadata']['name']}:3000/proxy/metrics"
        lines = town.kubectl("get", "--raw", path).splitlines()
        total += sum(float(line.split()[-1]) for line in lines if line.startswith("serving_requests_total") and 'probe="false"' in line)
    return round(total)


def is_shadowed(town: ClusterStack) -> bool:
    """Whether what a user sends now reaches release 2 too: the gateway copies it in its own time."""
    before = answered(town, 2)
    town.ask(town.golden(1)[0]["request"])
    time.sleep(0.5)
    return answered(town, 2) > before


def test_a_challenger_answers_its_share_and_another_takes_its_place(town: ClusterStack) -> None:
    town.make_release(82)
    with town.load(rate=60) as load:
        town.champion(1, challenger={"release": 2, "share": 30})
        out = town.up()
        assert "iris-challenger: 2 stands ready beside the champion" in out
        # The gateway takes over what the cluster has some time after the update has ended.
        wait_until(lambda: load.by_release()[2] > 0, what="the challenger answers")
        before = len(load.answers)
        load.wait_for(400)
        answers = load.answers[before + 20 :]
        status = town.status()
        # One challenger after the other, and the first one again: the way back of a blue-green Rollout.
        town.champion(1, challenger={"release": 82, "share": 30})
        assert "82 stands ready" in town.up()
        town.champion(1, challenger={"release": 2, "share": 30})
        assert "2 stands ready" in town.up()
        load.wait_for(60)
    share = sum(answer.release == 2 for answer in answers) / len(answers)
    assert abs(share - 0.3) < 4 * sqrt(0.3 * 0.7 / len(answers)) + 0.01
    assert status["challenger"] == "2 (30 %)" and status["traffic"] == {"1": 70, "2": 30}
    invariants.answers_are_right(town, load, between={1, 2, 82})
    town.has_no_changes()


def test_a_shadow_sees_everything_and_answers_nothing(town: ClusterStack) -> None:
    town.champion(1, challenger={"release": 2, "shadow": True})
    town.up()
    wait_until(lambda: is_shadowed(town), what="the gateway copies to the shadow")
    seen = answered(town, 2)
    with town.load(rate=60) as load:
        load.wait_for(120)
    assert load.by_release() == {1: len(load.answers)}
    wait_until(lambda: answered(town, 2) - seen >= 0.95 * len(load.answers), what="the shadow's own count")
    invariants.answers_are_right(town, load, between={1})
    assert town.status()["traffic"] == {"1": 100}


def test_a_challenger_that_is_wrong_gets_nothing(town: ClusterStack) -> None:
    town.make_release(80, fault=faulty.one_wrong_answer)
    town.champion(1, challenger={"release": 80, "share": 30})
    with town.load(rate=60) as load:
        out = town.refused("up", "--stack", town.stack)
        load.wait_for(60)
    assert "golden requests got another answer than recorded" in out
    assert load.by_release() == {1: len(load.answers)} and not load.failed


def test_a_promotion_with_a_challenger_beside_it_and_then_the_challengers_own(town: ClusterStack) -> None:
    town.make_release(81)
    town.champion(1, challenger={"release": 2, "share": 20})
    town.up()
    with town.load(rate=60) as load:
        town.ok("promote", "iris", "81", "--stack", town.stack)
        load.wait_for(60)
        assert town.status()["traffic"] == {"2": 20, "81": 80}
        town.drop_challenger()
        town.champion(2)
        town.up()
        load.wait_for(60)
    invariants.answers_are_right(town, load, between={1, 2, 81})
    assert town.status()["traffic"] == {"2": 100}
    town.ok("promote", "iris", "1", "--stack", town.stack)
