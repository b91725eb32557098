"""What lies beneath an evaluation's metrics: by class, by slice, calibration, and rows that champion and challenger answer differently.

Nothing here is a gate. It is what a person reads on the evidence card before they trust the metrics that are one. Sections that a kind of
model does not have stay empty, and readers show what is there. Pure functions over arrays; the frame is the holdout's rows.

Source of the interval of a share: Wilson (1927); of a mean: Student (1908). Both hold for few rows, which a normal approximation does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.artifacts import Interval
from pipelines.bootstrap import Answers, beside
from pipelines.model import METRICS, Model
from pipelines.rows import BATCH

if TYPE_CHECKING:
    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]

Z = 1.959964
"""Two-sided 95 % of the normal distribution."""

BINS = 10
EXAMPLES = 6
EXAMPLE_CHARACTERS = 160
FEW_VALUES = 6
"""A column with at most so many values is sliced by value, one with more by thirds."""
MAXIMUM_SLICES = 60
FEWEST_IN_SLICE = 5


@dataclass(frozen=True, kw_only=True)
class OfClass:
    """One class on the holdout: how many rows have it, which share of them was found, which share of its answers was right."""

    label: str
    rows: int
    recall: Interval | None
    precision: Interval | None
    champion_recall: Interval | None = None
    champion_precision: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Counts by truth (rows) and answer (columns), labels in the same order."""

    labels: list[str]
    release: list[list[int]]
    champion: list[list[int]] | None = None


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers of about the same size: what they said on average, and what was so (with its interval)."""

    rows: int
    said: float
    was: Interval


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far answers can be taken at their word. ``error`` is the mean distance between said and was, weighted by rows."""

    what: str
    release: list[Bin]
    error: float
    champion: list[Bin] | None = None
    champion_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Residuals:
    """Answer minus truth: quantiles at 5, 25, 50, 75 and 95 %."""

    release: list[float]
    champion: list[float] | None = None


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Some of the holdout's rows: one column, the values of it that they share."""

    column: str
    values: str
    rows: int
    release: Interval
    champion: Interval | None = None
    difference: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Example:
    """A row that the two answer differently."""

    inputs: dict[str, str]
    truth: str
    release: str
    champion: str


@dataclass(frozen=True, kw_only=True)
class Detail:
    """All of it. ``champion`` and ``differences`` hold the champion's metrics on the same rows, and challenger minus champion."""

    rows: int
    champion: dict[str, Interval] = field(default_factory=dict)
    differences: dict[str, Interval] = field(default_factory=dict)
    slice_metric: str
    slices: list[Slice]
    otherwise: int | None = None
    examples: list[Example]
    classes: list[OfClass]
    confusion: Confusion | None = None
    calibration: Calibration | None = None
    residuals: Residuals | None = None


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """The holdout's rows, which of their columns are inputs, and the date of the last batch that the champion learned from."""

    frame: pandas.DataFrame
    inputs: Sequence[str]
    since: str | None
    seed: int


def write(path: Path, found: Detail) -> None:
    """Keep it as JSON. Raises OSError."""
    import msgspec

    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def read(path: Path) -> Detail:
    """Read what ``write`` kept. Raises OSError."""
    import msgspec

    return msgspec.json.decode(path.read_bytes(), type=Detail)


def of(holdout: Holdout, model: Model, release: Answers, champion: Answers | None) -> Detail:
    """Of any kind of model, by what its answers hold."""
    metrics: tuple[str, ...] = METRICS[model.output.type]
    theirs, apart = ({}, {}) if champion is None else beside(metrics, release, champion, holdout.seed)
    if model.output.labels:
        other = None if champion is None else champion.probabilities
        found = of_classes(holdout, model.output.labels, release.truth, release.probabilities, other)
    else:
        other = None if champion is None else champion.predicted
        found = of_numbers(holdout, release.truth, release.predicted, other, tolerance=noticed(model))
    return replace(found, champion=theirs, differences=apart)


def noticed(model: Model) -> float:
    """The least distance of two values that a person would call another answer: a hundredth of their range. Any two fits differ by less."""
    return model.output.reach / 100


