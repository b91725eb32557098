"""Step 1, snapshot: the rows that have arrived, frozen as one Parquet file named by its content."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.release import file_digest
from pipelines import rows
from pipelines.artifacts import Snapshot
from pipelines.failures import StepFailed
from pipelines.model import Model, as_cell
from pipelines.store import now, write_whole
from pipelines.work import Work

if TYPE_CHECKING:
    import pandas


def arrived(folder: Path, model: Model, until: date) -> list[Path]:
    """The batches dated up to and including ``until``, oldest first.

    Raises StepFailed when a file's name is no date, or when nothing has arrived.
    """
    batches = folder / model.data.batches
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

    Cells that are no numbers stay text. Raises StepFailed for a file that is no CSV, OSError when the store refuses.
    """
    batches = arrived(work.folder, work.model, work.until)
    return _freeze(work, table_of(batches, work.model), batches)


def table_of(batches: list[Path], model: Model) -> pandas.DataFrame:
    """The rows of some batches, each with its batch, line and hash, and whether it is held out. Raises StepFailed for what is no CSV."""
    import pandas

    frame = pandas.concat([_read_batch(path) for path in batches], ignore_index=True)
    for name, kind in model.inputs.items():
        if name in frame.columns:
            frame[name] = _numbers(frame[name], kind.type)
    inputs = [name for name in model.inputs if name in frame.columns]
    hashes = [rows.row_hash(values) for values in frame[inputs].itertuples(index=False, name=None)]
    frame[rows.ROW] = hashes
    frame[rows.HOLDOUT] = [rows.is_held_out(row, model.holdout) for row in hashes]
    return frame


def _read_batch(path: Path) -> pandas.DataFrame:
    import pandas

    try:
        frame = pandas.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise StepFailed("is no CSV file", where=str(path), got=" ".join(str(error).split()), act="mend or remove it") from None
    taken = set(frame.columns) & set(rows.OWN_COLUMNS)
    if taken:
        raise StepFailed("has a column that snapshots use themselves", where=str(path), got=sorted(taken), act="rename it")
    frame[rows.BATCH] = path.name
    frame[rows.LINE] = range(2, len(frame) + 2)
    return frame


def _numbers(column: pandas.Series[Any], kind: str) -> pandas.Series[Any]:
    """The column as numbers when each cell that is filled is one; as it came otherwise."""
    cells = column.dropna().map(lambda cell: as_cell(cell, kind))
    return column if cells.isna().any() else column.astype("float64")


def _freeze(work: Work, frame: pandas.DataFrame, batches: list[Path]) -> Snapshot:
    draft = work.output / "snapshot.parquet"
    frame.to_parquet(draft, index=False, compression="zstd")
    digest = file_digest(draft)
    path = f"snapshots/{work.model.name}/{digest.removeprefix('sha256:')}.parquet"
    if not work.file(path).is_file() or file_digest(work.file(path)) != digest:
        write_whole(work.file(path), draft.read_bytes())
    draft.unlink()
    about = work.file(path).with_suffix(".json")
    if not about.exists():
        names = [batch.name for batch in batches]
        source = {"source": f"models/{work.model.name}/{work.model.data.batches}", "batches": names, "rows": len(frame), "taken-at": now()}
        write_whole(about, json.dumps(source, indent=1).encode())
    return Snapshot(
        path=path,
        digest=digest,
        rows=len(frame),
        holdout_rows=int(frame[rows.HOLDOUT].sum()),
        first=batches[0].stem,
        last=batches[-1].stem,
        batches=tuple(batch.name for batch in batches),
    )
