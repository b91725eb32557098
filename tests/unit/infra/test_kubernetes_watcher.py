"""The watch and the guard against a cluster of dictionaries: what they say, do and note down."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra import driver
from infra.errors import PlatformError, RolloutAborted
from infra.kubernetes import guard, ledger, watcher
from infra.kubernetes.api import ANALYSIS_RUN, ANALYSIS_TEMPLATE, CRD, JOB, POD, REPLICA_SET, TRAEFIK_SERVICE, Object, Unreachable
from infra.kubernetes.guard import RolloutGuardProvider
from infra.kubernetes.labels import Names
from infra.kubernetes.watcher import RolloutWatchProvider
from tests.unit.infra.fake_cluster import (
    CURRENT,
    STABLE,
    FakeCluster,
    measured,
    promoted,
    props,
    replica_set,
    rollout,
    run,
    switched,
    under_way,
)

WHERE = {"kubeconfig": None, "context": None, "namespace": "test"}
GUARDED = {**WHERE, "model": "iris", "role": "champion", "champion": 2, "image": "i", "rollback_window": 3}
GOLDEN = {"name": "golden", "measurements": [{"metadata": {"job-name": "job"}}]}
TOLD = "41 of 41 golden requests answered as recorded by release 2, in 0.05 s"
ABORTED = {"abort": True, "abortedAt": "2026-01-01T00:00:09Z", "phase": "Degraded", "message": "RolloutAborted: Rollout aborted update"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(watcher, "TICK_SECONDS", 0.001)
    monkeypatch.setattr(driver, "INTERRUPT", tmp_path / "interrupt")


def use(monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster, *, proven: dict[int, str] | None = None) -> FakeCluster:
    """Let watch and guard meet this cluster, in which these releases are proven."""
    for module in (watcher, guard):
        monkeypatch.setattr(module, "connect", lambda _kubeconfig, _context: cluster)
    for release, pod_hash in (proven if proven is not None else {1: STABLE}).items():
        ledger.record_done(cluster, "test", "iris", release=release, image="i", pod_hash=pod_hash)
    cluster.put(REPLICA_SET, replica_set(1, STABLE), replica_set(2, CURRENT))
    for pod_hash in (STABLE, CURRENT):
        cluster.put(POD, {"metadata": {"name": f"serves-{pod_hash}", "labels": {"rollouts-pod-template-hash": pod_hash}}})
    return cluster


def with_runs(status: Object, *runs: Object) -> Callable[[FakeCluster], None]:
    """One look: the Rollout with this status, and these analyses."""

    def show(cluster: FakeCluster) -> None:
        cluster.objects["rollouts", "iris"] = rollout(2, status)
        cluster.put(ANALYSIS_RUN, *runs)

    return show


def passed(step: int) -> Object:
    return run(step, "Successful", [GOLDEN] if step == 1 else [measured("verdict", "[40,0,0,0,12.5]")])


def test_a_rollout_is_told_stage_by_stage(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    cluster = FakeCluster(
        rollout(2, {"observedGeneration": "0"}),
        with_runs(under_way()),
        with_runs(under_way(), passed(1)),
        with_runs(under_way(20), passed(3)),
        with_runs(under_way(100), passed(5)),
        with_runs(promoted(CURRENT)),
    )
    use(monkeypatch, cluster)
    cluster.logs["pod"] = TOLD
    cluster.put(POD, {"metadata": {"name": "pod", "labels": {"job-name": "job"}}})
    RolloutWatchProvider().update("", props(1), props(2))
    assert capfd.readouterr().out.splitlines() == [
        "iris: 1 -> 2 | 1/3 golden replay | pass: 41 golden answers of 2 as recorded in 0.05 s (3.0 s)",
        "iris: 1 -> 2 | 2/3 20 % | pass: 40 requests, 0.00 % errors, p99 12.5 ms (3.0 s)",
        "iris: 1 -> 2 | 3/3 bake at 100 % | pass: 40 requests, 0.00 % errors, p99 12.5 ms (3.0 s)",
        "iris: 2 answers everything; 1 retires",
    ]
    account = ledger.read(cluster, "test", "iris")
    assert (account.serving, account.has_proven(CURRENT), account.has_proven(STABLE)) == (2, True, True)
    assert not [patch for patch in cluster.patches if "status" in patch or "spec" in patch], (
        "the watch changed what the controller works on"
    )


def test_it_answers_everything_only_once_users_are_led_to_it(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    cluster = use(monkeypatch, FakeCluster(with_runs(promoted(CURRENT), passed(1))))
    retired = replica_set(1, STABLE)
    retired["metadata"]["annotations"] = {watcher.RETIRED: "2026-01-01T00:00:10Z"}
    cluster.put(REPLICA_SET, retired)
    cluster.leads_to = [[STABLE], [STABLE, CURRENT], []]
    monkeypatch.setattr(watcher, "SLOW_TO_FOLLOW_SECONDS", 0)
    RolloutWatchProvider().update("", props(1), props(2))
    assert cluster.leads_to == []
    assert capfd.readouterr().out.splitlines()[-2:] == [
        "iris: 2 has all weight, but Service iris-stable does not lead to its pods yet: waiting for the cluster",
        "iris: 2 answers everything; 1 retires",
    ]
    kept = [patch["metadata"]["annotations"][watcher.RETIRED] for patch in cluster.patches if "annotations" in patch.get("metadata", {})]
    assert kept and all(datetime.fromisoformat(until) > datetime.now(UTC) + timedelta(seconds=10) for until in kept)


def test_old_pods_that_stay_long_enough_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = use(monkeypatch, FakeCluster(with_runs(promoted(CURRENT), passed(1))))
    retired = replica_set(1, STABLE)
    retired["metadata"]["annotations"] = {watcher.RETIRED: f"{datetime.now(UTC) + timedelta(seconds=30):%Y-%m-%dT%H:%M:%SZ}"}
    cluster.put(REPLICA_SET, retired)
    cluster.leads_to = [[STABLE]]
    RolloutWatchProvider().update("", props(1), props(2))
    assert not [patch for patch in cluster.patches if "annotations" in patch.get("metadata", {})]


def test_a_cluster_that_never_leads_users_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = use(monkeypatch, FakeCluster(with_runs(promoted(CURRENT), passed(1))))
    cluster.leads_to = [[STABLE]] * 10_000
    monkeypatch.setattr(watcher, "FOLLOW_SECONDS", 0.05)
    with pytest.raises(PlatformError, match=r"Service iris-stable still leads to other pods, or to none") as raised:
        RolloutWatchProvider().update("", props(1), props(2))
    assert "kube-controller-manager" in str(raised.value)
    assert ledger.read(cluster, "test", "iris").serving == 1, "what users are not led to does not serve"


@pytest.mark.parametrize("before", [1, 2])
def test_a_controller_that_has_only_scaled_has_not_promoted(monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    # Of a change of template and number of pods it notes the generation as seen while all else still speaks of the pods before.
    cluster = use(monkeypatch, FakeCluster(rollout(2, promoted(STABLE)), with_runs(under_way()), with_runs(promoted(CURRENT), passed(1))))
    for release, pod_hash, revision in ((before, STABLE, "1"), (2, CURRENT, "2")):
        found = replica_set(release, pod_hash)
        found["metadata"]["annotations"] = {"rollout.argoproj.io/revision": revision}
        cluster.put(REPLICA_SET, found)
    RolloutWatchProvider().update("", {**props(before), "wiring": {}}, props(2))
    account = ledger.read(cluster, "test", "iris")
    assert [(entry.release, entry.hash) for entry in account.proven] == [(2, CURRENT), (1, STABLE)]


def test_pods_that_may_not_be_made_are_no_promotion(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    unmade = {"type": "Progressing", "reason": "ReplicaSetCreateError", "message": "exceeded quota: few"}
    cluster = use(monkeypatch, FakeCluster(rollout(2, {**promoted(STABLE), "conditions": [unmade]})))
    monkeypatch.setattr(watcher, "SLOW_TO_LOOK_SECONDS", 0)
    monkeypatch.setattr(watcher, "UNSEEN_SECONDS", 0.02)
    with pytest.raises(PlatformError, match="cannot make the pods of 2: exceeded quota: few"):
        RolloutWatchProvider().update("", props(1), props(2))
    assert "iris: Argo Rollouts cannot make the pods of 2: exceeded quota: few; it tries again" in capfd.readouterr().out
    assert ledger.read(cluster, "test", "iris").serving == 1


def test_users_are_led_back_from_pods_that_crashed_after_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    # Argo Rollouts writes the Service's selector only while all aborted pods are ready.
    cluster = use(
        monkeypatch,
        FakeCluster(
            switched(2, CURRENT, stable=STABLE, active=CURRENT),
            switched(2, CURRENT, stable=STABLE, active=CURRENT, **ABORTED),
            switched(2, CURRENT, stable=STABLE, active=STABLE, **ABORTED),
        ),
    )
    with pytest.raises(RolloutAborted, match=r"All traffic is on 1 again\.") as raised:
        RolloutWatchProvider().update("", props(1), props(2, strategy="blue-green", steps=()))
    assert {"spec": {"selector": {"rollouts-pod-template-hash": STABLE}}} in cluster.patches
    assert ("services", "iris-stable") in cluster.objects
    assert "At most 100 % of the traffic reached 2" in str(raised.value)


def test_a_return_is_told_once_users_are_led_back(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    cluster = use(monkeypatch, FakeCluster(switched(2, CURRENT, stable=STABLE, active=STABLE, **ABORTED)))
    retired = replica_set(2, CURRENT)
    retired["metadata"]["annotations"] = {watcher.RETIRED: "2026-01-01T00:00:02Z"}
    cluster.put(REPLICA_SET, retired)
    cluster.leads_to = [[CURRENT], [STABLE, CURRENT], []]
    monkeypatch.setattr(watcher, "SLOW_TO_FOLLOW_SECONDS", 0)
    with pytest.raises(RolloutAborted, match=r"All traffic is on 1 again\."):
        RolloutWatchProvider().update("", props(1), props(2, strategy="blue-green", steps=()))
    assert cluster.leads_to == []
    assert "1 is to answer again, but Service iris-stable does not lead to its pods yet" in capfd.readouterr().out
    kept = [patch["metadata"]["annotations"][watcher.RETIRED] for patch in cluster.patches if "annotations" in patch.get("metadata", {})]
    assert kept and all(datetime.fromisoformat(until) > datetime.now(UTC) + timedelta(seconds=10) for until in kept)


def test_a_return_that_the_cluster_does_not_follow_is_not_told_as_done(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = use(monkeypatch, FakeCluster(switched(2, CURRENT, stable=STABLE, active=STABLE, **ABORTED)))
    cluster.leads_to = [[CURRENT]] * 10_000
    monkeypatch.setattr(watcher, "FOLLOW_SECONDS", 0.05)
    with pytest.raises(RolloutAborted, match=r"The traffic is going back to 1\."):
        RolloutWatchProvider().update("", props(1), props(2, strategy="blue-green", steps=()))


@pytest.mark.parametrize("weight", [60, 0])
def test_weights_of_a_canary_do_not_outlast_its_strategy(monkeypatch: pytest.MonkeyPatch, weight: int) -> None:
    over = switched(2, CURRENT, stable=CURRENT, active=CURRENT, phase="Healthy")
    cluster = use(monkeypatch, FakeCluster(switched(2, CURRENT, stable=STABLE, active=STABLE), over), proven={1: STABLE, 2: CURRENT})
    shares = {"iris-stable": 100 - weight, "iris-canary": weight}
    members = [{"name": name, "kind": "Service", "port": 80, "weight": share} for name, share in shares.items()]
    cluster.put(TRAEFIK_SERVICE, {"metadata": {"name": "iris-rollout"}, "spec": {"weighted": {"services": members}}})
    RolloutWatchProvider().update("", props(1), props(2, strategy="blue-green", steps=()))
    moved = [patch["spec"]["weighted"]["services"] for patch in cluster.patches if "weighted" in patch.get("spec", {})]
    wanted = [{**member, "weight": 100 if member["name"] == "iris-stable" else 0} for member in members]
    assert moved == ([wanted] if weight else [])


def test_going_back_by_hand_during_a_bake_waits_for_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    # Argo Rollouts skips the analysis of what is stable, and does not switch without it.
    waiting = switched(2, CURRENT, stable=CURRENT, active=STABLE, message="active service cutover pending")
    over = switched(2, CURRENT, stable=CURRENT, active=CURRENT, phase="Healthy")
    cluster = use(monkeypatch, FakeCluster(waiting, waiting, over), proven={1: STABLE, 2: CURRENT})
    RolloutWatchProvider().update("", props(2), props(2, strategy="blue-green", steps=()))
    assert cluster.patches.count({"status": {"promoteFull": True}}) == 1


def test_an_abort_is_reported_with_numbers_and_share(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    failed = run(3, "Failed", [measured("early", "[30,7,0,0,5]", "Failed")])
    cluster = use(
        monkeypatch,
        FakeCluster(with_runs(under_way(20), passed(1)), with_runs(under_way(20)), with_runs(under_way(0, **ABORTED), failed)),
    )
    with pytest.raises(RolloutAborted) as raised:
        RolloutWatchProvider().update("", props(1), props(2))
    said = str(raised.value)
    assert "iris 1 -> 2: 2 did not pass at '20 %': 7 of 30 requests failed with 5xx (23.3 %, allowed 2 %)" in said
    assert "At most 20 % of the traffic reached 2, for " in said and "All traffic is on 1 again." in said
    assert "put `champion: 1` back in Pulumi.test.yaml" in said
    assert "1 -> 2 | 2/3 20 % | fail: 7 of 30" in capfd.readouterr().out
    last = ledger.read(cluster, "test", "iris").last_return
    assert last is not None and (last["from"], last["to"], last["reason"][:7]) == (2, 1, "7 of 30")


def cut_short(step: int) -> Object:
    """An analysis that an abort or a promotion at once has ended: for Argo Rollouts a success, with nothing measured."""
    return {**run(step, "Successful"), "spec": {"terminate": True}}


def test_a_stage_that_an_abort_cut_short_has_not_passed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    use(
        monkeypatch,
        FakeCluster(with_runs(under_way(20), passed(1)), with_runs(under_way(20)), with_runs(under_way(0, **ABORTED), cut_short(3))),
    )
    with pytest.raises(RolloutAborted, match="2 did not pass at '20 %'") as raised:
        RolloutWatchProvider().update("", props(1), props(2))
    assert "At most 20 % of the traffic reached 2, for " in str(raised.value), "nobody counted the users whom it met"
    assert "2/3 20 % | pass" not in capfd.readouterr().out


def test_a_golden_replay_that_was_cut_short_is_made_again(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    cluster = use(monkeypatch, FakeCluster(with_runs(promoted(CURRENT), cut_short(1))))
    cluster.logs["replay-pod"] = TOLD
    job = {"metadata": {"labels": {}}, "spec": {"activeDeadlineSeconds": 90, "template": {}}}
    cluster.put(
        ANALYSIS_TEMPLATE, {"metadata": {"name": "iris-golden"}, "spec": {"metrics": [{"name": "golden", "provider": {"job": job}}]}}
    )
    RolloutWatchProvider().update("", props(1), props(2))
    assert "1/2 golden replay | pass: 41 golden answers of 2" in capfd.readouterr().out
    assert ledger.read(cluster, "test", "iris").has_proven(CURRENT)


def test_an_abort_that_was_reported_is_tried_again(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    cluster = use(monkeypatch, FakeCluster(with_runs(under_way(0, **ABORTED))))
    with pytest.raises(RolloutAborted):
        RolloutWatchProvider().update("", props(1), props(2))
    cluster.script = [with_runs(under_way(0, **ABORTED)), with_runs(under_way(0, **ABORTED)), with_runs(promoted(CURRENT), passed(3))]
    RolloutWatchProvider().update("", props(1), props(2))
    assert {"status": {"abort": False}} in cluster.patches
    assert "2 was aborted before; it is tried again" in capfd.readouterr().out
    assert CURRENT not in cluster.sets(), "its old ReplicaSet would let Argo Rollouts skip the analysis"


def test_a_crash_loop_is_ended_before_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    container = {"name": "server", "ready": False, "state": waiting, "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}}
    labels = {"rollouts-pod-template-hash": CURRENT, "mldelivery/release": "2"}
    cluster = use(monkeypatch, FakeCluster(with_runs(under_way()), with_runs(under_way()), with_runs(under_way(0, **ABORTED))))
    cluster.put(POD, {"metadata": {"name": "pod", "labels": labels}, "status": {"containerStatuses": [container]}})
    cluster.logs["pod"] = "the model needs 64 GiB of memory"
    with pytest.raises(RolloutAborted, match=r"exited while starting, with code 3.*\n.*64 GiB of memory") as raised:
        RolloutWatchProvider().update("", props(1), props(2))
    assert {"status": {"abort": True}} in cluster.patches
    assert "No user's request reached 2." in str(raised.value)


def test_a_wait_for_users_ends_as_a_return(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    waits = run(3, "Running", [measured("verdict", "[0,0,0,0,0]", "Inconclusive")])
    over = run(3, "Inconclusive", [measured("verdict", "[0,0,0,0,0]", "Inconclusive")])
    paused = {"pauseConditions": [{"reason": "InconclusiveAnalysisRun", "startTime": "2026-01-01T00:00:05Z"}]}
    cluster = use(
        monkeypatch,
        FakeCluster(
            with_runs(under_way(20), passed(1), waits),
            with_runs(under_way(20, **paused), over),
            with_runs(under_way(0, **ABORTED), over),
        ),
    )
    with pytest.raises(RolloutAborted, match="0 of at least 30 requests seen") as raised:
        RolloutWatchProvider().update("", props(1), props(2, insufficient="hold"))
    out = capfd.readouterr().out
    assert "20 %: holding until users have sent 30 requests, 1 s at most" in out and "kubectl argo rollouts promote iris -n test" in out
    assert {"status": {"abort": True}} in cluster.patches
    assert "No user's request reached 2 (20 % of the traffic was open to it" in str(raised.value)


@pytest.mark.parametrize("log", [TOLD, "40 of 41 golden requests answered as recorded by release 2, in 1.00 s\nline 9: wrong"])
def test_a_first_release_is_verified_by_the_watch(monkeypatch: pytest.MonkeyPatch, log: str, capfd: pytest.CaptureFixture[str]) -> None:
    cluster = use(monkeypatch, FakeCluster(with_runs(promoted(CURRENT))), proven={})
    pod = {"spec": {"containers": [{"image": "{{args.image}}", "args": ["{{args.release}}"]}]}}
    job = {"metadata": {}, "spec": {"activeDeadlineSeconds": 120, "template": pod}}
    cluster.put(ANALYSIS_TEMPLATE, {"metadata": {"name": "iris-golden"}, "spec": {"metrics": [{"provider": {"job": job}}]}})
    cluster.logs["replay-pod"] = log
    if log == TOLD:
        RolloutWatchProvider().create(props(2))
        out = capfd.readouterr().out
        assert "none -> 2 | 1/2 golden replay | pass: 41 golden answers of 2" in out
        assert "none -> 2 | 2/2 switch to 100 % | pass: no one to compare with" in out
        assert ("jobs", f"iris-first-{CURRENT}") not in cluster.objects
    else:
        with pytest.raises(RolloutAborted, match="1 of 41 golden requests got another answer than recorded; the first, line 9") as raised:
            RolloutWatchProvider().create(props(2))
        assert "No route was opened." in str(raised.value)
        made = cluster.objects[JOB.plural, f"iris-first-{CURRENT}"]["spec"]["template"]["spec"]["containers"][0]
        assert made == {"image": "registry/iris@sha256:2", "args": ["2"]}
        assert ledger.read(cluster, "test", "iris").serving is None


def test_a_proven_release_comes_back_without_steps(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    use(monkeypatch, FakeCluster(with_runs(promoted(CURRENT))), proven={2: CURRENT, 3: STABLE})
    RolloutWatchProvider().update("", props(3), props(2))
    assert "iris: 3 -> 2 | 2/2 switch to 100 % | pass: proven before" in capfd.readouterr().out


def test_a_release_that_follows_one_that_never_served_needs_no_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = use(
        monkeypatch, FakeCluster(with_runs(under_way()), with_runs(under_way()), with_runs(promoted(CURRENT), passed(1))), proven={}
    )
    cluster.put(REPLICA_SET, replica_set(1, STABLE, available=0))
    RolloutWatchProvider().create(props(2))
    assert {"status": {"promoteFull": True}} in cluster.patches


def test_ctrl_c_leaves_the_controller_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(_cluster: FakeCluster) -> None:
        (tmp_path / "interrupt").write_text("", encoding="utf-8")
        monkeypatch.setattr(time, "time", lambda: 0.0)

    cluster = use(monkeypatch, FakeCluster(with_runs(under_way(20)), interrupt))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with pytest.raises(PlatformError, match="Argo Rollouts goes on with 2 by itself"):
        RolloutWatchProvider().update("", props(1), props(2))
    assert not [patch for patch in cluster.patches if "status" in patch]


def test_a_cluster_that_starts_again_is_waited_for(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    cluster = use(monkeypatch, FakeCluster(with_runs(promoted(CURRENT), passed(3))))
    cluster.outages = 3
    RolloutWatchProvider().create(props(2))
    assert capfd.readouterr().out.count("gives no answer") == 1


def test_a_controller_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeCluster(rollout(2, under_way(), generation=7)))
    monkeypatch.setattr(watcher, "UNSEEN_SECONDS", 0.02)
    with pytest.raises(PlatformError, match="its controller is down"):
        RolloutWatchProvider().update("", props(1), props(2))


def test_an_autoscalers_change_late_in_a_rollout_is_no_controller_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = time.monotonic

    def scaled_late(cluster: FakeCluster) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: clock() + 10 * watcher.UNSEEN_SECONDS)
        cluster.objects["rollouts", "iris"] = rollout(2, under_way(20), generation=2)

    use(monkeypatch, FakeCluster(with_runs(under_way(20)), scaled_late, with_runs(promoted(CURRENT), passed(1))))
    RolloutWatchProvider().update("", props(1), props(2))


def test_an_autoscalers_change_is_no_change_in_a_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    scaled = rollout(2, promoted(CURRENT), generation=2)
    use(monkeypatch, FakeCluster(scaled, scaled, rollout(2, promoted(CURRENT))), proven={2: CURRENT})
    assert RolloutWatchProvider().diff("", props(2), props(2)).changes is False
    monkeypatch.setattr(watcher, "NOTICED_SECONDS", 0.01)
    use(monkeypatch, FakeCluster(scaled), proven={2: CURRENT})
    assert RolloutWatchProvider().diff("", props(2), props(2)).changes is True


def test_a_node_that_is_started_for_a_pod_and_a_slow_start_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "STILL_SECONDS", -1_000)
    wanted = props(2)
    use(monkeypatch, FakeCluster(with_runs(under_way()), with_runs(promoted(CURRENT))))
    with pytest.raises(PlatformError, match="nothing has moved at 'start'"):
        RolloutWatchProvider().update("", props(1), wanted)
    for patience in ("node_seconds", "ready_seconds"):
        use(monkeypatch, FakeCluster(with_runs(under_way()), with_runs(promoted(CURRENT))), proven={1: STABLE, 2: CURRENT})
        RolloutWatchProvider().update("", props(1), {**wanted, "wiring": {**wanted["wiring"], patience: 2_000}})


def test_an_invalid_rollout_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    invalid: Object = {"conditions": [{"type": "InvalidSpec", "message": "no such Service: not found"}], "phase": "Degraded"}
    use(monkeypatch, FakeCluster(with_runs(under_way(**invalid))))
    monkeypatch.setattr(watcher, "INVALID_SECONDS", 0.02)
    with pytest.raises(RolloutAborted, match="Argo Rollouts refuses the Rollout: no such Service"):
        RolloutWatchProvider().update("", props(1), props(2))


@pytest.mark.parametrize(
    ("status", "proven", "changes"),
    [
        (promoted(CURRENT), {2: CURRENT}, False),
        (promoted(CURRENT), {}, True),
        (under_way(20), {2: CURRENT}, True),
        ({**promoted(CURRENT), "abort": True}, {2: CURRENT}, True),
        ({**promoted(CURRENT), "canary": {"weights": {"canary": {"weight": 100}, "stable": {"weight": 0}}}}, {2: CURRENT}, True),
    ],
)
def test_the_world_counts_in_a_preview(monkeypatch: pytest.MonkeyPatch, status: Object, proven: dict[int, str], changes: bool) -> None:
    use(monkeypatch, FakeCluster(rollout(2, status)), proven=proven)
    assert RolloutWatchProvider().diff("", props(2), props(2)).changes is changes
    assert RolloutWatchProvider().diff("", props(1), props(2)).changes is True


@pytest.mark.parametrize(
    ("old", "new", "number", "warns"),
    [("blue-green", "canary", 1, True), ("blue-green", "canary", 2, False), ("canary", "blue-green", 1, False)],
)
def test_a_preview_warns_of_a_canary_that_users_would_not_meet(
    capfd: pytest.CaptureFixture[str], old: str, new: str, number: int, warns: bool
) -> None:
    assert RolloutWatchProvider().diff("", props(number, strategy=old), props(2, strategy=new)).changes is True
    assert ("warning: iris: until the strategy has changed, users go past" in capfd.readouterr().out) is warns


def test_a_preview_says_that_the_cluster_gives_no_answer(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    cluster = use(monkeypatch, FakeCluster(rollout(2, promoted(CURRENT))))
    cluster.outages = 1
    assert RolloutWatchProvider().diff("", props(2), props(2)).changes is False
    assert "whether iris is as the state says is unknown" in capfd.readouterr().out


def test_the_guard_clears_what_was_never_proven(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    cluster = use(monkeypatch, FakeCluster(rollout(1, promoted(STABLE))), proven={1: STABLE, 5: "proven"})
    cluster.put(REPLICA_SET, replica_set(5, "proven"))
    RolloutGuardProvider().create(dict(GUARDED))
    assert cluster.sets() == {STABLE, "proven"}
    assert "iris: forgot 2, never proven here" in capfd.readouterr().out


def test_the_guard_leaves_to_argo_only_what_is_within_the_window(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    proven = {5: "oldest", 1: STABLE, 6: "other", 7: "last"}
    cluster = use(monkeypatch, FakeCluster(rollout(7, promoted("last"))), proven=proven)
    cluster.put(REPLICA_SET, *(replica_set(release, pod_hash) for release, pod_hash in proven.items()))
    RolloutGuardProvider().create({**GUARDED, "rollback_window": 2})
    assert cluster.sets() == {STABLE, "other", "last"}
    assert "forgot 2, never proven here" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("window", "pod_hash", "expected"),
    [(0, "serves", True), (0, "before", False), (1, "before", True), (1, "oldest", False), (2, "oldest", True), (2, "unknown", False)],
)
def test_the_window_counts_the_others_that_are_proven(window: int, pod_hash: str, expected: bool) -> None:
    proven = tuple(ledger.Proven(number, "i", found, "") for number, found in ((3, "serves"), (2, "before"), (1, "oldest")))
    assert ledger.Ledger(serving=3, proven=proven).may_return(pod_hash, window=window) is expected


@pytest.mark.parametrize(("window", "is_fast"), [(3, True), (0, False)])
def test_a_proven_release_takes_over_without_steps_on_request(monkeypatch: pytest.MonkeyPatch, window: int, is_fast: bool) -> None:
    cluster = use(monkeypatch, FakeCluster(rollout(2, under_way())), proven={2: CURRENT, 1: STABLE})
    cluster.script = [with_runs(under_way()), with_runs(under_way()), with_runs(promoted(CURRENT))]
    if is_fast:
        RolloutWatchProvider().update("", props(1), props(2, rollback_window=window))
        assert cluster.patches.count({"status": {"promoteFull": True}}) == 1
    else:
        # Nothing was judged: without the window it is verified like any other.
        with pytest.raises(PlatformError, match="no AnalysisTemplate"):
            RolloutWatchProvider().update("", props(1), props(2, rollback_window=window))
        assert {"status": {"promoteFull": True}} not in cluster.patches


def test_the_guard_spares_what_is_being_rolled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = use(monkeypatch, FakeCluster(rollout(2, under_way(20))))
    assert guard.clear_unproven(cluster, "test", Names("iris"), window=3) == []  # type: ignore[arg-type]
    assert cluster.sets() == {STABLE, CURRENT}


@pytest.mark.parametrize(
    "on_its_way",
    [
        switched(1, STABLE, stable=STABLE, active=CURRENT),
        rollout(1, {**under_way(60), "currentPodHash": STABLE}),
    ],
)
def test_the_guard_spares_what_users_are_led_to(monkeypatch: pytest.MonkeyPatch, on_its_way: Object) -> None:
    # 1 was put back while 2 had users, and the update was killed before they were led back.
    cluster = use(monkeypatch, FakeCluster(on_its_way))
    assert guard.clear_unproven(cluster, "test", Names("iris"), window=3) == []  # type: ignore[arg-type]
    assert cluster.sets() == {STABLE, CURRENT}


@pytest.mark.parametrize(("strategy", "forgets"), [("blueGreen", True), ("canary", False)])
def test_weights_of_an_earlier_canary_do_not_keep_pods(monkeypatch: pytest.MonkeyPatch, strategy: str, forgets: bool) -> None:
    switched = rollout(1, promoted(STABLE))
    switched["spec"]["strategy"] = {strategy: {}}
    cluster = use(monkeypatch, FakeCluster(switched))
    guard.forget_old_weights(cluster, "test", Names("iris"))  # type: ignore[arg-type]
    assert ({"status": {"canary": {"weights": None}}} in cluster.patches) is forgets


def test_the_guard_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = use(monkeypatch, FakeCluster())
    news = dict(GUARDED)
    assert not RolloutGuardProvider().check({}, news).failures
    cluster.served["argoproj.io/v1alpha1"] = set()
    with pytest.raises(PlatformError, match="Argo Rollouts is missing in the cluster, or too old"):
        RolloutGuardProvider().check({}, news)
    RolloutGuardProvider().check({}, {**news, "platform": "charts"})
    cluster.served["argoproj.io/v1alpha1"] = {"rollouts", "analysisruns", "analysistemplates"}
    old = {"name": "v1alpha1", "schema": {"openAPIV3Schema": {"properties": {"spec": {"properties": {"strategy": {}, "analysis": {}}}}}}}
    cluster.put(CRD, {"metadata": {"name": "rollouts.argoproj.io"}, "spec": {"versions": [old]}})
    with pytest.raises(PlatformError, match="CRDs of Argo Rollouts are too old: a Rollout has no rollbackWindow"):
        RolloutGuardProvider().check({}, news)
    cluster.objects.clear()
    cluster.denied = {("patch", "rollouts")}
    with pytest.raises(PlatformError, match="not allowed to patch rollouts in namespace test"):
        RolloutGuardProvider().check({}, news)


def test_the_guard_runs_again_for_each_change_of_its_inputs() -> None:
    news = dict(GUARDED)
    assert RolloutGuardProvider().diff("", news, news).changes is False
    assert RolloutGuardProvider().diff("", news, {**news, "champion": 3}).changes is True


def test_an_account_survives_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = use(monkeypatch, FakeCluster())
    cluster.objects["configmaps", "iris-ledger"]["data"] = {"ledger": "{"}
    assert ledger.read(cluster, "test", "iris") == ledger.Ledger()
    with pytest.raises(Unreachable):
        raise Unreachable("gone")


@pytest.mark.parametrize("provider", [RolloutGuardProvider(), RolloutWatchProvider()])
def test_a_refresh_takes_guard_and_watch_for_gone_with_their_rollout(provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    where = {"kubeconfig": None, "context": None, "namespace": "test"}
    props = {**where, "model": "iris", "role": None, "wiring": where}
    there: list[Any] = [{}, None]

    class Asked:
        def get(self, _kind: Any, name: str, namespace: str) -> Any:
            assert (name, namespace) == ("iris", "test")
            return there.pop(0)

    monkeypatch.setattr(guard, "connect", lambda *_: Asked())
    assert [provider.read("test/iris", props).id for _ in range(2)] == ["test/iris", ""]


def test_a_refresh_of_a_cluster_that_cannot_be_asked_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: Any) -> Any:
        raise PlatformError("the cluster cannot be reached")

    monkeypatch.setattr(guard, "connect", away)
    props = {"kubeconfig": None, "context": None, "namespace": "test", "model": "iris"}
    found = RolloutGuardProvider().read("test/iris", props)
    assert (found.id, found.outs) == ("test/iris", props)
    assert "whether iris has a Rollout is unknown" in capsys.readouterr().out