def of_classes(
    holdout: Holdout,
    labels: Sequence[str],
    truth: Array,
    release: Array,
    champion: Array | None,
) -> Detail:
    """Of a classifier. ``truth`` are positions of labels (rows); ``release`` and ``champion`` probabilities (rows, labels)."""
    import numpy

    answer = release.argmax(axis=1)
    other = None if champion is None else champion.argmax(axis=1)
    matrix = _counts(truth, answer, len(labels))
    matrix_of_champion = None if other is None else _counts(truth, other, len(labels))
    right = (answer == truth).astype("float64")
    right_of_champion = None if other is None else (other == truth).astype("float64")
    differing = None if other is None else numpy.flatnonzero(answer != other)
    return Detail(
        rows=len(truth),
        slice_metric="accuracy",
        slices=_slices(holdout, right, right_of_champion, is_share=True),
        otherwise=None if differing is None else len(differing),
        examples=[]
        if differing is None or other is None
        else [_example(holdout, at, labels[truth[at]], labels[answer[at]], labels[other[at]]) for at in differing[:EXAMPLES]],
        classes=[_of_class(at, label, matrix, matrix_of_champion) for at, label in enumerate(labels)],
        confusion=Confusion(
            labels=list(labels),
            release=matrix.tolist(),
            champion=None if matrix_of_champion is None else matrix_of_champion.tolist(),
        ),
        calibration=_calibration_of_classes(truth, release, champion),
    )


def of_numbers(
    holdout: Holdout,
    truth: Array,
    release: Array,
    champion: Array | None,
    *,
    tolerance: float = 0.0,
) -> Detail:
    """Of a regression: all three are numbers (rows). Answers within ``tolerance`` of each other count as the same."""
    import numpy

    examples: list[Example] = []
    otherwise = None
    if champion is not None:
        apart = abs(release - champion)
        otherwise = int((apart > tolerance).sum())
        furthest = numpy.argsort(-apart, kind="stable")[: min(EXAMPLES, otherwise)]
        examples = [_example(holdout, at, f"{truth[at]:.4g}", f"{release[at]:.4g}", f"{champion[at]:.4g}") for at in furthest]
    bins = _bins_of_numbers(release, truth)
    bins_of_champion = None if champion is None else _bins_of_numbers(champion, truth)
    return Detail(
        rows=len(truth),
        slice_metric="mean absolute error",
        slices=_slices(holdout, abs(release - truth), None if champion is None else abs(champion - truth), is_share=False),
        otherwise=otherwise,
        examples=examples,
        classes=[],
        calibration=Calibration(
            what="mean answer and mean truth",
            release=bins,
            error=_error(bins),
            champion=bins_of_champion,
            champion_error=None if bins_of_champion is None else _error(bins_of_champion),
        ),
        residuals=Residuals(release=_quantiles(release - truth), champion=None if champion is None else _quantiles(champion - truth)),
    )


def share(hits: float, rows: float) -> Interval | None:
    """A share with its 95 % interval (Wilson); None of no rows."""
    if rows <= 0:
        return None
    part, extra = hits / rows, Z * Z / rows
    middle = (part + extra / 2) / (1 + extra)
    reach = Z * math.sqrt(part * (1 - part) / rows + extra / (4 * rows)) / (1 + extra)
    return _interval(part, max(0.0, middle - reach), min(1.0, middle + reach))


def mean(values: Array, *, bound: float | None = None) -> Interval:
    """A mean with its 95 % interval (Student). Where all values are the same that is a point; ``bound`` widens it by the rule of three."""
    from scipy.stats import t  # type: ignore[import-untyped]

    rows = len(values)
    middle = float(values.mean())
    # With the normal distribution's quantile, one in eight intervals of five rows would not hold the mean.
    reach = float(t.ppf(0.975, rows - 1)) * float(values.std(ddof=1)) / math.sqrt(rows) if rows > 1 else 0.0
    if reach == 0.0 and bound is not None:
        reach = min(bound, 3 * bound / rows)
    return _interval(middle, middle - reach, middle + reach)


def _interval(value: float, low: float, high: float) -> Interval:
    return Interval(value=round(value, 6), low=round(low, 6), high=round(high, 6))


def _counts(truth: Array, answer: Array, labels: int) -> Array:
    import numpy

    counted = numpy.bincount(truth * labels + answer, minlength=labels * labels)
    return counted.reshape(labels, labels)


def _of_class(at: int, label: str, matrix: Array, other: Array | None) -> OfClass:
    def recall(counts: Array) -> Interval | None:
        return share(float(counts[at, at]), float(counts[at].sum()))

    def precision(counts: Array) -> Interval | None:
        return share(float(counts[at, at]), float(counts[:, at].sum()))

    return OfClass(
        label=label,
        rows=int(matrix[at].sum()),
        recall=recall(matrix),
        precision=precision(matrix),
        champion_recall=None if other is None else recall(other),
        champion_precision=None if other is None else precision(other),
    )


def _calibration_of_classes(truth: Array, release: Array, champion: Array | None) -> Calibration:
    bins = _bins_of_shares(truth, release)
    other = None if champion is None else _bins_of_shares(truth, champion)
    return Calibration(
        what="probability of the answer, and share that was right",
        release=bins,
        error=_error(bins),
        champion=other,
        champion_error=None if other is None else _error(other),
    )


