"""A model's suite, ``expectations.yaml``: what data must be like before anything is trained on it, in Great Expectations' own form.

What model.yaml says (columns, types, ranges, labels, rows) and what trusted data is like (rows that repeat, distributions) stand in one
file that people review and may make stricter. It never asks less than model.yaml.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipelines import kinds
from pipelines.failures import StepFailed
from pipelines.model import Model

if TYPE_CHECKING:
    import pandas

Expectation = dict[str, Any]
"""``type`` and ``kwargs``, as Great Expectations takes it."""

DISTRIBUTION = "expect_column_kl_divergence_to_be_less_than"
UNIQUE = "expect_compound_columns_to_be_unique"
HELD_BACK = 0.005
"""Weight given to what the reference never saw, so that one such value gives a finite divergence rather than an infinite one."""
MORE_REPEATED = 0.05
"""So much larger than in the reference may the share of repeated rows be: one of up to 38 batches that came twice is noticed."""


def wanted(model: Model) -> list[Expectation]:
    """What every suite of the model asks at least, in the order in which a person wants to hear of failures.

    Schema first: a distribution of a column of text says nothing. Then the output's: when it shifts, so do the inputs'.
    """
    kind = kinds.of(model)
    columns = [*model.inputs, model.output.column]
    return [
        {
            "type": "expect_table_columns_to_match_set",
            "kwargs": {"column_set": list(dict.fromkeys([*columns, *compared(model)])), "exact_match": True},
        },
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": model.data.minimum_rows}},
        *(found for name, each in model.inputs.items() for found in kind.inputs.expectations(name, each)),
        *kind.outputs.expectations(model.output),
        {"type": UNIQUE, "kwargs": {"column_list": columns}},
        *({"type": DISTRIBUTION, "kwargs": {"column": name, "threshold": model.data.maximum_divergence}} for name in compared(model)),
    ]


def compared(model: Model) -> list[str]:
    """The columns whose distributions are compared with the reference."""
    return [model.output.column, *map(kinds.of(model).inputs.measure, model.inputs)]


def with_measures(frame: pandas.DataFrame, model: Model) -> pandas.DataFrame:
    """The rows, and what is measured of their inputs where that is not the input itself."""
    measured = kinds.of(model).inputs.measured(frame, [name for name in model.inputs if name in frame.columns])
    return frame.assign(**{str(name): measured[name] for name in measured if name not in frame.columns})


def of_data(frame: pandas.DataFrame, model: Model) -> list[Expectation]:
    """The suite that these rows give: what is wanted, with the reference filled in."""
    data = with_measures(frame, model)
    return [{**each, "kwargs": each["kwargs"] | _seen(each, data, model)} for each in wanted(model)]


def read(folder: Path, model: Model) -> list[Expectation]:
    """The suite of a model, from the file that model.yaml names. Raises StepFailed when it is none, or asks less than model.yaml."""
    path = folder / model.data.expectations
    shown = f"models/{folder.name}/{model.data.expectations}"
    act = f"make it from data that you trust, and read it before you commit it: make expectations MODEL={model.name}"
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = [{**each, "type": str(each["type"]), "kwargs": dict(each["kwargs"])} for each in document["expectations"]]
    except FileNotFoundError:
        raise StepFailed("there is no suite to hold the data against", where=shown, act=act) from None
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise StepFailed(f"is no suite: {' '.join(str(error).split())}", where=shown, act=act) from None
    missing = lacks(found, model)
    if missing:
        raise StepFailed("asks less than model.yaml", where=shown, got="; ".join(missing), allowed="as much, or more", act=act)
    return found


def lacks(suite: list[Expectation], model: Model) -> list[str]:
    """What a suite does not ask although model.yaml does, or asks less strictly, in words."""
    found = []
    for each in wanted(model):
        same = [other["kwargs"] for other in suite if named(other) == named(each)]
        if not same:
            found.append(f"{named(each)} is missing")
        elif not any(_is_as_strict(kwargs, each) for kwargs in same):
            found.append(f"{named(each)} must keep {each['kwargs']}")
        elif each["type"] == DISTRIBUTION and not any(_tells_apart(kwargs) for kwargs in same):
            found.append(f"{named(each)} has one bin, in which whatever comes is the same")
    return found


def named(each: Expectation) -> str:
    """An expectation by its type and column, such as ``expect_column_values_to_not_be_null (species)``."""
    column = each["kwargs"].get("column")
    return f"{each['type']} ({column})" if column else str(each["type"])


def _is_as_strict(found: dict[str, Any], each: Expectation) -> bool:
    if "row_condition" in found or (each["type"] == DISTRIBUTION and "partition_object" not in found):
        return False
    try:
        return all(_keeps(key, found.get(key), value) for key, value in each["kwargs"].items()) and (
            each["type"] == UNIQUE or found.get("mostly", 1) >= 1
        )
    except TypeError:  # a text where a number belongs
        return False


def _tells_apart(found: dict[str, Any]) -> bool:
    """Whether a distribution has more than one share; one that is written otherwise is left to Great Expectations."""
    partition = found.get("partition_object")
    weights = partition.get("weights") if isinstance(partition, dict) else None
    return not isinstance(weights, list) or len(weights) > 1


def _keeps(key: str, found: Any, value: Any) -> bool:
    if found is None or value is None:
        return bool(found == value)
    if key == "min_value":
        return bool(found >= value)
    return bool(found <= value) if key in {"max_value", "threshold"} else bool(found == value)


def _seen(each: Expectation, data: pandas.DataFrame, model: Model) -> dict[str, Any]:
    """What the reference adds to an expectation."""
    kwargs = each["kwargs"]
    if each["type"] == UNIQUE:
        repeated = float(data.duplicated(subset=kwargs["column_list"], keep=False).mean())
        return {"mostly": round(max(0.0, 1 - repeated - MORE_REPEATED), 3)}
    if each["type"] != DISTRIBUTION:
        return {}
    histogram = _histogram(kwargs["column"], data, model)
    held_back = {"internal_weight_holdout": HELD_BACK, "tail_weight_holdout": HELD_BACK} if "bins" in histogram else {}
    return {"partition_object": histogram, **held_back}


def _histogram(column: str, data: pandas.DataFrame, model: Model) -> dict[str, Any]:
    """``bins`` or ``values``, and ``weights`` that sum to 1, as Great Expectations takes a distribution."""
    from pipelines.histograms import of_numbers

    is_output = column == model.output.column
    found = kinds.of(model).outputs.histogram(data[column], model.output) if is_output else of_numbers(data[column])
    counts = found.pop("counts")
    return found | {"weights": [round(count / sum(counts), 6) for count in counts]}
