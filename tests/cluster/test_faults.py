"""What breaks under a rollout in a cluster: the controller, the API server, a pod, the registry, Prometheus, whoever ran the update."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.kubernetes.manifests import RETIRE_SECONDS
from tests import invariants
from tests.clustered import ClusterStack, cluster_runs
from tests.laptop import FAST, kill_session, read_until, wait_until
from toolchain.cluster.node import Node

pytestmark = pytest.mark.timeout(900)

SLOW_ENOUGH = {**FAST, "step-seconds": 4, "bake-seconds": 4}


@pytest.fixture(autouse=True)
def rested(town: ClusterStack, cluster: Node) -> Iterator[None]:
    """Begins with release 1 alone, and ends with all parts of the node running."""
    town.champion(1, rollout=SLOW_ENOUGH, replicas=1)
    town.up()
    yield
    for part in ("registry", "prometheus", "rollouts", "apiserver", "controller-manager"):
        cluster.start(part)
    wait_until(cluster_runs(cluster), what="all parts run")


def test_what_is_killed_during_a_rollout_does_not_decide_it(town: ClusterStack, cluster: Node) -> None:
    town.make_release(60)
    before = invariants.records(town)
    # With one pod its death is an outage; the other answers meanwhile.
    town.champion(1, replicas=2)
    town.up()
    with town.load(rate=40) as load:
        promotion = town.start("promote", "iris", "60", "--stack", town.stack)
        out = read_until(promotion, "1/4 golden replay | pass")
        cluster.kill("rollouts")
        out += read_until(promotion, "2/4 20 % | pass")
        time.sleep(2)  # in the middle of the stage
        cluster.kill("apiserver")
        out += read_until(promotion, "3/4 60 % | pass")
        pod = town.objects("pods", "--selector=mldelivery/release=1")[0]["metadata"]["name"]
        town.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
        rest, _ = promotion.communicate(timeout=180)
        assert promotion.returncode == 0, out + rest
        load.wait_for(40)
    invariants.check(town, champion=60, load=load, between={1, 60}, before=before)


def replays(town: ClusterStack) -> bool:
    return any(job["status"].get("active") for job in town.objects("jobs"))


def steps(town: ClusterStack) -> bool:
    return weight(town) == 20


def bakes(town: ClusterStack) -> bool:
    return weight(town) == 100


def probed(town: ClusterStack, stages: int) -> bool:
    """Whether the probes of so many stages of the release under test have passed."""
    runs = [
        run for run in town.objects("analysisruns") if run["metadata"]["labels"].get("rollouts-pod-template-hash") == hash_under_test(town)
    ]
    found = [metric for run in runs for metric in run.get("status", {}).get("metricResults") or () if metric["name"] == "probe"]
    return [metric["phase"] for metric in found] == ["Successful"] * stages


def hash_under_test(town: ClusterStack) -> str:
    """Hash of the pods under test."""
    return str(champion(town)["status"]["currentPodHash"])


def champion(town: ClusterStack) -> dict[str, Any]:
    """The Rollout of iris."""
    found = town.objects("rollouts.argoproj.io", "--selector=app.kubernetes.io/name=iris")
    return next(rollout for rollout in found if rollout["metadata"]["name"] == "iris")


def weight(town: ClusterStack) -> int:
    """Percent of the traffic on the release under test."""
    return int(champion(town)["status"].get("canary", {}).get("weights", {}).get("canary", {}).get("weight", 0))


@pytest.mark.parametrize(("number", "moment", "then"), [(63, replays, "again"), (64, steps, "back"), (65, bakes, "again")])
def test_a_killed_update_is_finished_or_undone_by_the_same_command(
    town: ClusterStack, number: int, moment: Callable[[ClusterStack], bool], then: str
) -> None:
    town.make_release(number)
    before = invariants.records(town)
    with town.load(rate=40) as load:
        town.champion(number)
        update = town.start("up", "--stack", town.stack)
        wait_until(lambda: moment(town), what=moment.__name__)
        kill_session(update)
        champion = number if then == "again" else 1
        town.champion(champion)
        out = town.up()
        load.wait_for(40)
    assert "recovered: cleared the lock of process" in out
    invariants.check(town, champion=champion, load=load, between={1, number}, before=before)


def test_old_pods_answer_until_the_cluster_leads_to_the_new_ones(town: ClusterStack, cluster: Node) -> None:
    town.make_release(59)
    before = invariants.records(town)
    town.champion(1, rollout={**SLOW_ENOUGH, "bake-seconds": 15})
    with town.load(rate=40) as load:
        promotion = town.start("promote", "iris", "59", "--stack", town.stack)
        out = read_until(promotion, "3/4 60 % | pass")
        wait_until(lambda: weight(town) == 100 and not replays(town) and probed(town, 3), what="the last stage needs no Job any more")
        # What makes a Service lead to the pods that its selector names.
        cluster.stop("controller-manager")
        try:
            out += read_until(promotion, "59 has all weight, but Service iris-stable does not lead to its pods yet")
            time.sleep(RETIRE_SECONDS + 5)
            old = town.objects("replicasets", "--selector=mldelivery/release=1")
            assert [found["spec"]["replicas"] for found in old] == [1], "the pods that users are led to were ended"
            assert promotion.poll() is None
        finally:
            cluster.start("controller-manager")
        rest, _ = promotion.communicate(timeout=180)
        assert promotion.returncode == 0, out + rest
        assert "59 answers everything; 1 retires" in rest
        ended = time.monotonic()
        load.wait_for(40)
    late = [answer for answer in load.answers if answer.at > ended and answer.release != 59]
    assert not late, f"{len(late)} answers of the old release after the promotion's end"
    invariants.check(town, champion=59, load=load, between={1, 59}, before=before)


def test_two_people_promoting_at_once_and_a_return_during_a_rollout(town: ClusterStack) -> None:
    town.make_release(66)
    town.make_release(67)
    before = invariants.records(town)
    with town.load(rate=40) as load:
        first = town.start("promote", "iris", "66", "--stack", town.stack)
        said = read_until(first, "1/4 golden replay | pass")
        for other in ("67", "1"):
            out = town.refused("promote", "iris", other, "--stack", town.stack)
            assert "is held by process " in out and "wait for that promotion to end" in out
        rest, _ = first.communicate(timeout=180)
        assert first.returncode == 0, said + rest
    invariants.check(town, champion=66, load=load, between={1, 66}, before=before)


def test_without_the_registry_nothing_new_begins_and_the_way_back_is_open(town: ClusterStack, cluster: Node) -> None:
    town.make_release(68)
    town.make_release(69)
    town.ok("promote", "iris", "68", "--stack", town.stack)
    before = invariants.records(town)
    cluster.stop("registry")
    with town.load(rate=40) as load:
        out = town.refused("promote", "iris", "69", "--stack", town.stack)
        assert "the image registry refuses iris" in out and "68 is back in Pulumi.cluster.yaml" in out
        back = town.ok("promote", "iris", "1", "--stack", town.stack)
        assert "has served in this cluster before: going on" in back and "68 -> 1 | 2/2 switch to 100 % | pass: proven before" in back
        load.wait_for(20)
    cluster.start("registry")
    invariants.check(town, champion=1, load=load, between={1, 68}, before=before)


def test_without_prometheus_nothing_passes_and_the_way_back_is_open(town: ClusterStack, cluster: Node) -> None:
    town.make_release(70)
    town.make_release(71)
    town.ok("promote", "iris", "70", "--stack", town.stack)
    before = invariants.records(town)
    cluster.stop("prometheus")
    with town.load(rate=40) as load:
        out = town.refused("promote", "iris", "71", "--stack", town.stack)
        assert "71 did not pass at '20 %'" in out and "connection refused" in out
        back = town.ok("promote", "iris", "1", "--stack", town.stack)
        assert "70 -> 1 | 2/2 switch to 100 % | pass: proven before" in back
        load.wait_for(20)
    invariants.check(town, champion=1, load=load, between={1, 70, 71}, before=before)