def _bins_of_shares(truth: Array, probabilities: Array) -> list[Bin]:
    """Rows by the probability of the label that was answered, in ten bins of equal width."""
    import numpy

    said = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    where = numpy.minimum((said * BINS).astype(int), BINS - 1)
    found = []
    for at in range(BINS):
        inside = where == at
        was = share(float(right[inside].sum()), float(inside.sum()))
        if was is not None:
            found.append(Bin(rows=int(inside.sum()), said=round(float(said[inside].mean()), 6), was=was))
    return found


def _bins_of_numbers(answer: Array, truth: Array) -> list[Bin]:
    """Rows by the size of the answer, in ten bins with as many rows each."""
    import numpy

    order = numpy.argsort(answer, kind="stable")
    parts = numpy.array_split(order, min(BINS, len(order)))
    return [Bin(rows=len(part), said=round(float(answer[part].mean()), 6), was=mean(truth[part])) for part in parts if len(part)]


def _error(bins: list[Bin]) -> float:
    rows = sum(each.rows for each in bins)
    return round(sum(each.rows * abs(each.said - each.was.value) for each in bins) / rows, 6) if rows else 0.0


def _quantiles(values: Array) -> list[float]:
    import numpy

    return [round(float(each), 6) for each in numpy.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])]


def _slices(holdout: Holdout, release: Array, champion: Array | None, *, is_share: bool) -> list[Slice]:
    """One score of each row (1 for right, or its error), averaged over slices; those that fell most behind the champion first."""
    found = []
    for column, values, inside in _masks(holdout):
        count = int(inside.sum())
        if not FEWEST_IN_SLICE <= count < len(release):
            continue
        mine = share(float(release[inside].sum()), count) if is_share else mean(release[inside])
        theirs = difference = None
        if champion is not None:
            theirs = share(float(champion[inside].sum()), count) if is_share else mean(champion[inside])
            difference = mean(release[inside] - champion[inside], bound=1.0 if is_share else None)
        if mine is not None:
            found.append(Slice(column=column, values=values, rows=count, release=mine, champion=theirs, difference=difference))
    sign = 1 if is_share else -1
    found.sort(key=lambda each: (sign * each.difference.value if each.difference else 0.0, sign * each.release.value))
    return found[:MAXIMUM_SLICES]


def _masks(holdout: Holdout) -> list[tuple[str, str, Array]]:
    frame = holdout.frame
    found: list[tuple[str, str, Array]] = []
    if holdout.since is not None:
        later = (frame[BATCH].astype(str).str.removesuffix(".csv") > holdout.since).to_numpy()
        found += [("arrived", f"up to {holdout.since}", ~later), ("arrived", f"after {holdout.since}", later)]
    for name in holdout.inputs:
        found += _masks_of(name, frame[name])
    return found


def _masks_of(name: str, column: pandas.Series[Any]) -> list[tuple[str, str, Array]]:
    import numpy
    import pandas

    if not pandas.api.types.is_numeric_dtype(column):
        distinct = column.dropna().unique()
        if len(distinct) <= 2 * FEW_VALUES:
            return [(name, str(value), (column == value).to_numpy()) for value in sorted(distinct, key=str)]
        return _thirds(f"length of {name}", column.astype(str).str.len().to_numpy(dtype="float64"), " characters")
    values = column.to_numpy(dtype="float64")
    few = numpy.unique(values[numpy.isfinite(values)])
    if len(few) <= FEW_VALUES:
        return [(name, f"{value:g}", values == value) for value in few]
    return _thirds(name, values, "")


def _thirds(name: str, values: Array, unit: str) -> list[tuple[str, str, Array]]:
    import numpy

    low, high = numpy.quantile(values[numpy.isfinite(values)], [1 / 3, 2 / 3])
    return [
        (name, f"up to {low:.4g}{unit}", values <= low),
        (name, f"{low:.4g} to {high:.4g}{unit}", (values > low) & (values <= high)),
        (name, f"above {high:.4g}{unit}", values > high),
    ]


def _example(holdout: Holdout, at: int, truth: str, release: str, champion: str) -> Example:
    row = holdout.frame.iloc[int(at)]
    return Example(inputs={name: shown(row[name]) for name in holdout.inputs}, truth=truth, release=release, champion=champion)


def shown(value: object) -> str:
    """A value for people: numbers short, text on one line and cut."""
    if isinstance(value, float) or hasattr(value, "dtype"):
        return f"{float(str(value)):.6g}"
    text = " ".join(str(value).split())
    return text if len(text) <= EXAMPLE_CHARACTERS else text[: EXAMPLE_CHARACTERS - 1] + "…"
