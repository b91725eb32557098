"""A model's suite: what it must ask, and what makes it laxer than model.yaml. Great Expectations is not needed to tell."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.expectations import main
from pipelines.failures import StepFailed
from pipelines.model import folder_of, name_of
from pipelines.model import read as read_model
from pipelines.suite import DISTRIBUTION, UNIQUE, Expectation, lacks, read

MODELS = Path(__file__).resolve().parents[3] / "models"
NAMES = sorted(name_of(path.parent) for path in MODELS.glob("*/model.yaml"))
BETWEEN, FILLED, LABELS = (
    "expect_column_values_to_be_between",
    "expect_column_values_to_not_be_null",
    "expect_column_values_to_be_in_set",
)


@pytest.fixture
def iris() -> list[Expectation]:
    return read(MODELS / "iris", read_model(MODELS / "iris"))


def of(suite: list[Expectation], kind: str, column: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = next(each["kwargs"] for each in suite if (each["type"], each["kwargs"].get("column")) == (kind, column))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_suites_of_git_ask_all_that_their_models_do(name: str) -> None:
    folder = folder_of(MODELS, name)
    model = read_model(folder)
    suite = read(folder, model)
    asked = {each["type"] for each in suite}
    assert {"expect_table_columns_to_match_set", "expect_table_row_count_to_be_between", FILLED, UNIQUE, DISTRIBUTION} <= asked
    for each in suite:
        if each["type"] == DISTRIBUTION:
            assert sum(each["kwargs"]["partition_object"]["weights"]) == pytest.approx(1, abs=1e-5)


def test_class_balance_is_the_distribution_of_the_labels(iris: list[Expectation]) -> None:
    assert of(iris, DISTRIBUTION, "species")["partition_object"]["values"] == ["setosa", "versicolor", "virginica"]
    assert 0.9 < of(iris, UNIQUE)["mostly"] < 0.95


@pytest.mark.parametrize(
    ("kind", "column", "change"),
    [
        (BETWEEN, "sepal_length_cm", {"min_value": 1, "max_value": 10}),
        (BETWEEN, "sepal_length_cm", {"strict_min": True}),
        ("expect_table_row_count_to_be_between", None, {"min_value": 80, "max_value": 1000}),
        (DISTRIBUTION, "species", {"threshold": 0.01}),
        (UNIQUE, None, {"mostly": 0.5}),
    ],
)
def test_what_is_stricter_or_not_of_the_model_may_be_edited(
    iris: list[Expectation], kind: str, column: str, change: dict[str, Any]
) -> None:
    of(iris, kind, column).update(change)
    assert lacks(iris, read_model(MODELS / "iris")) == []


@pytest.mark.parametrize(
    ("kind", "column", "change"),
    [
        (BETWEEN, "sepal_length_cm", {"max_value": 31}),
        (BETWEEN, "sepal_length_cm", {"min_value": 0}),
        (BETWEEN, "sepal_length_cm", {"max_value": None}),
        (BETWEEN, "sepal_length_cm", {"max_value": "wide"}),
        (BETWEEN, "sepal_length_cm", {"mostly": 0.9}),
        (FILLED, "species", {"row_condition": 'species=="setosa"'}),
        (LABELS, "species", {"value_set": ["setosa", "versicolor", "virginica", "rose"]}),
        ("expect_table_row_count_to_be_between", None, {"min_value": 10}),
        ("expect_table_columns_to_match_set", None, {"exact_match": False}),
        (DISTRIBUTION, "species", {"threshold": 0.5}),
        (UNIQUE, None, {"column_list": ["sepal_length_cm", "sepal_width_cm"]}),
    ],
)
def test_what_is_laxer_is_named(iris: list[Expectation], kind: str, column: str | None, change: dict[str, Any]) -> None:
    of(iris, kind, column).update(change)
    (missing,) = lacks(iris, read_model(MODELS / "iris"))
    assert missing.startswith(f"{kind} ({column}) must keep" if column else f"{kind} must keep")


def test_each_expectation_that_is_gone_is_named(iris: list[Expectation]) -> None:
    model = read_model(MODELS / "iris")
    for at in range(len(iris)):
        (missing,) = lacks([*iris[:at], *iris[at + 1 :]], model)
        assert missing.endswith("is missing")


def test_a_distribution_without_its_reference_is_none(iris: list[Expectation]) -> None:
    del of(iris, DISTRIBUTION, "species")["partition_object"]
    assert len(lacks(iris, read_model(MODELS / "iris"))) == 1


def test_a_distribution_of_one_bin_is_none(iris: list[Expectation]) -> None:
    of(iris, DISTRIBUTION, "sepal_length_cm")["partition_object"] = {"bins": [1.0, 2.0], "weights": [1.0]}
    (found,) = lacks(iris, read_model(MODELS / "iris"))
    assert found == f"{DISTRIBUTION} (sepal_length_cm) has one bin, in which whatever comes is the same"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(MODELS / "iris", tmp_path / "iris", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "iris"


@pytest.mark.parametrize("text", ["", "[]", "expectations: 3", "expectations: [{type: x}]", "a: b: c", "expectations: [{kwargs: {}}]"])
def test_what_is_no_suite_is_refused(folder: Path, text: str) -> None:
    (folder / "expectations.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(StepFailed, match=r"models/iris/expectations\.yaml: is no suite"):
        read(folder, read_model(folder))


def test_the_file_has_a_line_for_each_value_and_no_alias(folder: Path) -> None:
    assert main(["iris", "--models", str(folder.parent), "--until", "2026-10-31"]) == 0
    text = (folder / "expectations.yaml").read_text(encoding="utf-8")
    assert "made-from: {first: '2026-09-21', last: '2026-10-26', rows: 90}" in text
    assert "&" not in text and "*" not in text
    assert max(map(len, text.splitlines())) <= 140
    assert len(yaml.safe_load(text)["expectations"]) == len(read(folder, read_model(folder)))


def empty_cell(lines: list[str]) -> list[str]:
    return [lines[0], "," + lines[1].partition(",")[2], *lines[2:]]


def text_cell(lines: list[str]) -> list[str]:
    return [lines[0], "long," + lines[1].partition(",")[2], *lines[2:]]


def constant(lines: list[str]) -> list[str]:
    return [lines[0], *("5.1," + line.partition(",")[2] for line in lines[1:])]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (constant, "only one value in sepal_length_cm"),
        (lambda lines: [line for line in lines if not line.endswith("virginica")], "no row of virginica in species"),
        (lambda lines: [line.replace("virginica", "rose") for line in lines], "rose in species, which model.yaml does not list"),
        (empty_cell, "empty cells in sepal_length_cm"),
        (text_cell, "cells in sepal_length_cm that are no numbers"),
        (lambda lines: [lines[0].replace("species", "kind"), *lines[1:]], "no column species"),
        (lambda lines: lines[:1], "no rows"),
    ],
)
def test_bad_data_is_no_reference_and_the_file_stays(folder: Path, spoil: Callable[[list[str]], list[str]], said: str) -> None:
    for path in (folder / "data" / "batches").glob("*.csv"):
        path.write_text("\n".join(spoil(path.read_text(encoding="utf-8").splitlines())) + "\n", encoding="utf-8")
    before = (folder / "expectations.yaml").read_bytes()
    with pytest.raises(StepFailed, match="this data is no reference") as caught:
        main(["iris", "--models", str(folder.parent)])
    assert said in str(caught.value)
    assert (folder / "expectations.yaml").read_bytes() == before
