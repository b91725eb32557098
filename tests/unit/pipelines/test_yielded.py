"""Rows that a model's own code yields."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines import rows, table
from pipelines.failures import StepFailed
from pipelines.model import read
from pipelines.snapshot import collect, take_snapshot
from pipelines.work import Work
from pipelines.yielded import yielded

HEAD = "from datetime import date\n\ndef batches(until):\n"
ROW = "{'sepal_length_cm': 5.1, 'sepal_width_cm': 3, 'petal_length_cm': '1.4', 'petal_width_cm': None, 'species': 'setosa'}"
UNTIL = date(2026, 12, 1)


@pytest.fixture
def source(model_folder: Callable[..., Path], tmp_path: Path) -> Callable[..., Any]:
    """Rows of a model whose data.py says this."""

    def run(code: str | None, until: date = UNTIL, **changes: Any) -> Any:
        folder = model_folder(**{"data.source": "python", **changes})
        if code is not None:
            (folder / "data.py").write_text(code)
        return collect(folder, read(folder), until, scratch=tmp_path)

    return run


def test_rows_have_their_date_and_place_and_the_types_of_model_yaml(source: Callable[..., Any]) -> None:
    frame = source(f"{HEAD}    yield date(2026, 11, 2), [{ROW}]\n    yield date(2026, 11, 1), [{ROW}, {ROW}]\n")
    assert list(frame[rows.BATCH]) == ["2026-11-01", "2026-11-01", "2026-11-02"]
    assert list(frame[rows.LINE]) == [1, 2, 1]
    assert list(frame["sepal_width_cm"]) == [3.0, 3.0, 3.0]
    assert frame["petal_width_cm"].isna().all()
    assert frame[rows.ROW].nunique() == 1


def test_what_arrives_later_is_left_out(source: Callable[..., Any]) -> None:
    code = f"{HEAD}    for day in (1, 2):\n        yield date(2026, 11, day), [{ROW}]\n"
    assert len(source(code, until=date(2026, 11, 1))) == 1
    with pytest.raises(StepFailed, match="no batch has arrived") as caught:
        source(code, until=date(2026, 10, 1))
    assert "a date from 2026-11-01 on" in str(caught.value)


def test_the_same_rows_are_the_same_snapshot(work: Callable[..., Work]) -> None:
    made = work(**{"data.source": "python"})
    (made.folder / "data.py").write_text(f"{HEAD}    yield date(2026, 11, 1), [{ROW}]\n")
    first = take_snapshot(made)
    assert take_snapshot(made) == first
    assert (first.first, first.last, first.batches, first.rows) == ("2026-11-01", "2026-11-01", ("2026-11-01",), 1)
    (made.folder / "data.py").write_text(f"{HEAD}    yield date(2026, 11, 1), [{ROW}, {ROW}]\n")
    assert take_snapshot(made).digest != first.digest
    assert made.file(first.path).is_file()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, r"models/iris/data\.py: is missing"),
        ("x = 1\n", r"has no function batches\(until\)"),
        (f"{HEAD}    return 1 / 0\n", r"data\.py:4: ZeroDivisionError"),
        (f"{HEAD}    yield 3\n", "yields what is no batch"),
        (f"{HEAD}    yield '2026-11-01', []\n", "yields what is no batch"),
        (f"{HEAD}    yield date(2026, 11, 1), [3]\n", "yields what is no batch"),
        (f"{HEAD}    yield date(2026, 11, 1), [{{3: 4}}]\n", "yields what is no batch"),
        (f"{HEAD}    yield date(2026, 11, 1), [{{'_row': 4}}]\n", "a column that snapshots use themselves"),
        (f"{HEAD}    yield date(2026, 11, 1), []\n", "no batch has arrived"),
        (f"{HEAD}    import os\n    os._exit(9)\n", "ended its process"),
    ],
)
def test_code_that_yields_no_rows_is_named(source: Callable[..., Any], code: str | None, words: str) -> None:
    with pytest.raises(StepFailed, match=words):
        source(code)


def test_code_that_takes_too_much_memory_is_stopped(source: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match=r"models/iris/data\.py took more memory than it may") as caught:
        source(f"{HEAD}    held = [b'x' * (20 << 20) for _ in range(1000)]\n", **{"memory-limit-mib": 250})
    assert "models/iris, its rows until 2026-12-01" in caught.value.where
    assert "250 MiB, which models/iris/model.yaml: memory-limit-mib says" in caught.value.allowed
    assert not (tmp_path / "yielded").exists()


def test_rows_that_come_one_by_one_are_not_held(model_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven thousand characters a row: held, the rows alone would take more than is allowed."""
    import pyarrow.parquet

    monkeypatch.setattr(table, "ROWS_AT_ONCE", 1000)
    folder = model_folder(**{"data.source": "python", "memory-limit-mib": 200})
    (folder / "data.py").write_text(
        f"{HEAD}    yield date(2026, 11, 1), ({{'species': str(1_000_000 + at) * 1000}} for at in range(30_000))\n"
    )
    with yielded(folder, read(folder), UNTIL, tmp_path) as files:
        assert [pyarrow.parquet.read_metadata(file).num_rows for file in files] == [1000] * 30
    assert not (tmp_path / "yielded").exists()


def test_code_that_never_ends_is_stopped(source: Callable[..., Any]) -> None:
    with pytest.raises(StepFailed, match="did not end within 2 s") as caught:
        source(f"{HEAD}    while True:\n        pass\n", **{"data.time-limit-seconds": 2})
    assert caught.value.where.endswith("/models/iris/data.py"), "a log that is gone helps nobody"
