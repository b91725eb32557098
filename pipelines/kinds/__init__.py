"""Kinds of models: what they take and what they answer, each a module with the same functions. A kind is one of each.

``Inputs`` is ``numbers`` or ``texts``, ``Outputs`` is ``classes`` or ``values``. All else in ``pipelines/`` asks these and knows no kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.bootstrap import Answers
from pipelines.kinds import classes, numbers, texts, values
from pipelines.model import Input, Model, Output

if TYPE_CHECKING:
    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]
    Predict = Callable[[Array], Array]


class Inputs(Protocol):
    """What a model takes. A row is a list of cells in the order of model.yaml; ``features`` is what an estimator takes."""

    def cast(self, column: pandas.Series[Any], kind: str) -> pandas.Series[Any]:
        """A column of a batch as the snapshot keeps it; as it came when a cell is not of its type."""

    def features(self, frame: pandas.DataFrame, names: Sequence[str]) -> Array:
        """A snapshot's rows."""

    def of_rows(self, rows: Sequence[Sequence[Any]]) -> Array:
        """Some rows."""

    def to_rows(self, features: Array) -> list[list[Any]]:
        """And back."""

    def distinct(self, features: Array) -> Array:
        """Each row once, in an order that does not depend on theirs."""

    def corners(self, model: Model, holdout: Array) -> Array:
        """Rows at the ends of what is allowed."""

    def as_request(self, model: Model, row: Sequence[Any]) -> dict[str, Any]:
        """A row as users send it."""

    def onnx_type(self, features: Array) -> Any:
        """The type of the one ONNX input that takes such rows."""

    def onnx_options(self) -> dict[Any, Any]:
        """Options of the converters, by estimator."""

    def expectations(self, name: str, each: Input) -> list[dict[str, Any]]:
        """The schema of one column, as Great Expectations takes it."""

    def measured(self, frame: pandas.DataFrame, names: Sequence[str]) -> pandas.DataFrame:
        """What of some inputs is compared by its distribution, as numbers, each under the name that ``measure`` gives."""

    def measure(self, name: str) -> str:
        """The name of what is compared of an input; the input's own where it is the input itself."""


class Outputs(Protocol):
    """What a model answers: ``answers`` are (rows, labels) probabilities or (rows, 1) values."""

    def number(self) -> str:
        """What one number of an answer is, in words."""

    def cast(self, column: pandas.Series[Any]) -> pandas.Series[Any]:
        """The column of the truth as the snapshot keeps it."""

    def targets(self, column: pandas.Series[Any]) -> Array:
        """The truth as an estimator is fitted to it."""

    def lacks(self, estimator: Any) -> str:
        """What an unfitted estimator lacks to give such answers, in words; nothing when it is right."""

    def not_learned(self, output: Output, fitted: Any) -> str:
        """What a fitted estimator learned in place of what it should, in words; nothing when it is right."""

    def labels(self, fitted: Any) -> list[str]:
        """The labels that a fitted estimator answers by, in the order of its probabilities; none of a value."""

    def predict(self, estimator: Any) -> Predict:
        """A fitted estimator as a function from features to answers."""

    def onnx_options(self, estimator: Any) -> dict[Any, Any]:
        """Options of the converters, by estimator."""

    def wrong(self, answers: Array, rows: int, labels: Sequence[str]) -> tuple[str, str, str] | None:
        """What is wrong with answers to so many rows, what came, and what is allowed; None when they may be judged."""

    def judged(self, output: Output, truth: pandas.Series[Any], answers: Array, labels: Sequence[str]) -> Answers:
        """Truth and answers as metrics take them; ``labels`` is the order of the model that answered."""

    def turned(self, expected: Array, given: Array) -> int:
        """How many rows got another answer, whatever the distance of the numbers."""

    def is_clear(self, answers: Array) -> Array:
        """Which rows have an answer that a difference within the tolerance cannot turn."""

    def groups(self, answers: Array) -> Array:
        """A number for each row: golden requests are spread evenly over these groups."""

    def predictions(self, output: Output, answers: Array) -> list[dict[str, Any]]:
        """The answers as users get them."""

    def of_predictions(self, predictions: Sequence[Mapping[str, Any]]) -> Array:
        """And back."""

    def for_consumers(self, output: Output) -> dict[str, Any]:
        """The output in release.json."""

    def expectations(self, output: Output) -> list[dict[str, Any]]:
        """The schema of the column of the truth, as Great Expectations takes it."""

    def histogram(self, column: pandas.Series[Any], output: Output) -> dict[str, Any]:
        """The distribution of the truth: ``bins`` or ``values``, and ``counts``."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What one kind of model takes and answers."""

    inputs: Inputs
    outputs: Outputs


KINDS: Mapping[str, Kind] = {
    "tabular": Kind(inputs=numbers, outputs=classes),
    "text": Kind(inputs=texts, outputs=classes),
    "regression": Kind(inputs=numbers, outputs=values),
}


def of(model: Model) -> Kind:
    """The kind of a model."""
    return KINDS[model.kind]


def features(frame: pandas.DataFrame, model: Model) -> Array:
    """The inputs of a snapshot's rows as the model's estimator takes them."""
    return of(model).inputs.features(frame, list(model.inputs))
