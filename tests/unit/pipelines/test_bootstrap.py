"""Metrics agree with scikit-learn's, intervals behave, verdicts say what the intervals say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.artifacts import Interval
from pipelines.bootstrap import Answers, difference, interval, judge, measure


def answers(rows: int = 60, skill: float = 2.0, seed: int = 0) -> Answers:
    random = np.random.default_rng(seed)
    truth = np.random.default_rng(1).integers(3, size=rows)
    scores = random.normal(size=(rows, 3))
    scores[np.arange(rows), truth] += skill
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return Answers(truth=truth, predicted=probabilities.argmax(axis=1), probabilities=probabilities)


def test_metrics_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    found = answers()
    ones = np.ones((1, 60))
    assert measure("accuracy", found, ones)[0] == pytest.approx(accuracy_score(found.truth, found.predicted))
    assert measure("macro-f1", found, ones)[0] == pytest.approx(f1_score(found.truth, found.predicted, average="macro"))
    assert measure("log-loss", found, ones)[0] == pytest.approx(log_loss(found.truth, found.probabilities, labels=[0, 1, 2]))


def test_weights_count_like_repeated_rows() -> None:
    found = answers()
    drawn = np.random.default_rng(3).integers(60, size=60)
    repeated = Answers(truth=found.truth[drawn], predicted=found.predicted[drawn], probabilities=found.probabilities[drawn])
    weights = np.bincount(drawn, minlength=60).reshape(1, -1).astype(float)
    for metric in ("accuracy", "macro-f1", "log-loss"):
        assert measure(metric, found, weights)[0] == pytest.approx(measure(metric, repeated, np.ones((1, 60)))[0])


@pytest.mark.parametrize("metric", ["accuracy", "macro-f1", "log-loss"])
def test_the_interval_holds_the_value_and_repeats(metric: str) -> None:
    first, second = interval(metric, answers(), 7), interval(metric, answers(), 7)
    assert first == second
    assert first.low < first.value < first.high


def test_more_rows_give_a_narrower_interval() -> None:
    few, many = interval("accuracy", answers(40), 7), interval("accuracy", answers(4000), 7)
    assert many.high - many.low < (few.high - few.low) / 5


def test_many_rows_are_resampled_in_bounded_memory() -> None:
    found = interval("accuracy", answers(20_001), 7)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("metric", ["accuracy", "log-loss"])
def test_the_difference_is_paired(metric: str) -> None:
    """Two models that are nearly the same differ by far less than either interval is wide."""
    one = answers()
    nearly = Answers(truth=one.truth, predicted=one.predicted.copy(), probabilities=one.probabilities * 0.999 + 0.001 / 3)
    nearly.predicted[0] = (nearly.predicted[0] + 1) % 3
    alone, paired = interval(metric, one, 7), difference(metric, nearly, one, 7)
    assert paired.high - paired.low < (alone.high - alone.low) / 2


def test_swapping_the_models_turns_the_difference_around() -> None:
    there, back = difference("accuracy", answers(seed=1), answers(seed=2), 7), difference("accuracy", answers(seed=2), answers(seed=1), 7)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_full_agreement_still_leaves_three_rows_open() -> None:
    assert difference("accuracy", answers(), answers(), 7) == Interval(value=0.0, low=-0.05, high=0.05)


def sure(truth: list[int], predicted: list[int]) -> Answers:
    return Answers(truth=np.array(truth), predicted=np.array(predicted), probabilities=np.eye(3)[predicted])


@pytest.mark.parametrize("metric", ["accuracy", "macro-f1"])
def test_a_perfect_score_still_leaves_three_rows_open(metric: str) -> None:
    truth = [0, 1, 2] * 20
    assert interval(metric, sure(truth, truth), 7) == Interval(value=1.0, low=0.95, high=1.0)


def test_nothing_right_still_leaves_three_rows_open() -> None:
    assert interval("accuracy", sure([0, 1, 2] * 20, [1, 2, 0] * 20), 7) == Interval(value=0.0, low=0.0, high=0.05)


def test_being_wrong_about_the_same_rows_in_another_way_leaves_them_open_too() -> None:
    """Their labels differ, so they are two models, but no row is right for one alone: no resample differs in accuracy."""
    truth = [0, 1, 2] * 20
    one, other = sure(truth, [2, *truth[1:]]), sure(truth, [1, *truth[1:]])
    found = difference("accuracy", one, other, 7)
    assert found == Interval(value=0.0, low=-0.05, high=0.05)
    assert judge("accuracy", found, margin=0.01, rows=60, minimum_rows=30) == "not enough evidence"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.05, 0.05, "pass"), (-0.1, 0.2, "pass"), (-0.11, 0.2, "not enough evidence"), (-0.3, -0.11, "fail"), (0.01, 0.2, "pass")],
)
def test_verdicts(low: float, high: float, verdict: str) -> None:
    assert judge("accuracy", Interval(value=0.0, low=low, high=high), margin=0.1, rows=50, minimum_rows=30) == verdict


def test_of_log_loss_less_is_better() -> None:
    assert judge("log-loss", Interval(value=0.2, low=0.15, high=0.3), margin=0.1, rows=50, minimum_rows=30) == "fail"
    assert judge("log-loss", Interval(value=-0.2, low=-0.3, high=-0.15), margin=0.1, rows=50, minimum_rows=30) == "pass"


def test_too_few_rows_are_never_a_pass() -> None:
    assert judge("accuracy", Interval(value=0.5, low=0.4, high=0.6), margin=0.1, rows=29, minimum_rows=30) == "not enough evidence"


def test_clearly_worse_is_a_fail_on_however_few_rows() -> None:
    """``insufficient-evidence: allow`` is about what cannot be told, not about what is known to be worse."""
    assert judge("accuracy", Interval(value=-0.5, low=-0.6, high=-0.4), margin=0.1, rows=29, minimum_rows=30) == "fail"


bound = st.floats(-1, 1, allow_nan=False)


@given(bound, bound, st.floats(0, 1), st.floats(0, 1))
def test_a_wider_margin_never_makes_a_verdict_worse(one: float, two: float, margin: float, more: float) -> None:
    order = ["fail", "not enough evidence", "pass"]
    found = Interval(value=(one + two) / 2, low=min(one, two), high=max(one, two))
    verdicts: list[Any] = [judge("accuracy", found, margin=each, rows=50, minimum_rows=30) for each in (margin, margin + more)]
    assert order.index(verdicts[0]) <= order.index(verdicts[1])


@given(bound, bound, st.floats(0, 1), st.floats(0, 1))
def test_a_better_challenger_never_gets_a_worse_verdict(one: float, two: float, margin: float, better: float) -> None:
    order = ["fail", "not enough evidence", "pass"]
    low, high = min(one, two), max(one, two)
    found = [Interval(value=low, low=low, high=high), Interval(value=low, low=low + better, high=high + better)]
    verdicts = [judge("accuracy", each, margin=margin, rows=50, minimum_rows=30) for each in found]
    assert order.index(verdicts[0]) <= order.index(verdicts[1])
