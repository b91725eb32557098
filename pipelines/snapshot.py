"""Step 1, snapshot: the rows that have arrived, frozen as one Parquet file named by its content."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.files import written_whole
from infra.release import file_digest
from pipelines import kept, rows, table
from pipelines.artifacts import Snapshot
from pipelines.failures import StepFailed
from pipelines.model import Model
from pipelines.store import now, write_whole
from pipelines.work import Work

if TYPE_CHECKING:
    import pandas

OTHER_FORMATS = frozenset(
    {"", ".csv", ".tsv", ".txt", ".gz", ".zip", ".bz2", ".xz", ".zst", ".parquet", ".json", ".jsonl", ".xls", ".xlsx"}
)
"""Endings of files that hold rows, and are no batch: a dated one is a mistake. Of others, such as ``.partial``, nothing is said."""
SMALL_BYTES = 1 << 20
"""A file of fewer is read at once."""


def arrived(folder: Path, model: Model, until: date) -> list[Path]:
    """The batches dated up to and including ``until``, oldest first.

    Raises StepFailed when a file's name is no date, when a dated one is of another format, or when nothing has arrived.
    """
    batches = folder / model.data.batches
    others = sorted(path.name for path in batches.glob("????-??-??*") if path.suffix != ".csv" and path.suffix.lower() in OTHER_FORMATS)
    if others:
        raise StepFailed(
            "a batch is a CSV file",
            where=str(batches),
            got=others[0],
            allowed="YYYY-MM-DD.csv",
            act="write it as one, or move it elsewhere",
        )
    found: list[tuple[date, Path]] = []
    for path in sorted(batches.glob("*.csv")):
        try:
            found.append((date.fromisoformat(path.stem), path))
        except ValueError:
            raise StepFailed(
                "a batch is named by the date on which it arrives",
                where=str(path),
                got=path.name,
                allowed="YYYY-MM-DD.csv",
                act="rename it",
            ) from None
    taken = [path for day, path in sorted(found) if day <= until]
    if not taken:
        raise StepFailed(
            "no batch has arrived",
            where=str(batches),
            got=f"until {until}",
            allowed=f"a date from {min(day for day, _ in found)} on" if found else "at least one file YYYY-MM-DD.csv",
            act="add a batch, or choose a later date: UNTIL=YYYY-MM-DD",
        )
    return taken


def take_snapshot(work: Work) -> Snapshot:
    """Freeze the batches that arrived until ``work.until``; nothing is left out or mended, so that validation sees what came.

    Cells that are no numbers stay text. Memory is bounded by a part of the rows, not by all of them; see ``pipelines.table``. Raises
    StepFailed for a file that is no CSV or code that yields no rows, OSError when the store refuses.
    """
    draft = work.output / "snapshot.parquet"
    with _SOURCES[work.model.data.source](work.folder, work.model, work.until, work.output) as frames:
        written = table.write(draft, table.typed(frames, work.model))
    if not written.rows:
        raise StepFailed(
            "the batches that arrived hold no row",
            where=_source(work)["source"],
            got=f"0 rows until {work.until}",
            allowed=f"at least {work.model.data.minimum_rows} rows (model.yaml: data.minimum-rows)",
            act="mend the batches at their source, then run again; nothing was trained",
        )
    digest = file_digest(draft)
    path = work.file(path_of(work.model.name, digest))
    if not path.is_file() or file_digest(path) != digest:
        _place(draft, path)
    draft.unlink(missing_ok=True)
    about = path.with_suffix(".json")
    if not about.exists():
        told = {**_source(work), "taken-at": now(), "digest": digest, "rows": written.rows, "batches": list(written.batches)}
        write_whole(about, json.dumps(told, indent=1).encode())
        about.chmod(0o444)
    return described(work.model.name, digest, written)


def find(store: Path, model: str, digest: str, *, whose: str, tracking: str, otherwise: str = "") -> Path:
    """The file of a snapshot, its content checked; one that the store has not is brought from ``tracking``, MLflow's address.

    Raises StepFailed, which says ``whose`` it is and what else may be done, when it is gone or another one.
    """
    path = store / path_of(model, digest)
    lacks = "" if path.is_file() else _bring(tracking, model, digest, path)
    got = file_digest(path) if path.is_file() else "no such file"
    if got != digest:
        raise StepFailed(
            f"the snapshot that {whose} was made from is gone or altered",
            where=str(path),
            got=got,
            allowed=digest,
            act=f"bring the file back{f' ({lacks})' if lacks else ''}{otherwise}",
        )
    return path


def _bring(tracking: str, model: str, digest: str, path: Path) -> str:
    """Bring a snapshot to its place; why not, when it cannot be had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".brought-", suffix=".partial", dir=path.parent) as scratch:
        found, lacks = kept.fetch(tracking, model, digest, Path(scratch))
        for each in found:
            _place(each, path.with_suffix(each.suffix))
    return lacks


