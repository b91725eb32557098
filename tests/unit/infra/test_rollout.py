"""The policy's promises, for every strategy, every order of verdicts and every sample."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.rollout import Policy, Rollout, Sample, Slo, Stage, Strategy, begin, describe, judge

POLICY = Policy(
    strategy="canary",
    steps=(10, 50),
    step_seconds=5,
    bake_seconds=15,
    minimum_sample=50,
    insufficient="probe",
    hold_seconds=60,
    rollback_window=3,
    slo=Slo(error_rate=0.01, p99_ms=100),
)
STEP = Stage("step", 10, 5)

policies = st.builds(
    lambda strategy, steps: replace(POLICY, strategy=strategy, steps=tuple(sorted(steps))),
    st.sampled_from(["canary", "blue-green"]),
    st.sets(st.integers(1, 99), max_size=6),
)
beginnings = st.builds(
    lambda policy, old, new, proven: begin(policy, old=old, new=new, is_proven=proven),
    policies,
    st.one_of(st.none(), st.integers(1, 5)),
    st.integers(1, 5),
    st.booleans(),
)
verdicts = st.lists(st.sampled_from(["pass", "fail", "not enough evidence"]), max_size=12)


def walk(rollout: Rollout, given_verdicts: list[str]) -> list[tuple[Rollout, str | None]]:
    """Every state of a rollout with the verdict that ended it."""
    states: list[tuple[Rollout, str | None]] = []
    for verdict in given_verdicts:
        if rollout.outcome != "running":
            break
        states.append((rollout, verdict))
        rollout = rollout.conclude(verdict, "because")  # type: ignore[arg-type]
    return [*states, (rollout, None)]


@given(beginnings, verdicts)
def test_weights_always_sum_to_100_or_nobody_answers_yet(rollout: Rollout, order: list[str]) -> None:
    for state, _ in walk(rollout, order):
        assert sum(state.weights.values()) in ((0, 100) if state.old is None else (100,))
        assert set(state.weights) <= {state.old, state.new}


@given(beginnings, verdicts)
def test_no_traffic_before_the_golden_replay_has_passed(rollout: Rollout, order: list[str]) -> None:
    replayed = False
    for state, verdict in walk(rollout, order):
        if state.old != state.new and not replayed:
            assert state.weights.get(state.new, 0) == 0
        replayed = replayed or (state.stage.kind == "verify" and verdict == "pass")


@given(beginnings, verdicts)
def test_anything_but_pass_leads_all_the_way_back(rollout: Rollout, order: list[str]) -> None:
    last, _ = walk(rollout, order)[-1]
    if last.outcome == "aborted":
        assert last.weights == ({} if last.old is None else {last.old: 100})
        assert last.reason == "because"
    elif last.outcome == "done":
        assert last.weights == {last.new: 100}
        assert set(order[: len(last.stages)]) == {"pass"}


@given(beginnings)
def test_shares_only_rise(rollout: Rollout) -> None:
    shares = [stage.percent for stage in rollout.stages]
    assert shares == sorted(shares)
    assert shares[0] == 0 and shares[-1] == 100


def test_an_ended_rollout_takes_no_more_verdicts() -> None:
    rollout = begin(POLICY, old=1, new=2, is_proven=False).conclude("fail", "no")
    with pytest.raises(ValueError, match="has ended"):
        rollout.conclude("pass", "late")


@pytest.mark.parametrize(
    ("strategy", "proven", "kinds"),
    [
        ("canary", False, ["golden replay", "10 %", "50 %", "bake at 100 %"]),
        ("blue-green", False, ["golden replay", "bake at 100 %"]),
        ("canary", True, ["golden replay", "switch to 100 %"]),
    ],
)
def test_stages(strategy: Strategy, proven: bool, kinds: list[str]) -> None:
    rollout = begin(replace(POLICY, strategy=strategy), old=1, new=2, is_proven=proven)
    assert [str(stage) for stage in rollout.stages] == kinds


def test_certain_failure_does_not_wait_for_the_sample() -> None:
    assert judge(POLICY, STEP, Sample(requests=1, errors=1), 0.1) is not None


def test_an_error_that_the_sample_could_still_absorb_is_no_failure_yet() -> None:
    policy = replace(POLICY, minimum_sample=100)
    assert judge(policy, STEP, Sample(requests=10, errors=1), 0.1) is None


@pytest.mark.parametrize(
    ("sample", "elapsed", "verdict"),
    [
        (Sample(requests=60, p99_ms=20), 5.0, "pass"),
        (Sample(requests=60, p99_ms=20), 4.9, None),
        (Sample(requests=49, p99_ms=20), 5.0, "not enough evidence"),
        (Sample(requests=20, probes=30, p99_ms=20), 5.0, "pass"),
        (Sample(requests=60, p99_ms=101), 0.5, "fail"),
        (Sample(requests=49, p99_ms=101), 0.5, None),
        (Sample(requests=60, errors=1, p99_ms=20), 0.5, "fail"),
        (Sample(requests=40, probes=20, probe_errors=1, p99_ms=20), 0.5, "fail"),
        (Sample(), 5.0, "not enough evidence"),
    ],
)
def test_verdicts(sample: Sample, elapsed: float, verdict: str | None) -> None:
    judgement = judge(POLICY, STEP, sample, elapsed)
    assert (judgement.verdict if judgement else None) == verdict


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0, 100))
def test_too_few_requests_are_never_a_pass(requests: int, probes: int, elapsed: float) -> None:
    judgement = judge(POLICY, STEP, Sample(requests=requests, probes=probes, p99_ms=1), elapsed)
    if judgement is not None and judgement.verdict == "pass":
        assert requests + probes >= POLICY.minimum_sample
        assert elapsed >= STEP.seconds


def test_the_plan_names_strategy_steps_and_time() -> None:
    assert describe(POLICY) == "canary: golden replay -> 10 % for 5 s -> 50 % for 5 s -> bake at 100 % for 15 s; at least 25 s"
