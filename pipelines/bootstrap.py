"""Metrics with bootstrap intervals, the paired difference of two models, and the verdict. Pure functions over arrays.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), percentile intervals; the same resampled rows for both models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.artifacts import Interval
from pipelines.model import LOWER_IS_BETTER

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

RESAMPLES = 2000
LEVEL = 0.95
OF_LABELS = frozenset({"accuracy", "macro-f1"})
CELLS_AT_ONCE = 4_000_000
"""Bounds memory: this many weights are held at once, whatever the number of rows."""


@dataclass(frozen=True)
class Answers:
    """What a model answered on the holdout: ``truth`` and ``predicted`` as positions of labels (rows), probabilities (rows, labels).

    Of a regression, the first two are values, and there are no probabilities: (rows, 0).
    """

    truth: Array
    predicted: Array
    probabilities: Array


def measure(metric: str, answers: Answers, weights: Array) -> Array:
    """One value of the metric for each row of ``weights`` (resamples, rows): how often each holdout row was drawn."""
    return _MEASURES[metric](answers, weights)


def interval(metric: str, answers: Answers, seed: int) -> Interval:
    """The metric on the holdout, with its interval."""
    import numpy

    value = measure(metric, answers, numpy.ones((1, len(answers.truth))))[0]
    spread = numpy.concatenate([measure(metric, answers, weights) for weights in _draws(len(answers.truth), seed)])
    return _left_open(metric, _summary(value, spread), len(answers.truth), least=0.0)


def difference(metric: str, challenger: Answers, champion: Answers, seed: int) -> Interval:
    """Challenger minus champion; see ``beside``."""
    return beside((metric,), challenger, champion, seed)[1][metric]


def beside(metrics: Sequence[str], challenger: Answers, champion: Answers, seed: int) -> tuple[dict[str, Interval], dict[str, Interval]]:
    """The champion's metrics, and challenger minus champion in each, on the same rows in every resample; one pass over the resamples."""
    import numpy

    rows = len(challenger.truth)
    both = {metric: _both(metric, challenger, champion, numpy.ones((1, rows))) for metric in metrics}
    spread: dict[str, list[Array]] = {metric: [] for metric in metrics}
    for weights in _draws(rows, seed):
        for metric in metrics:
            spread[metric].append(_both(metric, challenger, champion, weights))
    theirs, apart = {}, {}
    for metric in metrics:
        (mine, other), (drawn, drawn_other) = both[metric][:, 0], numpy.concatenate(spread[metric], axis=1)
        theirs[metric] = _left_open(metric, _summary(other, drawn_other), rows, least=0.0)
        apart[metric] = _left_open(metric, _summary(mine - other, drawn - drawn_other), rows, least=-1.0)
    return theirs, apart


def judge(metric: str, found: Interval, *, margin: float, rows: int, minimum_rows: int) -> str:
    """``pass``, ``fail`` or ``not enough evidence`` of "not worse than the champion by more than the margin".

    Fail when the whole interval is below minus the margin, pass when the whole interval is above it on ``minimum_rows`` or more; else the
    holdout cannot tell.
    """
    low, high = (-found.high, -found.low) if metric in LOWER_IS_BETTER else (found.low, found.high)
    if high < -margin:
        return "fail"
    return "pass" if low >= -margin and rows >= minimum_rows else "not enough evidence"


def positions(values: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Each value's position among the labels. Raises KeyError for a value that is none of them."""
    where = {label: at for at, label in enumerate(labels)}
    return [where[str(value)] for value in values]


def _mean(values: Array, weights: Array) -> Array:
    mean: Array = weights @ values / weights.sum(axis=1)
    return mean


def _accuracy(answers: Answers, weights: Array) -> Array:
    return _mean(answers.predicted == answers.truth, weights)


def _log_loss(answers: Answers, weights: Array) -> Array:
    import numpy

    given = answers.probabilities[numpy.arange(len(answers.truth)), answers.truth]
    return _mean(-numpy.log(numpy.clip(given, 1e-15, 1)), weights)


def _macro_f1(answers: Answers, weights: Array) -> Array:
    import numpy

    scores = [_f1(answers, label, weights) for label in range(answers.probabilities.shape[1])]
    mean: Array = numpy.ma.masked_invalid(numpy.stack(scores)).mean(axis=0).filled(0.0)
    return mean


def _mae(answers: Answers, weights: Array) -> Array:
    return _mean(abs(answers.predicted - answers.truth), weights)


def _mse(answers: Answers, weights: Array) -> Array:
    return _mean((answers.predicted - answers.truth) ** 2, weights)


def _rmse(answers: Answers, weights: Array) -> Array:
    root: Array = _mse(answers, weights) ** 0.5
    return root


def _r2(answers: Answers, weights: Array) -> Array:
    """1 for all right, 0 for no better than the mean; 0 as well in a resample in which every truth is the same."""
    import numpy

    # From the middle of the truths: the difference of two large sums would lose what is between them.
    truth = answers.truth - answers.truth.mean()
    spread = _mean(truth**2, weights) - _mean(truth, weights) ** 2
    with numpy.errstate(invalid="ignore", divide="ignore"):
        share: Array = numpy.where(spread > 0, 1 - _mse(answers, weights) / spread, 0.0)
    return share


def _f1(answers: Answers, label: int, weights: Array) -> Array:
    """F1 of one label; NaN in a resample that has the label neither as truth nor as answer."""
    import numpy

    truth, predicted = answers.truth == label, answers.predicted == label
    both, either = weights @ (truth & predicted), weights @ truth + weights @ predicted
    with numpy.errstate(invalid="ignore", divide="ignore"):
        score: Array = 2 * both / either
    return score


def _draws(rows: int, seed: int) -> Iterator[Array]:
    import numpy

    random = numpy.random.default_rng(seed)
    at_once = max(1, min(RESAMPLES, CELLS_AT_ONCE // rows))
    for start in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - start)
        if rows <= 10_000:
            yield random.multinomial(rows, numpy.full(rows, 1 / rows), size=count).astype("float64")
        else:
            drawn = [numpy.bincount(random.integers(rows, size=rows), minlength=rows) for _ in range(count)]
            yield numpy.stack(drawn).astype("float64")


def _both(metric: str, challenger: Answers, champion: Answers, weights: Array) -> Array:
    """The metric of both, in two rows."""
    import numpy

    return numpy.stack([measure(metric, challenger, weights), measure(metric, champion, weights)])


def _summary(value: float, spread: Array) -> Interval:
    import numpy

    low, high = numpy.quantile(spread, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value=round(float(value), 6), low=round(float(low), 6), high=round(float(high), 6))


def _left_open(metric: str, found: Interval, rows: int, *, least: float) -> Interval:
    """The interval, or a wider one where no resample differs from another, as when all is right, or the same rows are for both models.

    One point would claim more than the rows tell. The rule of three says in what share of the world's rows it may still be otherwise: up to
    3 / ``rows``.
    """
    if metric not in OF_LABELS or found.low < found.high:
        return found
    reach = 3 / rows
    return Interval(value=found.value, low=max(least, found.low - reach), high=min(1.0, found.high + reach))


_MEASURES: Mapping[str, Callable[[Answers, Array], Array]] = {
    "accuracy": _accuracy,
    "macro-f1": _macro_f1,
    "log-loss": _log_loss,
    "mae": _mae,
    "rmse": _rmse,
    "r2": _r2,
}
