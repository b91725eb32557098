"""A large snapshot is judged part by part: every verdict, number and row is that of the whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas
import pytest

from pipelines import parts, rows, suite
from pipelines import validate as validation
from pipelines.artifacts import Snapshot
from pipelines.failures import GateFailed
from pipelines.model import Model, read
from pipelines.snapshot import arrived, table_of
from pipelines.validate import run_suite, run_suite_in_parts, validate
from pipelines.work import Work
from tests.pipelines.laboratory import ROOT

FOLDER = ROOT / "models" / "iris"
SIZE = 40
Spoil = Callable[[pandas.DataFrame], pandas.DataFrame | None]


@pytest.fixture(scope="module")
def iris() -> tuple[Model, pandas.DataFrame]:
    model = read(FOLDER)
    return model, table_of(arrived(FOLDER, model, date.max), model)


def many(frame: pandas.DataFrame) -> None:
    frame.loc[3:60, "sepal_length_cm"] = None
    frame.loc[5, "petal_width_cm"] = 99.0
    frame.loc[[8, 149], "species"] = "rosa"
    frame["petal_length_cm"] *= 1.7


def twice(frame: pandas.DataFrame) -> pandas.DataFrame:
    return pandas.concat([frame, frame.head(30)], ignore_index=True)


def text(frame: pandas.DataFrame) -> None:
    frame["sepal_width_cm"] = frame["sepal_width_cm"].astype(str)
    frame.loc[[50, 110], "sepal_width_cm"] = "x"


def one_class(frame: pandas.DataFrame) -> None:
    frame["species"], frame["sepal_width_cm"] = "setosa", 1.0


def empty_column(frame: pandas.DataFrame) -> None:
    frame["sepal_width_cm"] = float("nan")


def signs_of_zero(frame: pandas.DataFrame) -> None:
    frame.loc[:, ["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"]] = 0.0
    frame.loc[::2, "sepal_length_cm"] = -0.0


SPOILED: dict[str, Spoil] = {
    "good": lambda _: None,
    "many mistakes": many,
    "rows twice, in other parts": twice,
    "text for numbers": text,
    "no such column": lambda frame: frame.drop(columns=["sepal_width_cm"]),
    "one class, one value": one_class,
    "an empty column": empty_column,
    "zero with both signs": signs_of_zero,
    "fewer rows than are wanted": lambda frame: frame.head(50),
}


def spoiled(frame: pandas.DataFrame, spoil: Spoil, path: Path) -> pandas.DataFrame:
    changed = frame.copy()
    made = spoil(changed)
    made = changed if made is None else made
    made.to_parquet(path, index=False)
    return rows.read(path)


@pytest.mark.parametrize("name", SPOILED)
def test_parts_give_what_the_whole_gives(iris: tuple[Model, pandas.DataFrame], tmp_path: Path, name: str) -> None:
    model, frame = iris
    path, asked = tmp_path / "snapshot.parquet", suite.read(FOLDER, model)
    whole = run_suite(spoiled(frame, SPOILED[name], path), model, asked)
    assert run_suite_in_parts(path, model, asked, size=SIZE) == whole
    assert all(each.success for each in whole) is (name == "good")


def test_nothing_of_a_generated_suite_needs_the_whole(
    iris: tuple[Model, pandas.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, frame = iris
    path = tmp_path / "snapshot.parquet"
    spoiled(frame, lambda _: None, path)

    def refuse(*_: Any) -> None:
        raise AssertionError("a column was read whole")

    monkeypatch.setattr(validation, "_whole", refuse)
    assert all(each.success for each in run_suite_in_parts(path, model, suite.read(FOLDER, model), size=SIZE))


def test_an_expectation_added_by_hand_that_cannot_be_joined_gets_its_column_whole(
    iris: tuple[Model, pandas.DataFrame], tmp_path: Path
) -> None:
    model, frame = iris
    path = tmp_path / "snapshot.parquet"
    asked = [
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "sepal_length_cm", "min_value": 5, "max_value": 6}},
        {"type": "expect_column_median_to_be_between", "kwargs": {"column": "sepal_length_cm", "min_value": 8}},
        {"type": "expect_column_unique_value_count_to_be_between", "kwargs": {"column": "species", "max_value": 2}},
    ]
    whole = run_suite(spoiled(frame, lambda _: None, path), model, asked)
    assert run_suite_in_parts(path, model, asked, size=SIZE) == whole
    assert [each.success for each in whole] == [True, False, False]


def test_distinct_values_are_counted_no_further_than_anybody_asks(
    iris: tuple[Model, pandas.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MANY", 10)
    model, frame = iris
    path = tmp_path / "snapshot.parquet"
    spoiled(frame, lambda _: None, path)
    asked = [
        {"type": "expect_column_unique_value_count_to_be_between", "kwargs": {"column": "sepal_length_cm", "min_value": each}}
        for each in (2, 36)
    ]
    few, exact = run_suite_in_parts(path, model, asked, size=SIZE)
    assert (few.success, few.observed) == (True, "more than 10")
    assert (exact.success, exact.observed) == (False, 35)


def test_refusal_and_page_of_a_large_snapshot_are_those_of_a_small_one(
    iris: tuple[Model, pandas.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, frame = iris
    path = tmp_path / "snapshot.parquet"
    made = spoiled(frame, many, path)
    work = Work(
        root=ROOT,
        store=tmp_path,
        folder=FOLDER,
        model=model,
        until=date.max,
        champion=None,
        number=1,
        reason="a test",
        code="",
        environment="",
        tracking="",
        output=tmp_path,
        place="output",
    )
    snapshot = Snapshot(path=path.name, digest="", rows=len(made), holdout_rows=0, first="a", last="b", batches=())
    said, pages, reports = [], [], []
    for size in (1 << 18, SIZE):
        monkeypatch.setattr(validation, "PART_ROWS", size)
        with pytest.raises(GateFailed) as caught:
            validate(work, snapshot)
        said.append(str(caught.value))
        pages.append((tmp_path / "report.html").read_text(encoding="utf-8"))
        reports.append(json.loads((tmp_path / "report.json").read_bytes()))
    assert "2026-09-21.csv line 5" in said[0]
    assert said[0] == said[1]
    assert pages[0] == pages[1]
    assert reports[0] == reports[1]
