"""A bad snapshot never trains: the failure names expectation, column, what was observed, and the rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.errors import DeliveryError
from pipelines.failures import GateFailed, StepFailed
from tests.pipelines.laboratory import LATER, Laboratory

Lines = list[str]
BATCH = "2026-11-09.csv"


def edit(change: Callable[[Lines], Lines], *, every: bool = False) -> Callable[[Path], None]:
    """An edit of one batch, or of each."""

    def apply(batches: Path) -> None:
        for path in sorted(batches.glob("*.csv")) if every else [batches / BATCH]:
            path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")

    return apply


def cell(line: int, column: int, value: str) -> Callable[[Lines], Lines]:
    def change(lines: Lines) -> Lines:
        cells = lines[line].split(",")
        cells[column] = value
        return [*lines[:line], ",".join(cells), *lines[line + 1 :]]

    return change


def without_column(lines: Lines) -> Lines:
    return [",".join(line.split(",")[:3] + line.split(",")[4:]) for line in lines]


def in_other_units(lines: Lines) -> Lines:
    rows = [line.split(",") for line in lines[1:]]
    return [lines[0], *(",".join([*row[:2], f"{float(row[2]) * 1.9:.1f}", *row[3:]]) for row in rows)]


def only_setosa(lines: Lines) -> Lines:
    return [lines[0], *(line for line in lines[1:] if line.endswith("setosa"))] if len(lines) > 1 else lines


def constant(lines: Lines) -> Lines:
    return [lines[0], *(",".join(["5.0", *line.split(",")[1:]]) for line in lines[1:])]


def fewer_virginica(lines: Lines) -> Lines:
    few = [line for line in lines[1:] if line.endswith("virginica")][:1]
    return [lines[0], *(line for line in lines[1:] if not line.endswith("virginica")), *few]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (edit(without_column, every=True), ["expect_table_columns_to_match_set", "the table"]),
        (edit(without_column), ["expect_column_values_to_not_be_null", "'petal_width_cm'", f"{BATCH} line 2"]),
        (edit(cell(3, 1, "")), ["expect_column_values_to_not_be_null", "'sepal_width_cm'", f"{BATCH} line 4"]),
        (edit(cell(3, 1, "wide")), ["expect_column_values_to_be_of_type", "'sepal_width_cm'", "'wide'", f"{BATCH} line 4"]),
        (edit(cell(5, 0, "51")), ["expect_column_values_to_be_between", "'sepal_length_cm'", "51.0", f"{BATCH} line 6", "max_value 30"]),
        (edit(cell(5, 0, "nan")), ["expect_column_values_to_be_of_type", "'sepal_length_cm'", f"{BATCH} line 6"]),
        (edit(cell(7, 4, "iris")), ["expect_column_values_to_be_in_set", "'species'", "iris", f"{BATCH} line 8"]),
        (edit(cell(7, 4, "")), ["expect_column_values_to_not_be_null", "'species'", f"{BATCH} line 8"]),
        (edit(in_other_units, every=True), ["expect_column_kl_divergence_to_be_less_than", "'petal_length_cm'", "threshold 0.1"]),
        (edit(only_setosa, every=True), ["expect_table_row_count_to_be_between", "got:     '50'"]),
        (edit(constant, every=True), ["expect_column_unique_value_count_to_be_between", "'sepal_length_cm'", "got:     '1'"]),
        (edit(fewer_virginica, every=True), ["expect_column_kl_divergence_to_be_less_than", "'species'"]),
    ],
)
def test_bad_data_fails_its_gate(empty: Laboratory, spoil: Callable[[Path], None], words: list[str]) -> None:
    spoil(empty.iris / "data" / "batches")
    with pytest.raises(GateFailed) as caught:
        empty.release(until=LATER)
    assert caught.value.gate == "data"
    for word in words:
        assert word in str(caught.value)
    assert empty.numbers() == []
    assert not (empty.store / "mlflow").exists()
    assert (empty.store / "steps" / "iris" / "failed" / "validate" / "report.json").is_file()
    assert not (empty.store / "steps" / "iris" / "train").exists()


def test_one_class_only_is_said(empty: Laboratory) -> None:
    edit(only_setosa, every=True)(empty.iris / "data" / "batches")
    empty.change("model.yaml", "minimum-rows: 60", "minimum-rows: 10")
    with pytest.raises(GateFailed, match="expect_column_distinct_values_to_contain_set failed for column 'species'"):
        empty.release(until=LATER)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda batches: (batches / "new.csv").write_text("x"), "named by the date"),
        (lambda batches: [path.unlink() for path in batches.glob("*.csv")], "no batch has arrived"),
        (lambda batches: (batches / BATCH).write_text(""), "is no CSV file"),
        (lambda batches: (batches / BATCH).write_bytes(b"\xff\xfe\x00\x01"), "is no CSV file"),
        (lambda batches: (batches / BATCH).write_text('a,b\n1,2,"3\n'), "is no CSV file"),
        (edit(lambda lines: [f"{line},_row" for line in lines]), "snapshots use themselves"),
    ],
)
def test_what_is_no_data_is_refused(empty: Laboratory, spoil: Callable[[Path], object], words: str) -> None:
    spoil(empty.iris / "data" / "batches")
    with pytest.raises(StepFailed, match=words):
        empty.release(until=LATER)


def test_before_the_first_batch_there_is_nothing(empty: Laboratory) -> None:
    with pytest.raises(StepFailed, match="a date from 2026-09-21 on"):
        empty.release(until=LATER.replace(year=2025))


def test_without_its_reference_data_is_not_believed(empty: Laboratory) -> None:
    (empty.iris / "expectations.json").unlink()
    with pytest.raises(DeliveryError, match="python -m pipelines reference iris"):
        empty.release()


def test_the_committed_reference_is_what_the_command_makes(empty: Laboratory) -> None:
    import subprocess
    import sys

    from tests.pipelines.laboratory import ROOT

    committed = (empty.iris / "expectations.json").read_bytes()
    subprocess.run([sys.executable, "-m", "pipelines", "reference", "iris", "--models", str(empty.folders)], cwd=ROOT, check=True)
    assert (empty.iris / "expectations.json").read_bytes() == committed
