"""Rows that a model's own code yields: ``batches(until)`` of data.py, run in a process of its own like all code of a model.

Each batch is a date, on which its rows arrived, and the rows, each a dict from column to cell. A cell is kept as its text; None is an empty
one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from pipelines import apart, memory, rows, table
from pipelines.failures import StepFailed
from pipelines.model import Model

FILE, FUNCTION = "data.py", "batches"


@contextlib.contextmanager
def yielded(folder: Path, model: Model, until: date, scratch: Path) -> Iterator[list[Path]]:
    """Files of all cells as text, oldest batch first, each row with its batch (the date) and line (its place in the batch, from 1).

    They are there while the block runs, and hold some rows each. Raises StepFailed: no such function, code that raises, never ends or takes
    too much memory, what is no batch or row, nothing that arrived until then.
    """
    place = scratch / "yielded"
    place.mkdir()
    try:
        count = apart.run(
            _keep,
            folder,
            until,
            place,
            table.ROWS_AT_ONCE,
            seconds=model.data.time_limit_seconds,
            log=scratch / "log.txt",
            kept=folder / FILE,  # where the log will be found, the caller knows, if at all
            what=_shown(folder),
            memory=memory.allowed(model, folder, of=f"its rows until {until}"),
        )
        yield [_file(place, at) for at in range(count)]
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _keep(folder: Path, until: date, place: Path, size: int) -> int:
    """Write the rows into files of ``size`` rows; how many files."""
    import pandas

    # A batch's rows are asked for when their turn has come: code that yields them one by one holds none.
    found = sorted(_batches(folder, until), key=lambda batch: batch[0])
    cells = itertools.chain.from_iterable(_rows(folder, day, batch) for day, batch in found if day <= until)
    count = 0
    while some := list(itertools.islice(cells, size)):
        pandas.DataFrame(some).to_parquet(_file(place, count), index=False)
        count += 1
    if not count:
        raise StepFailed(
            "no batch has arrived",
            where=_shown(folder),
            got=f"until {until}",
            allowed=f"a date from {min(day for day, _ in found)} on" if found else "at least one batch with rows",
            act="yield rows, or choose a later date: UNTIL=YYYY-MM-DD",
        )
    return count


def _file(place: Path, at: int) -> Path:
    return place / f"{at}.parquet"


def _batches(folder: Path, until: date) -> Iterator[tuple[date, Any]]:
    for batch in _function(folder)(until):
        match batch:
            case (date() as day, batch_rows):
                yield day, batch_rows
            case _:
                raise _no_batch(folder, batch)


def _rows(folder: Path, day: date, batch: Any) -> Iterator[dict[str, object]]:
    for line, row in enumerate(batch, start=1):
        if not isinstance(row, dict) or not all(isinstance(name, str) for name in row):
            raise _no_batch(folder, row)
        taken = sorted(set(row) & set(rows.OWN_COLUMNS))
        if taken:
            raise StepFailed("has a column that snapshots use themselves", where=_shown(folder), got=taken, act="rename it")
        yield {name: None if cell is None else str(cell) for name, cell in row.items()} | {rows.BATCH: day.isoformat(), rows.LINE: line}


def _function(folder: Path) -> Any:
    path = folder / FILE
    spec = importlib.util.spec_from_file_location(f"models.{folder.name}.data", path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise StepFailed("is missing", where=_shown(folder), allowed=f"a function {FUNCTION}(until)", act="write it")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, FUNCTION, None)
    if not callable(found):
        raise StepFailed(f"has no function {FUNCTION}(until)", where=_shown(folder), act="write it")
    return found


def _no_batch(folder: Path, got: object) -> StepFailed:
    return StepFailed(
        "yields what is no batch",
        where=_shown(folder),
        got=repr(got)[:200],
        allowed="pairs of a date and rows, each row a dict from column to cell",
        act="mend it",
    )


def _shown(folder: Path) -> str:
    return f"models/{folder.name}/{FILE}"
