"""A snapshot taken part by part is byte for byte the one that is taken of the table as a whole."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.release import file_digest
from pipelines import kinds, rows, snapshot, table, yielded
from pipelines.failures import StepFailed
from pipelines.model import Model, read
from pipelines.snapshot import collect, take_snapshot
from pipelines.work import Work

if TYPE_CHECKING:
    import pandas

ROOT = Path(__file__).resolve().parents[3]
LATER = date(2099, 1, 1)
COLUMNS = "sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm,species"
LINES = [f"{5 + at / 10},3,{at},0.{at},{'setosa' if at % 3 else 'virginica'}" for at in range(1, 10)]


def as_a_whole(frame: pandas.DataFrame, model: Model, path: Path) -> str:
    """The digest of rows of text that are cast, hashed and written at once: what releases of earlier versions name."""
    kind = kinds.of(model)
    for name, each in model.inputs.items():
        if name in frame.columns:
            frame[name] = kind.inputs.cast(frame[name], each.type)
    if model.output.column in frame.columns:
        frame[model.output.column] = kind.outputs.cast(frame[model.output.column])
    inputs = [name for name in model.inputs if name in frame.columns]
    frame[rows.ROW] = [rows.row_hash(values) for values in frame[inputs].itertuples(index=False, name=None)]
    frame[rows.HOLDOUT] = [rows.is_held_out(row, model.holdout) for row in frame[rows.ROW]]
    frame.to_parquet(path, index=False, compression="zstd", row_group_size=table.GROUP_ROWS)
    return file_digest(path)


def of_files(paths: Iterable[Path]) -> pandas.DataFrame:
    import pandas

    frames = []
    for path in paths:
        frame = pandas.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
        frame[rows.BATCH] = path.name
        frame[rows.LINE] = range(2, len(frame) + 2)
        frames.append(frame)
    return pandas.concat(frames, ignore_index=True)


def of_code(folder: Path, scratch: Path) -> pandas.DataFrame:
    import pandas

    cells = [row for day, batch in yielded._batches(folder, LATER) for row in yielded._rows(folder, day, batch)]
    pandas.DataFrame(cells).to_parquet(scratch / "cells.parquet", index=False)
    return pandas.read_parquet(scratch / "cells.parquet")


@pytest.fixture(params=["at once", "in parts", "in groups"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "at once":
        monkeypatch.setattr(table, "ROWS_AT_ONCE", 7)
        monkeypatch.setattr(snapshot, "SMALL_BYTES", 0)
    if request.param == "in groups":
        monkeypatch.setattr(table, "GROUP_ROWS", 40)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("name", ["iris", "progression", "docs_router"])
def test_the_models_of_this_repository_keep_their_digests(
    name: str, tmp_path: Path, work: Callable[..., Work], monkeypatch: pytest.MonkeyPatch
) -> None:

    folder = ROOT / "models" / name
    model = read(folder)
    made = dataclasses.replace(work(), folder=folder, model=model, until=LATER)
    text = of_code(folder, tmp_path) if model.data.source == "python" else of_files(sorted((folder / model.data.batches).glob("*.csv")))
    for name, parts in (("ROWS_AT_ONCE", 10), ("GROUP_ROWS", 4)):
        if getattr(table, name) < len(text):
            monkeypatch.setattr(table, name, len(text) // parts)
    expected = as_a_whole(text, model, tmp_path / "whole.parquet")
    taken = take_snapshot(made)
    assert taken.digest == expected == file_digest(made.file(taken.path))
    assert (taken.rows, taken.holdout_rows) == (len(text), int(text[rows.HOLDOUT].sum()))
    assert taken.batches == tuple(text[rows.BATCH].unique())
    assert {path.name for path in made.output.iterdir()} <= {"log.txt"}


QUIRKS: dict[str, list[list[str]]] = {
    "a column comes later": [[COLUMNS.replace(",petal_width_cm", ""), "5,3,1,setosa"], [COLUMNS, *LINES]],
    "a column goes": [[COLUMNS, *LINES], [COLUMNS.replace(",petal_width_cm", ""), "5,3,1,setosa"]],
    "one cell is no number": [[COLUMNS, *LINES], [COLUMNS, *LINES, "wide,3,1,1,setosa"]],
    "the first cell is no number": [[COLUMNS, "wide,3,1,1,setosa", *LINES], [COLUMNS, *LINES]],
    "cells are empty": [[COLUMNS, *(",3,,1," for _ in LINES)], [COLUMNS, *LINES]],
    "all cells of an input are empty": [[COLUMNS, *("5,,1,1,setosa" for _ in LINES)]],
    "all cells of the output are empty": [[COLUMNS, *("5,3,1,1," for _ in LINES)]],
    "columns that nobody asked for": [[f"{COLUMNS},note", *(f"{line},n{at}" for at, line in enumerate(LINES))], [COLUMNS, *LINES]],
    "a column that nobody asked for and nobody filled": [[f"{COLUMNS},note", *(f"{line}," for line in LINES)], [COLUMNS, *LINES]],
    "a file without rows": [[COLUMNS], [COLUMNS, *LINES]],
    "a file without rows, and another column": [[f"{COLUMNS},note"], [COLUMNS, *LINES], [COLUMNS]],
    "a quoted cell over two lines": [[COLUMNS, '5,3,1,1,"set\nosa"', *LINES]],
    "text that reads like nothing": [[COLUMNS, "nan,NA,null,None,NULL", *LINES], [COLUMNS, *LINES]],
}


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("files", QUIRKS.values(), ids=QUIRKS.keys())
def test_whatever_comes_is_kept_as_of_the_whole(files: list[list[str]], tmp_path: Path, work: Callable[..., Work]) -> None:
    made = work()
    batches = made.folder / "data" / "batches"
    batches.mkdir(parents=True)
    for at, lines in enumerate(files, 1):
        (batches / f"2026-11-0{at}.csv").write_text("\n".join(lines) + "\n")
    expected = as_a_whole(of_files(sorted(batches.glob("*.csv"))), made.model, tmp_path / "whole.parquet")
    assert take_snapshot(made).digest == expected


CELLS: dict[str, str] = {
    "another column in a later row": "{'sepal_width_cm': 1}, *[{'species': 'b', 'part': 'x', 'sepal_width_cm': 1}] * 20",
    "a column that is never filled": "*[{'sepal_width_cm': None, 'species': 'x'}] * 20",
    "an output that is never filled": "*[{'sepal_width_cm': 1, 'species': None}] * 20",
    "a column that is filled late": "*[{'sepal_width_cm': None, 'species': None}] * 20, {'sepal_width_cm': 3, 'species': 'x'}",
    "a number and a word": "*[{'sepal_width_cm': 1.5}] * 20, {'sepal_width_cm': 'wide'}",
}


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("how", ["in parts"], indirect=True)
@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS.keys())
def test_whatever_code_yields_is_kept_as_of_the_whole(cells: str, tmp_path: Path, work: Callable[..., Work]) -> None:
    made = work(**{"data.source": "python"})
    code = "".join(f"    yield date(2026, 11, {day}), [{cells}]\n" for day in (1, 2))
    (made.folder / "data.py").write_text(f"from datetime import date\n\ndef batches(until):\n{code}")
    assert take_snapshot(made).digest == as_a_whole(of_code(made.folder, tmp_path), made.model, tmp_path / "whole.parquet")


def test_rows_without_any_input_are_left_to_validation(work: Callable[..., Work]) -> None:
    made = work()
    batches = made.folder / "data" / "batches"
    batches.mkdir(parents=True)
    (batches / "2026-11-01.csv").write_text("species\nsetosa\nvirginica\n")
    taken = take_snapshot(made)
    assert list(rows.read(made.file(taken.path))["species"]) == ["setosa", "virginica"]


def test_what_is_no_csv_is_told_with_its_line_however_far_it_lies(work: Callable[..., Work], monkeypatch: pytest.MonkeyPatch) -> None:
    made = work()
    batches = made.folder / "data" / "batches"
    batches.mkdir(parents=True)
    (batches / "2026-11-01.csv").write_text("\n".join([COLUMNS, *LINES * 10, "1,2,3,4,5,6,7", ""]))
    told = []
    for rows_at_once, small in ((1 << 15, 1 << 20), (7, 0)):
        monkeypatch.setattr(table, "ROWS_AT_ONCE", rows_at_once)
        monkeypatch.setattr(snapshot, "SMALL_BYTES", small)
        with pytest.raises(StepFailed, match="Expected 5 fields in line 92, saw 7") as caught:
            take_snapshot(made)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert list(made.store.glob("snapshots/**/*")) == []


@pytest.mark.parametrize("line", ["5,1,3,4,0.4,setosa", "5.1,3,4,0.4,setosa,"])
@pytest.mark.parametrize("small", [1 << 20, 0])
def test_more_cells_than_columns_are_refused_rather_than_moved_to_the_left(
    work: Callable[..., Work], monkeypatch: pytest.MonkeyPatch, line: str, small: int
) -> None:
    """A decimal comma, or a comma at the end of each line."""
    monkeypatch.setattr(snapshot, "SMALL_BYTES", small)
    made = work()
    batches = made.folder / "data" / "batches"
    batches.mkdir(parents=True)
    (batches / "2026-11-01.csv").write_text("\n".join([COLUMNS, *[line] * 9, ""]))
    with pytest.raises(StepFailed, match=r"2026-11-01\.csv: a row has more cells than the first line has names") as caught:
        take_snapshot(made)
    assert "5 cells: sepal_length_cm, sepal_width_cm" in str(caught.value)


@pytest.mark.parametrize("name", ["2026-11-02.CSV", "2026-11-02.csv.gz", "2026-11-02.parquet", "2026-11-02"])
def test_a_batch_of_another_format_is_refused_rather_than_left_out(work: Callable[..., Work], name: str) -> None:
    made = work()
    batches = made.folder / "data" / "batches"
    batches.mkdir(parents=True)
    (batches / "2026-11-01.csv").write_text("\n".join([COLUMNS, *LINES, ""]))
    (batches / "README.md").write_text("Where the batches come from.")
    assert take_snapshot(made).rows == len(LINES)
    (batches / name).write_text("\n".join([COLUMNS, *LINES, ""]))
    with pytest.raises(StepFailed, match="a batch is a CSV file") as caught:
        take_snapshot(made)
    assert name in str(caught.value)


def test_batches_that_change_while_they_are_read_are_no_snapshot(work: Callable[..., Work], monkeypatch: pytest.MonkeyPatch) -> None:
    model = work().model
    monkeypatch.setattr(table, "ROWS_AT_ONCE", 2)
    import pandas

    def part(value: str, count: int = 3) -> pandas.DataFrame:
        return pandas.DataFrame({"sepal_width_cm": pandas.Series([value] * count, dtype="str")})

    for second in ([part("1"), part("wide")], [part("1"), part("1", 4)], [part("1"), part("1").assign(more="x")]):
        given = iter([[part("1"), part("1")], second])
        with pytest.raises(StepFailed, match="the batches changed while they were read"):
            list(table.typed(lambda given=given: next(given), model))  # type: ignore[misc]


def test_a_row_group_ends_by_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas
    import pyarrow.parquet

    monkeypatch.setattr(table, "GROUP_BYTES", 10_000)
    wide = pandas.DataFrame({"text": ["x" * 1000] * 8, rows.BATCH: "a", rows.HOLDOUT: False})
    assert table.write(tmp_path / "wide", itertools.repeat(wide, 10)).rows == 80
    file = pyarrow.parquet.ParquetFile(tmp_path / "wide")
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [16] * 5


def test_rows_that_are_read_by_their_part_are_those_of_the_whole(iris: Callable[..., Any]) -> None:
    work, taken = iris()
    path = work.file(taken.path)
    for held_out in (True, False):
        for columns in (None, ["species", "petal_width_cm"], [rows.HOLDOUT]):
            found = rows.read(path, columns, held_out=held_out)
            whole = rows.part(rows.read(path), held_out=held_out).reset_index(drop=True)
            assert found.equals(whole if columns is None else whole[columns])
            assert [str(each) for each in found.dtypes] == [str(each) for each in (whole if columns is None else whole[columns]).dtypes]
    mine, theirs = (
        rows.features(frame, list(work.model.inputs))
        for frame in (rows.read(path, list(work.model.inputs), held_out=True), rows.part(rows.read(path), held_out=True))
    )
    # Sums are added in the order of memory: another layout could give another model of the same rows.
    assert mine.flags.f_contiguous == theirs.flags.f_contiguous
    assert mine.flags.c_contiguous == theirs.flags.c_contiguous


def test_a_table_without_rows_is_empty(work: Callable[..., Work], tmp_path: Path) -> None:
    made = work()
    batches = made.folder / "data" / "batches"
    batches.mkdir(parents=True)
    (batches / "2026-11-01.csv").write_text(COLUMNS + "\n")
    assert collect(made.folder, made.model, LATER, scratch=tmp_path).empty
    with pytest.raises(StepFailed, match="hold no row"):
        take_snapshot(made)
