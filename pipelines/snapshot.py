"""Step 1, snapshot: the rows that have arrived, frozen as one Parquet file named by its content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.release import file_digest
from pipelines import kinds, rows
from pipelines.artifacts import Snapshot
from pipelines.failures import StepFailed
from pipelines.model import Model
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

    Cells that are no numbers stay text. Raises StepFailed for a file that is no CSV or code that yields no rows, OSError when the store
    refuses.
    """
    return _freeze(work, collect(work.folder, work.model, work.until, scratch=work.output))


def find(store: Path, model: str, digest: str, *, whose: str, otherwise: str = "") -> Path:
    """The file of a snapshot, its content checked.

    Raises StepFailed, which says ``whose`` it is and what else may be done, when it is gone or another one.
    """
    path = store / path_of(model, digest)
    got = file_digest(path) if path.is_file() else "no such file"
    if got != digest:
        raise StepFailed(
            f"the snapshot that {whose} was made from is gone or altered",
            where=str(path),
            got=got,
            allowed=digest,
            act=f"bring the file back{otherwise}",
        )
    return path


def path_of(model: str, digest: str) -> str:
    """Where the snapshot of a digest lies in a store."""
    return f"snapshots/{model}/{digest.removeprefix('sha256:')}.parquet"


def collect(folder: Path, model: Model, until: date, *, scratch: Path) -> pandas.DataFrame:
    """The rows that arrived up to and including ``until``, from the model's source. ``scratch``: a folder that may be written into."""
    return _SOURCES[model.data.source](folder, model, until, scratch)


def table_of(batches: Sequence[Path], model: Model) -> pandas.DataFrame:
    """The rows of some CSV files; see ``as_table``. Raises StepFailed for what is no CSV."""
    import pandas

    return as_table(pandas.concat([_read_batch(path) for path in batches], ignore_index=True), model)


def as_table(frame: pandas.DataFrame, model: Model) -> pandas.DataFrame:
    """Rows that came as text with their batch and line: in their types, each with its hash, and whether it is held out."""
    kind = kinds.of(model)
    for name, each in model.inputs.items():
        if name in frame.columns:
            frame[name] = kind.inputs.cast(frame[name], each.type)
    if model.output.column in frame.columns:
        frame[model.output.column] = kind.outputs.cast(frame[model.output.column])
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


def _from_files(folder: Path, model: Model, until: date, scratch: Path) -> pandas.DataFrame:
    del scratch
    return table_of(arrived(folder, model, until), model)


def _from_python(folder: Path, model: Model, until: date, scratch: Path) -> pandas.DataFrame:
    from pipelines.yielded import yielded

    return as_table(yielded(folder, model, until, scratch), model)


_SOURCES = {"files": _from_files, "python": _from_python}


def _freeze(work: Work, frame: pandas.DataFrame) -> Snapshot:
    if frame.empty:
        raise StepFailed(
            "the batches that arrived hold no row",
            where=_source(work)["source"],
            got=f"0 rows until {work.until}",
            allowed=f"at least {work.model.data.minimum_rows} rows (model.yaml: data.minimum-rows)",
            act="mend the batches at their source, then run again; nothing was trained",
        )
    draft = work.output / "snapshot.parquet"
    frame.to_parquet(draft, index=False, compression="zstd")
    digest = file_digest(draft)
    path = work.file(path_of(work.model.name, digest))
    if not path.is_file() or file_digest(path) != digest:
        _write_once(path, draft.read_bytes())
    draft.unlink()
    about = path.with_suffix(".json")
    if not about.exists():
        told = {**_source(work), "taken-at": now(), "digest": digest, "rows": len(frame), "batches": list(frame[rows.BATCH].unique())}
        _write_once(about, json.dumps(told, indent=1).encode())
    return described(work.model.name, digest, frame)


def described(model: str, digest: str, frame: pandas.DataFrame) -> Snapshot:
    """The artifact of a snapshot's rows, which are not none."""
    names = list(frame[rows.BATCH].unique())
    return Snapshot(
        path=path_of(model, digest),
        digest=digest,
        rows=len(frame),
        holdout_rows=int(frame[rows.HOLDOUT].sum()),
        first=names[0].removesuffix(".csv"),
        last=names[-1].removesuffix(".csv"),
        batches=tuple(names),
    )


def _source(work: Work) -> dict[str, Any]:
    """Where the rows came from, and what was asked of it."""
    if work.model.data.source == "python":
        return {"source": f"models/{work.folder.name}/data.py", "query": f"batches(until={work.until})"}
    return {"source": f"models/{work.folder.name}/{work.model.data.batches}", "query": f"*.csv, dated up to {work.until}"}


def _write_once(path: Path, content: bytes) -> None:
    """Write a file that is never changed again, and say so to whoever might try."""
    write_whole(path, content)
    path.chmod(0o444)