def path_of(model: str, digest: str) -> str:
    """Where the snapshot of a digest lies in a store."""
    return f"snapshots/{model}/{digest.removeprefix('sha256:')}.parquet"


def collect(folder: Path, model: Model, until: date, *, scratch: Path) -> pandas.DataFrame:
    """The rows that arrived up to and including ``until``, from the model's source. ``scratch``: a folder that may be written into."""
    with _SOURCES[model.data.source](folder, model, until, scratch) as frames:
        return table.whole(table.typed(frames, model))


def table_of(batches: Sequence[Path], model: Model) -> pandas.DataFrame:
    """The rows of some CSV files, in their types, each with its hash, and whether it is held out. Raises StepFailed for what is no CSV."""
    return table.whole(table.typed(_read_all(batches), model))


def described(model: str, digest: str, written: table.Written) -> Snapshot:
    """The artifact of a snapshot's rows, which are not none."""
    return Snapshot(
        path=path_of(model, digest),
        digest=digest,
        rows=written.rows,
        holdout_rows=written.holdout_rows,
        first=written.batches[0].removesuffix(".csv"),
        last=written.batches[-1].removesuffix(".csv"),
        batches=written.batches,
    )


def _read_all(batches: Sequence[Path]) -> table.Frames:
    return lambda: itertools.chain.from_iterable(_read_batch(path) for path in batches)


def _read_batch(path: Path) -> Iterator[pandas.DataFrame]:
    """A file's cells as text, some rows at a time, each with the file and its line. Raises StepFailed for what is no CSV."""
    import pandas

    line = 2
    try:
        for frame in _read_csv(path):
            if not isinstance(frame.index, pandas.RangeIndex):
                # pandas takes the first cells of each row for its name then, and every other cell for one of the column to its left.
                raise StepFailed(
                    "a row has more cells than the first line has names",
                    where=str(path),
                    got=f"{frame.index.nlevels + len(frame.columns)} cells",
                    allowed=f"{len(frame.columns)} cells: {', '.join(map(str, frame.columns))}",
                    act="mend it at its source: a decimal point, no comma at the end of a line, quotes around a cell that holds one",
                )
            taken = set(frame.columns) & set(rows.OWN_COLUMNS)
            if taken:
                raise StepFailed("has a column that snapshots use themselves", where=str(path), got=sorted(taken), act="rename it")
            frame[rows.BATCH] = path.name
            frame[rows.LINE] = range(line, line + len(frame))
            line += len(frame)
            yield frame
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise StepFailed("is no CSV file", where=str(path), got=" ".join(str(error).split()), act="mend or remove it") from None


def _read_csv(path: Path) -> Iterator[pandas.DataFrame]:
    import pandas

    if path.stat().st_size <= SMALL_BYTES:
        yield pandas.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
        return
    columns = len(pandas.read_csv(path, dtype=str, nrows=0).columns)
    with pandas.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], chunksize=table.rows_at_once(columns)) as reader:
        yield from reader


@contextlib.contextmanager
def _from_files(folder: Path, model: Model, until: date, scratch: Path) -> Iterator[table.Frames]:
    del scratch
    yield _read_all(arrived(folder, model, until))


@contextlib.contextmanager
def _from_python(folder: Path, model: Model, until: date, scratch: Path) -> Iterator[table.Frames]:
    from pipelines.yielded import yielded

    with yielded(folder, model, until, scratch) as files:
        yield lambda: (rows.read(path) for path in files)


_SOURCES = {"files": _from_files, "python": _from_python}


def _source(work: Work) -> dict[str, Any]:
    """Where the rows came from, and what was asked of it."""
    if work.model.data.source == "python":
        return {"source": f"models/{work.folder.name}/data.py", "query": f"batches(until={work.until})"}
    return {"source": f"models/{work.folder.name}/{work.model.data.batches}", "query": f"*.csv, dated up to {work.until}"}


def _place(draft: Path, path: Path) -> None:
    """Move a file to where it is never changed again, all or nothing, and say so to whoever might try."""
    with written_whole(path) as partial:
        draft.replace(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
    path.chmod(0o444)
