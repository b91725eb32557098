"""A table made of text part by part, so that memory is bounded by a part: types are decided over all parts, rows hashed, Parquet written.

The same rows give the same file on every machine: its row groups end where their own rows say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import kinds, rows
from pipelines.failures import StepFailed
from pipelines.model import Model

if TYPE_CHECKING:
    import pandas

Frames = Callable[[], Iterable["pandas.DataFrame"]]
"""Gives frames of text, each row with its batch and line; asked twice, it gives the same again."""

ROWS_AT_ONCE, CELLS_AT_ONCE = 1 << 15, 1 << 20
"""So many rows are read at a time, fewer where there are many columns."""
GROUP_ROWS, GROUP_BYTES = 1 << 20, 1 << 28
"""A row group of the file ends when it has so many rows, or so many bytes in memory. A change gives large snapshots another digest."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a file holds: ``batches`` in the order of their rows."""

    rows: int
    holdout_rows: int
    batches: tuple[str, ...]


def rows_at_once(columns: int) -> int:
    """How many rows of so many columns are read at a time."""
    return max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE // max(1, columns)))


def typed(frames: Frames, model: Model) -> Iterator[pandas.DataFrame]:
    """The rows in their types, each with its hash, and whether it is held out. A column of numbers is one over all frames, or stays text.

    Reads the frames twice, unless they are few. Raises StepFailed when they are others the second time.
    """
    looked = _Looked(model)
    kept: pandas.DataFrame | None = None
    for part in _gathered(frames()):
        cast = looked.at(part)
        kept = cast if looked.parts == 1 else None
    parts: Iterable[pandas.DataFrame] = [kept] if kept is not None else _gathered(frames())
    del kept
    seen = 0
    for part in parts:
        seen += len(part)
        yield _finished(looked.cast(part), model)
    if seen != looked.rows:
        raise _changed(model)


def whole(parts: Iterable[pandas.DataFrame]) -> pandas.DataFrame:
    """All parts as one table."""
    import pandas

    return pandas.concat(list(parts), ignore_index=True)


def write(path: Path, parts: Iterable[pandas.DataFrame]) -> Written:
    """Write the parts as one Parquet file. Raises OSError."""
    import pyarrow.parquet

    seen = _Seen()
    writer = None
    try:
        for group in _groups(seen.each(parts)):
            writer = writer or pyarrow.parquet.ParquetWriter(path, group.schema, compression="zstd")
            writer.write_table(group, row_group_size=GROUP_ROWS)
    finally:
        if writer is not None:
            writer.close()
    return seen.told()


def look(parts: Iterable[pandas.DataFrame]) -> Written:
    """What some parts hold; of their columns, batch and holdout are enough."""
    seen = _Seen()
    for _ in seen.each(parts):
        pass
    return seen.told()


class _Seen:
    """Counts what passes by."""

    def __init__(self) -> None:
        self._rows, self._holdout, self._batches = 0, 0, dict[str, None]()

    def each(self, parts: Iterable[pandas.DataFrame]) -> Iterator[pandas.DataFrame]:
        for part in parts:
            self._rows += len(part)
            self._holdout += int(part[rows.HOLDOUT].sum())
            self._batches.update(dict.fromkeys(part[rows.BATCH].unique()))
            yield part

    def told(self) -> Written:
        return Written(rows=self._rows, holdout_rows=self._holdout, batches=tuple(self._batches))


class _Looked:
    """What all parts together say of each column: its place, and whether it holds numbers, text, or nothing at all."""

    def __init__(self, model: Model) -> None:
        kind = kinds.of(model)
        self._model, self.parts, self.rows = model, 0, 0
        self._types: dict[str, Any] = {}
        self._cast = {name: _of_input(kind, each.type) for name, each in model.inputs.items()}
        self._cast[model.output.column] = kind.outputs.cast

    def at(self, part: pandas.DataFrame) -> pandas.DataFrame:
        """Take another part into account; the part in the types that it has when it is the only one."""
        self.parts += 1
        self.rows += len(part)
        for name in part.columns:
            known = self._types.get(name)
            if name in self._cast and (known is None or known == "float64"):
                # Numbers so far: one cell that is none makes it text in every part.
                part[name] = self._cast[name](part[name])
                self._types[name] = part[name].dtype
            elif known is None or known == "object":
                self._types[name] = part[name].dtype
        return part

    def cast(self, part: pandas.DataFrame) -> pandas.DataFrame:
        """A part with the columns and types of all. Raises StepFailed when it was not looked at."""
        if not set(part.columns) <= set(self._types):
            raise _changed(self._model)
        if list(part.columns) != list(self._types):
            part = part.reindex(columns=list(self._types))
        try:
            return part.astype({name: kind for name, kind in self._types.items() if part[name].dtype != kind})
        except ValueError:
            raise _changed(self._model) from None


def _of_input(kind: kinds.Kind, name: str) -> Callable[[pandas.Series[Any]], pandas.Series[Any]]:
    return lambda column: kind.inputs.cast(column, name)


def _gathered(frames: Iterable[pandas.DataFrame]) -> Iterator[pandas.DataFrame]:
    """Small frames joined to parts of about as many rows as are read at once: what many small batches cost is not paid for each."""
    import pandas

    held: list[pandas.DataFrame] = []
    count = 0
    for frame in frames:
        held.append(frame)
        count += len(frame)
        if count >= rows_at_once(len(frame.columns)):
            yield pandas.concat(held, ignore_index=True)
            held, count = [], 0
    if held:
        yield pandas.concat(held, ignore_index=True)


def _finished(frame: pandas.DataFrame, model: Model) -> pandas.DataFrame:
    inputs = [name for name in model.inputs if name in frame.columns]
    hashes = rows.row_hashes(frame[inputs])
    frame[rows.ROW] = hashes
    frame[rows.HOLDOUT] = [rows.is_held_out(row, model.holdout) for row in hashes]
    return frame


def _groups(parts: Iterable[pandas.DataFrame]) -> Iterator[Any]:
    """The rows as Arrow tables, each a row group."""
    import pyarrow

    held: list[Any] = []
    count = size = 0
    for part in parts:
        rest = pyarrow.Table.from_pandas(part, preserve_index=False)
        while rest.num_rows:
            taken, rest = rest.slice(0, GROUP_ROWS - count), rest.slice(GROUP_ROWS - count)
            held.append(taken)
            count, size = count + taken.num_rows, size + taken.nbytes
            if count == GROUP_ROWS or size >= GROUP_BYTES:
                group, held, count, size = pyarrow.concat_tables(held).combine_chunks(), [], 0, 0
                yield group
                del group
    if held:
        yield pyarrow.concat_tables(held).combine_chunks()


def _changed(model: Model) -> StepFailed:
    return StepFailed(
        "the batches changed while they were read",
        where=f"models/{model.name.replace('-', '_')}",
        act="wait until they have arrived as a whole, then run again",
    )
