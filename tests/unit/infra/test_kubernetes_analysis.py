"""The verdict in a cluster says what ``infra.rollout.judge`` says, and no data is never a pass."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.config import ModelConfig
from infra.kubernetes import analysis
from infra.rollout import NODE_SECONDS, Sample, Stage, begin, judge
from tests.unit.infra.kubernetes_models import model, watch

configs = st.builds(
    lambda rate, p99, least: model(slo={"error-rate": rate, "p99-ms": p99}, rollout={"minimum-sample": least}),
    st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.5]),
    st.sampled_from([0.5, 50.0, 250.0]),
    st.sampled_from([1, 10, 50, 1000]),
)


def holds(condition: str, result: list[float]) -> bool:
    """Whether one of Argo's expressions is true of a measurement; Python reads all that is used of the language but three signs."""
    python = re.sub(r"!(?!=)", " not ", condition.replace("&&", " and ").replace("||", " or "))
    return bool(eval(python, {"result": result, "len": len, "max": max}))


def measured(sample: Sample) -> list[float]:
    return [sample.requests, sample.errors, sample.probes, sample.probe_errors, sample.p99_ms or 0]


def numbers(most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.integers(0, most).flatmap(lambda total: st.tuples(st.just(total), st.integers(0, total)))


@given(configs, numbers(3000), st.floats(0, 1000))
def test_users_alone_are_judged_exactly_as_on_a_laptop(config: ModelConfig, users: tuple[int, int], p99: float) -> None:
    policy = config.policy()
    sample = Sample(requests=users[0], errors=users[1], p99_ms=p99 if users[0] else None)
    stage = Stage("step", 20, 10)
    early, final = judge(policy, stage, sample, 5), judge(policy, stage, sample, 10)
    assert holds(analysis.failure(policy), measured(sample)) == (early is not None and early.verdict == "fail")
    assert final is not None
    assert holds(analysis.success(policy), measured(sample)) == (final.verdict == "pass")


@given(configs, numbers(3000), numbers(3000), st.floats(0, 1000))
def test_with_probes_it_is_never_milder(config: ModelConfig, users: tuple[int, int], probes: tuple[int, int], p99: float) -> None:
    """What fails with all requests, or with the users' alone, fails."""
    policy = config.policy()
    total = Sample(users[0], users[1], probes[0], probes[1], p99 if users[0] + probes[0] else None)
    stage = Stage("bake", 100, 10)
    verdicts = [judge(policy, stage, sample, 10) for sample in (total, Sample(users[0], users[1], p99_ms=None))]
    must_fail = any(found is not None and found.verdict == "fail" for found in verdicts)
    assert holds(analysis.failure(policy), measured(total)) == must_fail
    if holds(analysis.success(policy), measured(total)):
        assert verdicts[0] is not None
        assert verdicts[0].verdict == "pass"


@pytest.mark.parametrize("insufficient", ["probe", "hold", "abort"])
@pytest.mark.parametrize("result", [[], [100.0], [100.0, 0, 0, 0, 5.0, 1.0]])
def test_an_answer_that_is_not_whole_is_no_evidence(insufficient: str, result: list[float]) -> None:
    for metric in metrics(insufficient):
        if "successCondition" in metric:
            assert not holds(metric["successCondition"], result)
    verdict = named(insufficient, "verdict")
    assert holds(verdict["failureCondition"], result) == (insufficient == "abort")


def test_too_few_fail_hold_or_are_probed_as_config_says() -> None:
    few = [3.0, 0, 0, 0, 9.0]
    assert holds(named("abort", "verdict")["failureCondition"], few)
    for insufficient in ("hold", "probe"):
        verdict = named(insufficient, "verdict")
        assert not holds(verdict["failureCondition"], few)
        assert not holds(verdict["successCondition"], few)
    # Argo ends a metric without success at its count: as failed where failures have no limit, as inconclusive past that limit.
    assert named("probe", "evidence")["failureLimit"] == -1
    assert {metric["name"] for metric in metrics("hold")} == {"mark", "early", "verdict"}


@pytest.mark.parametrize("insufficient", ["probe", "hold", "abort"])
@pytest.mark.parametrize("seconds", [0, 0.5, 10, 86_400])
def test_a_wait_for_evidence_ends(insufficient: str, seconds: float) -> None:
    policy = model(rollout={"insufficient": insufficient, "hold-seconds": 600}).policy()
    found = analysis.stage_arguments(policy, Stage("bake", 100, seconds))
    interval = int(found["interval"].removesuffix("s"))
    waits = {"probe": analysis.PROBE_SECONDS + NODE_SECONDS, "hold": 600, "abort": 0}[insufficient]
    count = int(found["evidence-count"] if insufficient == "probe" else found["verdict-count"])
    assert waits <= (count - 1) * interval < waits + 2 * interval
    assert int(found["verdict-waits"]) <= int(found["verdict-count"])
    assert int(found["early-count"]) >= 1
    if insufficient == "probe":
        # The metric that must not end as inconclusive outlasts the one that fails.
        assert int(found["verdict-waits"]) > int(found["evidence-count"])


@pytest.mark.parametrize("seconds", [0, 10, 86_400])
def test_the_window_reaches_back_to_the_stages_beginning_for_as_long_as_it_is_looked_at(seconds: float) -> None:
    policy = model(rollout={"insufficient": "hold", "hold-seconds": 600}).policy()
    found = {
        name: float(value.removesuffix("s"))
        for name, value in analysis.stage_arguments(policy, Stage("step", 10, seconds)).items()
        if name != "stage"
    }
    last = found["verdict-delay"] + found["verdict-count"] * found["interval"]
    assert found["range"] > last
    assert found["range"] / found["resolution"] <= 600


def test_every_argument_of_a_stage_is_declared_and_given() -> None:
    for insufficient in ("probe", "hold", "abort"):
        config = model(rollout={"insufficient": insufficient})
        template = analysis.traffic(watch(config))
        declared = {each["name"] for each in template["spec"]["args"]}
        stage = begin(config.policy(), old=1, new=2, is_proven=False).stages[-1]
        given_ = {"release", *(["image"] if insufficient == "probe" else []), *analysis.stage_arguments(config.policy(), stage)}
        assert declared == given_
        used = set(re.findall(r"{{args\.([a-z-]+)}}", str(template["spec"]["metrics"])))
        assert used <= declared


def test_argo_can_read_a_template_before_it_knows_its_arguments() -> None:
    """A count that is a placeholder would be taken for one without end, and the whole Rollout refused."""
    for argument in analysis.traffic(watch(model()))["spec"]["args"]:
        assert ("value" in argument) == argument["name"].endswith("-count")


def test_numbers_reach_argo_without_an_exponent() -> None:
    policy = model(slo={"error-rate": 0.00001, "p99-ms": 60_000}).policy()
    assert "0.00001 * max" in analysis.failure(policy)
    assert "> 60000)" in analysis.failure(policy)


def test_a_canary_is_measured_where_it_answers_and_blue_green_where_it_will() -> None:
    canary, switched = (analysis.query(watch(model(rollout={"strategy": strategy}))) for strategy in ("canary", "blue-green"))
    assert 'service="mldelivery-iris-canary-80@kubernetescrd"' in canary
    assert "iris-stable-80" not in canary
    assert 'service="mldelivery-iris-stable-80@kubernetescrd"' in switched
    assert "mldelivery-iris-canary-81@kubernetescrd" in switched


def test_the_golden_replay_is_one_attempt_with_an_end_from_the_releases_own_image() -> None:
    golden = analysis.golden(watch(model()).names, "mldelivery")["spec"]["metrics"][0]
    job = golden["provider"]["job"]["spec"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (0, analysis.GOLDEN_SECONDS + NODE_SECONDS)
    assert job["template"]["spec"]["containers"][0]["image"] == "{{args.image}}"
    assert golden["failureLimit"] == 0
    assert golden["consecutiveErrorLimit"] == 1, "a request that a restarting API server lost decides nothing"


def test_where_nodes_are_started_for_pods_a_job_and_the_wait_for_its_evidence_have_that_time_too() -> None:
    slow = dataclasses.replace(watch(model()), node_seconds=NODE_SECONDS + 200)
    template = analysis.golden(slow.names, "mldelivery", node_seconds=slow.node_seconds)
    assert job_of(template, "golden")["activeDeadlineSeconds"] == analysis.GOLDEN_SECONDS + NODE_SECONDS + 200
    assert job_of(analysis.traffic(slow), "probe")["activeDeadlineSeconds"] == analysis.PROBE_SECONDS + NODE_SECONDS + 200
    near, far = (
        analysis.stage_arguments(slow.policy, Stage("step", 10, 10), node_seconds=each) for each in (NODE_SECONDS, slow.node_seconds)
    )
    assert int(far["evidence-count"]) == int(near["evidence-count"]) + 200


def job_of(template: dict[str, Any], name: str) -> dict[str, Any]:
    metric = next(each for each in template["spec"]["metrics"] if each["name"] == name)
    return dict(metric["provider"]["job"]["spec"])


def test_probes_go_through_the_gateway_and_make_a_sample_whole() -> None:
    config = model(rollout={"minimum-sample": 70})
    probe = next(metric for metric in analysis.traffic(watch(config))["spec"]["metrics"] if metric["name"] == "probe")
    command = probe["provider"]["job"]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[command.index("--probes") + 1] == "70"
    assert command[command.index("--url") + 1] == "http://traefik.test:8082/mldelivery/iris"


def metrics(insufficient: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = analysis.traffic(watch(model(rollout={"insufficient": insufficient})))["spec"]["metrics"]
    return found


def named(insufficient: str, name: str) -> dict[str, Any]:
    return next(metric for metric in metrics(insufficient) if metric["name"] == name)
