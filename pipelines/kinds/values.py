"""Answers that are a number: shape (rows, 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines import histograms
from pipelines.bootstrap import Answers
from pipelines.kinds import numbers
from pipelines.model import Output

if TYPE_CHECKING:
    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]

GROUPS = 10


def cast(column: pandas.Series[Any]) -> pandas.Series[Any]:
    """The column as numbers when each cell that is filled is one."""
    return numbers.cast(column, "float")


def targets(column: pandas.Series[Any]) -> Array:
    """Shape (rows,), float64."""
    return column.to_numpy(dtype="float64")


def number() -> str:
    """A value."""
    return "value"


def lacks(estimator: Any) -> str:
    """A regressor has ``fit`` and ``predict``, and says that it is one: a classifier has both, too."""
    from sklearn.base import is_regressor

    is_right = hasattr(estimator, "fit") and hasattr(estimator, "predict") and is_regressor(estimator)
    return "" if is_right else "a regressor with fit and predict"


def not_learned(output: Output, fitted: Any) -> str:
    """Nothing can be told before it is asked."""
    del output, fitted
    return ""


def labels(fitted: Any) -> list[str]:
    """None."""
    del fitted
    return []


def predict(estimator: Any) -> Callable[[Array], Array]:
    """One column."""
    import numpy

    return lambda inputs: numpy.asarray(estimator.predict(inputs), dtype="float64").reshape(len(inputs), -1)


def onnx_options(estimator: Any) -> dict[Any, Any]:
    """None."""
    del estimator
    return {}


def wrong(answers: Array, rows: int, labels: Sequence[str]) -> tuple[str, str, str] | None:
    """Finite, one for each row."""
    import numpy

    del labels
    if answers.shape == (rows, 1) and numpy.isfinite(answers).all():
        return None
    bad = int((~numpy.isfinite(answers)).sum())
    return "the model's answers are no values", f"shape {answers.shape}, {bad} that are NaN or infinite", f"shape {(rows, 1)}, finite"


def judged(output: Output, truth: pandas.Series[Any], answers: Array, labels: Sequence[str]) -> Answers:
    """Truth and answers as they are; no probabilities."""
    import numpy

    del output, labels
    return Answers(truth=truth.to_numpy(dtype="float64"), predicted=answers[:, 0], probabilities=numpy.zeros((len(truth), 0)))


def turned(expected: Array, given: Array) -> int:
    """None: a value has nothing that could turn."""
    del expected, given
    return 0


def is_clear(answers: Array) -> Array:
    """Every finite one."""
    import numpy

    return numpy.asarray(numpy.isfinite(answers).all(axis=1))


def groups(answers: Array) -> Array:
    """By size, with as many rows each."""
    import numpy

    rank = numpy.argsort(numpy.argsort(answers[:, 0], kind="stable"), kind="stable")
    return rank * GROUPS // max(1, len(answers))


def predictions(output: Output, answers: Array) -> list[dict[str, Any]]:
    """``value``."""
    del output
    return [{"value": float(answer[0])} for answer in answers]


def of_predictions(predictions: Sequence[Mapping[str, Any]]) -> Array:
    """The values."""
    import numpy

    return numpy.array([[each["value"]] for each in predictions])


def for_consumers(output: Output) -> dict[str, Any]:
    """Its unit: the same number in another unit is another answer."""
    return {"type": output.type, "unit": output.unit}


def expectations(output: Output) -> list[dict[str, Any]]:
    """Filled, numbers, within the range, more than one value."""
    return numbers.within(output.column, output.min, output.max)


def histogram(column: pandas.Series[Any], output: Output) -> dict[str, Any]:
    """Bins of about as many rows each."""
    del output
    return histograms.of_numbers(column)
