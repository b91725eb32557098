"""What a Rollout's objects say: recorded from a real cluster (``rollouts.json``), and made up where a cluster can't be brought to it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from infra.kubernetes.words import Seen, Situation, exposure, filled, golden_words, is_promoted, observe, wanted_logs
from infra.rollout import Policy, Slo
from tests.unit.infra.fake_cluster import CURRENT, STABLE, measured, promoted, replica_set, rollout, run, under_way

RECORDED = json.loads((Path(__file__).parent / "rollouts.json").read_text(encoding="utf-8"))
POLICY = Policy(
    strategy="canary",
    steps=(20, 60),
    step_seconds=0.6,
    bake_seconds=0.6,
    minimum_sample=30,
    insufficient="probe",
    hold_seconds=2,
    rollback_window=3,
    slo=Slo(error_rate=0.02, p99_ms=200),
)
IN_ITS_TIME = {
    "exits": ("start", r"the server exited while starting, with code 3\. .*\nthe model needs 64 GiB of memory"),
    "late": ("start", r"was not ready within 2 s"),
    "swapped": ("start", r"the server exited while starting, with code 1\. .*\n.*golden"),
    "wrong": ("golden replay", r"1 of 41 golden requests got another answer than recorded; the first, line 41: .*'setosa', expected"),
    "errors": ("20 %", r"20 of 20 requests failed with 5xx \(100\.0 %, allowed 2 %\)"),
    "crash": ("20 %", r"4 of 9 requests failed with 5xx \(44\.4 %, allowed 2 %\)"),
    "slow": ("20 %", r"p99 is 748 ms \(allowed 200 ms\) over 35 requests"),
    "abort": ("20 %", r"0 of at least 30 requests seen in 2 s"),
    "hold": ("20 %", r"0 of at least 30 requests seen in 4 s"),
}


def recorded(name: str, policy: Policy = POLICY) -> Situation:
    return observe(Seen(**RECORDED[name]), policy)


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_a_real_rollout_that_went_back_is_told_apart(name: str) -> None:
    import re

    situation = recorded(name)
    stage, words = IN_ITS_TIME[name]
    assert (situation.state, situation.old, situation.share) == ("aborted", 1, 0)
    assert situation.stage == stage
    assert re.fullmatch(words + ".*", situation.reason, re.DOTALL), situation.reason
    assert [str(each) for each in situation.stages] == ["golden replay", "20 %", "60 %", "bake at 100 %"]
    assert situation.abort_id.partition("@")[2].endswith("Z")


def test_users_are_counted_where_something_was_measured() -> None:
    assert recorded("errors").users == 20
    assert recorded("abort").users == 0
    assert recorded("wrong").users is None


def test_what_users_met() -> None:
    assert exposure(20, 3.21, 12, 5) == "At most 20 % of the traffic reached 5, for 3.2 s; 12 requests were counted."
    assert exposure(20, 3.21, None, 5) == "At most 20 % of the traffic reached 5, for 3.2 s."
    assert exposure(20, 3.21, 0, 5) == "No user's request reached 5 (20 % of the traffic was open to it, for 3.2 s)."
    assert exposure(0, 0, None, 5) == "No user's request reached 5."


def look(status: dict[str, Any], *runs: Any, pods: Any = (), policy: Policy = POLICY, logs: Any = None) -> Situation:
    """A made-up look at the rollout from 1 to 2."""
    sets = [replica_set(1, STABLE), replica_set(2, CURRENT)]
    return observe(Seen(rollout=rollout(2, status), replica_sets=sets, pods=pods, runs=runs, logs=logs or {}), policy)


def pod(state: dict[str, Any], last: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    container = {"name": "server", "ready": False, "state": state, "lastState": last or {}}
    spec = {"containers": [{"name": "server", "resources": {"limits": {"memory": "256Mi"}}}]}
    return {"metadata": {"name": "pod", "labels": {}}, "spec": spec, "status": {"containerStatuses": [container], **status}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("found", "words", "is_hopeless"),
    [
        (pod(waiting("ErrImagePull", "manifest unknown: not found")), "its image cannot be pulled: manifest unknown: not found", True),
        (
            pod(waiting("ImagePullBackOff", "dial tcp: connection refused")),
            "its image cannot be pulled: dial tcp: connection refused",
            False,
        ),
        (pod(waiting("CreateContainerConfigError", "no such secret")), "its container cannot be made: no such secret", False),
        (
            pod(waiting("CrashLoopBackOff"), {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
            "the server exited while starting, killed for using more than 256Mi of memory (OOMKilled). The end of its log:\nlast words",
            True,
        ),
        (
            pod({"running": {}}, {"terminated": {"exitCode": 3, "reason": "Error"}}),
            "the server exited while starting, with code 3. The end of its log:\nlast words",
            False,
        ),
        (
            pod({"running": {}}, {"terminated": {"exitCode": 137, "reason": "Error"}}),
            "was not ready within 2 s. The end of its log:\nlast words",
            True,
        ),
        (pod({"running": {}}), "was not ready within 2 s. The end of its log:\nlast words", False),
        (
            pod({}, conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient memory"}]),
            "no node takes its pod: 0/1 nodes: Insufficient memory",
            False,
        ),
    ],
)
def test_pods_that_do_not_serve(found: dict[str, Any], words: str, is_hopeless: bool) -> None:
    trouble = look(under_way(), pods=[found], logs={"pod": "last words"}).trouble
    assert trouble is not None
    assert (trouble.text, trouble.is_hopeless) == (words, is_hopeless)


def test_a_quota_is_named() -> None:
    refused = replica_set(2, CURRENT)
    condition = {"type": "ReplicaFailure", "status": "True", "message": "pods is forbidden: exceeded quota: small"}
    refused["status"] = {"conditions": [condition]}
    late: dict[str, Any] = {
        "abort": True,
        "abortedAt": "t",
        "message": 'RolloutAborted: … ReplicaSet "iris-bbb" has timed out progressing.',
    }
    situation = observe(Seen(rollout=rollout(2, under_way(**late)), replica_sets=[replica_set(1, STABLE), refused]), POLICY)
    assert situation.reason == "was not ready within 2 s: its pods may not be made: pods is forbidden: exceeded quota: small"


def test_pods_that_are_gone_leave_the_deadline_as_the_reason() -> None:
    late: dict[str, Any] = {
        "abort": True,
        "abortedAt": "t",
        "message": 'RolloutAborted: … ReplicaSet "iris-bbb" has timed out progressing.',
    }
    assert look(under_way(**late)).reason == "was not ready within 2 s; its pods are gone"
    assert look(under_way(abort=True, message="RolloutAborted: Rollout aborted update to revision 2")).reason.endswith("revision 2")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (
            measured("verdict", "", "Error", "connection refused"),
            "Prometheus cannot be asked (connection refused): no data is never a pass",
        ),
        (measured("mark", "", "Error", "timeout"), "the gateway's internal entry point cannot be asked (timeout): no data is never a pass"),
        (measured("probe", "", "Error", "forbidden: exceeded quota"), "the Job 'probe' could not be made: forbidden: exceeded quota"),
    ],
)
def test_no_data_is_never_a_pass(result: dict[str, Any], words: str) -> None:
    judgement = look(under_way(20), run(3, "Error", [result])).judged[1].judgement
    assert judgement is not None and (judgement.verdict, judgement.reason) == ("fail", words)


def test_an_empty_answer_of_prometheus_is_no_evidence() -> None:
    judgement = look(under_way(20), run(3, "Failed", [measured("evidence", "[]", "Failed")])).judged[1].judgement
    assert judgement is not None and judgement.verdict == "not enough evidence"
    assert judgement.reason == "0 of at least 30 requests seen in 3 s"


def test_errors_of_users_are_not_thinned_by_probes() -> None:
    judgement = look(under_way(20), run(3, "Failed", [measured("early", "[20,1,60,0,5]", "Failed")])).judged[1].judgement
    assert judgement is not None and judgement.reason == "1 of 20 requests failed with 5xx (5.0 %, allowed 2 %), of users alone"


def test_a_wrong_answer_to_a_probe_is_named() -> None:
    job = {"name": "probe", "phase": "Failed", "measurements": [{"metadata": {"job-name": "job"}}]}
    found = look(
        under_way(20),
        run(3, "Failed", [measured("early", "[0,0,9,0,5]"), job]),
        logs={"job": "a wrong answer through the gateway: line 3: label is 'a', expected 'b'"},
    ).judged[1]
    assert found.judgement is not None and found.judgement.reason.endswith("than recorded: line 3: label is 'a', expected 'b'")


def test_only_a_policy_that_holds_is_said_to_hold() -> None:
    inconclusive = run(3, "Running", [measured("verdict", "[3,0,0,0,5]", "Inconclusive")])
    assert look(under_way(20), inconclusive, policy=dataclasses.replace(POLICY, insufficient="hold")).judged[1].is_holding
    assert not look(under_way(20), inconclusive).judged[1].is_holding


def test_what_the_controller_has_not_seen_says_nothing() -> None:
    assert look({**promoted(CURRENT), "observedGeneration": "0"}).state == "unseen"
    assert look(promoted(CURRENT)).state == "done"
    assert look({**promoted(CURRENT), "phase": "Progressing"}).state == "running"


def test_runs_of_another_try_do_not_count() -> None:
    old = run(1, "Failed")
    old["metadata"]["annotations"]["rollout.argoproj.io/revision"] = "1"
    assert look(under_way(), old).judged[0].judgement is None
    tried = rollout(2, under_way())
    tried["metadata"]["annotations"]["mldelivery/retried-at"] = "2026-01-01T00:00:05Z"
    assert observe(Seen(rollout=tried, runs=[run(1, "Failed")]), POLICY).judged[0].judgement is None


@pytest.mark.parametrize(("active", "preview_is_done"), [(STABLE, False), (CURRENT, True)])
def test_blue_green_is_all_or_nothing(active: str, preview_is_done: bool) -> None:
    shown = rollout(2, {**promoted(CURRENT), "blueGreen": {"activeSelector": active}})
    shown["spec"]["strategy"] = {"blueGreen": {"prePromotionAnalysis": {}, "postPromotionAnalysis": {}}}
    situation = observe(Seen(rollout=shown, replica_sets=[replica_set(2, CURRENT)]), POLICY)
    assert [str(stage) for stage in situation.stages] == ["golden replay", "bake at 100 %"]
    assert situation.share == (100 if preview_is_done else 0)
    assert is_promoted(shown) is preview_is_done


def test_a_replay_that_was_cut_off_or_said_nothing() -> None:
    late = {"spec": {"activeDeadlineSeconds": 120}, "status": {"conditions": [{"type": "Failed", "reason": "DeadlineExceeded"}]}}
    assert golden_words("", has_passed=False, job=late).reason == "the golden replay did not end within 120 s"
    assert golden_words("", has_passed=False).reason == "the golden replay failed; its log is gone"
    assert golden_words("no module", has_passed=False).reason == "the golden replay failed. The end of its log:\nno module"
    assert golden_words("", has_passed=True).verdict == "pass"


def test_which_logs_are_worth_reading() -> None:
    before = pod({"running": {}}, {"terminated": {"exitCode": 1}})
    assert wanted_logs(Seen(rollout={}, pods=[pod({"running": {}}), before])) == [("pod", False), ("pod", True)]


def test_a_template_is_filled_as_argo_does() -> None:
    assert filled({"image": "{{args.image}}", "n": ["--release", "{{args.release}}"]}, {"image": 'a"b', "release": "5"}) == {
        "image": 'a"b',
        "n": ["--release", "5"],
    }
