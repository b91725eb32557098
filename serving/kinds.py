"""Kinds of models: how rows become what a model takes, and how what it gives becomes predictions. A kind is one of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from msgspec.structs import astuple

from serving.body import Row
from serving.release_file import CannotServe, Output, ReleaseFile


class Inputs(Protocol):
    """How rows become what a model takes. ``tensors``: the ONNX types that it may take them in, each with numpy's."""

    tensors: Mapping[str, Any]

    def for_onnx(self, rows: Sequence[Row], dtype: Any) -> Any: ...

    def for_estimator(self, rows: Sequence[Row], names: Sequence[str] | None) -> Any: ...


class Outputs(Protocol):
    """How what a model gives becomes predictions."""

    @property
    def width(self) -> int:
        """Numbers that the model gives for a row."""

    @property
    def counted(self) -> Sequence[str]:
        """Names under which predictions are counted."""

    def check(self, estimator: Any) -> None: ...

    def ask(self, estimator: Any, inputs: Any) -> list[list[float]]: ...

    def tell(self, answers: Iterable[Sequence[float]]) -> tuple[Sequence[str | float], list[dict[str, Any]]]: ...

    def count(self, told: Sequence[str | float]) -> Iterable[tuple[str, int]]: ...


class Numbers:
    """Each input a number; a row is a row of a matrix."""

    tensors: Mapping[str, Any] = {"tensor(float)": np.float32, "tensor(double)": np.float64}

    def for_onnx(self, rows: Sequence[Row], dtype: Any) -> Any:
        return np.array([astuple(row) for row in rows], dtype=dtype)

    def for_estimator(self, rows: Sequence[Row], names: Sequence[str] | None) -> Any:
        """``names``: of the columns, for an estimator that was fitted with names."""
        matrix = np.array([astuple(row) for row in rows], dtype=np.float64)
        if names is None:
            return matrix
        import pandas as pd

        return pd.DataFrame(matrix, columns=list(names))


class Texts:
    """One input, a text. scikit-learn takes a list of them, ONNX a matrix of one column."""

    tensors: Mapping[str, Any] = {"tensor(string)": np.object_}

    def for_onnx(self, rows: Sequence[Row], dtype: Any) -> Any:
        return np.array([astuple(row) for row in rows], dtype=dtype)

    def for_estimator(self, rows: Sequence[Row], names: Sequence[str] | None) -> Any:
        del names
        return [text for row in rows for text in astuple(row)]


class Classes:
    """The likeliest label, and the probability of each."""

    def __init__(self, output: Output) -> None:
        self.width, self.counted = len(output.labels), output.labels

    def check(self, estimator: Any) -> None:
        """Raises CannotServe when the estimator knows other labels."""
        classes = [str(label) for label in estimator.classes_]
        if classes not in (list(self.counted), [str(index) for index in range(self.width)]):
            raise CannotServe(f"its classes are {classes}, release.json has {list(self.counted)}")

    def ask(self, estimator: Any, inputs: Any) -> list[list[float]]:
        answer: list[list[float]] = estimator.predict_proba(inputs).tolist()
        return answer

    def tell(self, answers: Iterable[Sequence[float]]) -> tuple[Sequence[str], list[dict[str, Any]]]:
        """The labels, and the predictions as users get them. Raises ArithmeticError for what is no number."""
        names = self.counted
        labels, predictions = [], []
        for probabilities in answers:
            if not math.isfinite(sum(probabilities)):
                raise ArithmeticError("the model answered a probability that is not finite")
            label = names[probabilities.index(max(probabilities))]
            labels.append(label)
            predictions.append({"label": label, "probabilities": dict(zip(names, probabilities, strict=True))})
        return labels, predictions

    def count(self, told: Sequence[str | float]) -> Iterable[tuple[str, int]]:
        return [(str(label), told.count(label)) for label in set(told)]


class Values:
    """One number."""

    def __init__(self, output: Output) -> None:
        del output
        self.width, self.counted = 1, ("value",)

    def check(self, estimator: Any) -> None:
        """Raises CannotServe when the estimator is a classifier: its ``predict`` gives labels."""
        if hasattr(estimator, "classes_"):
            raise CannotServe("it is a classifier, release.json says that it gives a value")

    def ask(self, estimator: Any, inputs: Any) -> list[list[float]]:
        answer: list[list[float]] = np.asarray(estimator.predict(inputs), dtype=np.float64).reshape(-1, 1).tolist()
        return answer

    def tell(self, answers: Iterable[Sequence[float]]) -> tuple[Sequence[float], list[dict[str, Any]]]:
        """The values, and the predictions as users get them. Raises ArithmeticError for what is no number."""
        values = [value for (value,) in answers]
        if not math.isfinite(sum(values)):
            raise ArithmeticError("the model answered a value that is not finite")
        return values, [{"value": value} for value in values]

    def count(self, told: Sequence[str | float]) -> Iterable[tuple[str, int]]:
        return [("value", len(told))]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What one kind of model takes and gives."""

    inputs: Inputs
    outputs: type[Classes] | type[Values]


KINDS: Mapping[str, Kind] = {
    "tabular": Kind(inputs=Numbers(), outputs=Classes),
    "text": Kind(inputs=Texts(), outputs=Classes),
    "regression": Kind(inputs=Numbers(), outputs=Values),
}


def outputs_of(release: ReleaseFile) -> Outputs:
    """How the answers of a release's model are told."""
    return KINDS[release.kind].outputs(release.output)


def inputs_of(release: ReleaseFile) -> Inputs:
    """How the rows of a release become what its model takes."""
    return KINDS[release.kind].inputs
