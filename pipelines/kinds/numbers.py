"""Inputs that are numbers: a row is a row of a float64 matrix."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines.model import Input, Model

if TYPE_CHECKING:
    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]

MAX_CORNERS = 16


def cast(column: pandas.Series[Any], kind: str) -> pandas.Series[Any]:
    """The column as numbers when each cell that is filled is one; as it came otherwise."""
    import numpy

    try:
        cells = column.astype("float64")
    except ValueError:
        return column
    filled = cells[column.notna()]
    is_right = numpy.isfinite(filled).all() and not (kind == "int" and (filled % 1 != 0).any())
    return cells if is_right else column


def features(frame: pandas.DataFrame, names: Sequence[str]) -> Array:
    """Shape (rows, inputs)."""
    return frame[list(names)].to_numpy(dtype="float64")


def of_rows(rows: Sequence[Sequence[Any]]) -> Array:
    """Shape (rows, inputs); for no rows, (0, 0)."""
    import numpy

    return numpy.array(rows, dtype="float64").reshape(len(rows), -1 if rows else 0)


def to_rows(features: Array) -> list[list[Any]]:
    """Lists of floats."""
    return [[float(value) for value in row] for row in features]


def distinct(features: Array) -> Array:
    """Ascending."""
    import numpy

    return numpy.unique(features, axis=0)


def corners(model: Model, holdout: Array) -> Array:
    """Rows at the ends of the allowed ranges: all low, all high, then every mix until there are enough."""
    import numpy

    del holdout
    ends = [(each.min, each.max) for each in model.inputs.values()]
    mixes = itertools.islice(itertools.product(*ends), MAX_CORNERS - 1)
    highest = [high for _, high in ends]
    return numpy.array([list(mix) for mix in mixes if list(mix) != highest] + [highest])


def as_request(model: Model, row: Sequence[Any]) -> dict[str, Any]:
    """Name -> number, an integer where model.yaml says so."""
    return {name: int(cell) if each.type == "int" else cell for (name, each), cell in zip(model.inputs.items(), row, strict=True)}


def onnx_type(features: Array) -> Any:
    """Single precision: what runtimes are fast in."""
    from skl2onnx.common.data_types import FloatTensorType

    return FloatTensorType([None, features.shape[1]])


def onnx_options() -> dict[Any, Any]:
    """None."""
    return {}


def expectations(name: str, each: Input) -> list[dict[str, Any]]:
    """Filled, numbers, within the range, more than one value."""
    return within(name, each.min, each.max)


def within(name: str, low: float | None, high: float | None) -> list[dict[str, Any]]:
    """The same of any column of numbers."""
    return [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": name}},
        {"type": "expect_column_values_to_be_of_type", "kwargs": {"column": name, "type_": "float64"}},
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": name, "min_value": low, "max_value": high}},
        {"type": "expect_column_unique_value_count_to_be_between", "kwargs": {"column": name, "min_value": 2}},
    ]


def measured(frame: pandas.DataFrame, names: Sequence[str]) -> pandas.DataFrame:
    """The columns themselves."""
    return frame[list(names)]


def measure(name: str) -> str:
    """The input's own."""
    return name
