"""Answers that are one of some labels: probabilities of shape (rows, labels), in the order of the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.bootstrap import Answers, positions
from pipelines.model import Output

if TYPE_CHECKING:
    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]

CLEAR_LEAD = 1e-3
"""The best label leads the second by at least this: a difference within the tolerance can never turn the answer."""


def cast(column: pandas.Series[Any]) -> pandas.Series[Any]:
    """The column as it came."""
    return column


def targets(column: pandas.Series[Any]) -> Array:
    """Strings."""
    return column.to_numpy(dtype=str)


def number() -> str:
    """A probability."""
    return "probability"


def lacks(estimator: Any) -> str:
    """A classifier that knows its probabilities has ``fit`` and ``predict_proba``."""
    return "" if hasattr(estimator, "fit") and hasattr(estimator, "predict_proba") else "a classifier with fit and predict_proba"


def not_learned(output: Output, fitted: Any) -> str:
    """The labels that it learned, unless they are those of model.yaml."""
    learned = labels(fitted)
    return "" if learned == list(output.labels) else f"labels {learned}"


def labels(fitted: Any) -> list[str]:
    """Those that it learned."""
    return [str(each) for each in fitted.classes_]


def predict(estimator: Any) -> Callable[[Array], Array]:
    """The order of its probabilities is that of the labels (``train`` sees to it)."""
    import numpy

    return lambda inputs: numpy.asarray(estimator.predict_proba(inputs))


def onnx_options(estimator: Any) -> dict[Any, Any]:
    """Probabilities as a matrix, not as a dictionary for each row."""
    return {id(estimator): {"zipmap": False}}


def wrong(answers: Array, rows: int, labels: Sequence[str]) -> tuple[str, str, str] | None:
    """Finite, none below 0, each row's sum 1."""
    import numpy

    if answers.shape == (rows, len(labels)) and (answers >= 0).all() and numpy.allclose(answers.sum(axis=1), 1, atol=1e-4):
        return None
    bad = int((~numpy.isfinite(answers)).any(axis=1).sum()) if answers.ndim == 2 else 0
    got = f"shape {answers.shape}, {bad} rows with NaN or infinity"
    return "the model's answers are no probabilities", got, f"shape {(rows, len(labels))}, finite, none below 0, each row's sum 1"


def judged(output: Output, truth: pandas.Series[Any], answers: Array, labels: Sequence[str]) -> Answers:
    """Positions of labels, and probabilities in the order of model.yaml; a label that the model does not know has none."""
    import numpy

    ordered = numpy.zeros((len(truth), len(output.labels)))
    ordered[:, positions(labels, output.labels)] = answers
    return Answers(truth=numpy.array(positions(list(truth), output.labels)), predicted=ordered.argmax(axis=1), probabilities=ordered)


def turned(expected: Array, given: Array) -> int:
    """Rows whose likeliest label is another one."""
    return int((expected.argmax(axis=1) != given.argmax(axis=1)).sum())


def is_clear(answers: Array) -> Array:
    """The best label leads."""
    import numpy

    ordered = numpy.sort(answers, axis=1)
    clear: Array = ordered[:, -1] - ordered[:, -2] >= CLEAR_LEAD
    return clear


def groups(answers: Array) -> Array:
    """By label."""
    group: Array = answers.argmax(axis=1)
    return group


def predictions(output: Output, answers: Array) -> list[dict[str, Any]]:
    """``label`` and ``probabilities``."""
    labels = output.labels
    return [
        {"label": labels[int(answer.argmax())], "probabilities": {label: float(p) for label, p in zip(labels, answer, strict=True)}}
        for answer in answers
    ]


def of_predictions(predictions: Sequence[Mapping[str, Any]]) -> Array:
    """The probabilities."""
    import numpy

    return numpy.array([list(each["probabilities"].values()) for each in predictions])


def for_consumers(output: Output) -> dict[str, Any]:
    """Its labels, in order."""
    return {"type": output.type, "labels": list(output.labels)}


def expectations(output: Output) -> list[dict[str, Any]]:
    """Filled, known labels, each of them there."""
    known = {"column": output.column, "value_set": list(output.labels)}
    return [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": output.column}},
        {"type": "expect_column_values_to_be_in_set", "kwargs": known},
        {"type": "expect_column_distinct_values_to_contain_set", "kwargs": known},
    ]


def histogram(column: pandas.Series[Any], output: Output) -> dict[str, Any]:
    """Rows of each label."""
    seen = column.value_counts()
    return {"values": list(output.labels), "counts": [int(seen.get(label, 0)) for label in output.labels]}
