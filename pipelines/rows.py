"""Rows and their hashes: which row is held out depends on its content alone, so it stays held out in every later snapshot."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy
    import pandas

BATCH, LINE, ROW, HOLDOUT = "_batch", "_line", "_row", "_holdout"
OWN_COLUMNS = (BATCH, LINE, ROW, HOLDOUT)


def row_hash(values: Iterable[object]) -> str:
    """Hash of a row's input values, whatever its label, batch or place: duplicates have the same hash, so they go together."""
    return _hash(map(_text, values))


def row_hashes(frame: pandas.DataFrame) -> list[str]:
    """The hash of each row of a table of inputs, as ``row_hash`` gives it, in a fraction of the time."""
    # A column of floats needs no look at each of its values. Rows without any input have a hash too.
    columns = [
        map(repr, (column + 0.0).tolist()) if column.dtype == "float64" else map(_text, column.tolist()) for _, column in frame.items()
    ]
    return [_hash(cells) for cells in (zip(*columns, strict=True) if columns else itertools.repeat((), len(frame)))]


def _text(value: object) -> str:
    # Plus zero: the zero below zero is the same number.
    return repr(float(value) + 0.0) if isinstance(value, (int, float)) else str(value)


def _hash(cells: Iterable[str]) -> str:
    return hashlib.sha256("\x1f".join(cells).encode()).hexdigest()[:24]


def is_held_out(row: str, share: float) -> bool:
    """Whether a row of this hash belongs to the holdout; a larger share only adds rows, it never takes one back."""
    return int(hashlib.sha256(b"holdout" + row.encode()).hexdigest()[:8], 16) / 16**8 < share


def read(path: Path, columns: Sequence[str] | None = None, *, held_out: bool | None = None) -> pandas.DataFrame:
    """A snapshot's rows, or some columns of them; the rows to learn from only, or those to judge by (``held_out``)."""
    import pandas
    import pyarrow
    import pyarrow.parquet

    if held_out is None:
        return pandas.read_parquet(path, columns=None if columns is None else list(columns))
    file = pyarrow.parquet.ParquetFile(path, pre_buffer=False)
    taken = file.schema_arrow.names if columns is None else list(columns)
    read = [*taken, *({HOLDOUT} - set(taken))]
    # Row by row what is not asked for is let go again: held is what was asked for, not the table.
    found = [batch.filter(_which(batch[HOLDOUT], held_out)).select(taken) for batch in file.iter_batches(columns=read)]
    schema = pyarrow.schema([file.schema_arrow.field(name) for name in taken], file.schema_arrow.metadata)
    frame: pandas.DataFrame = pyarrow.Table.from_batches(found, schema).to_pandas()
    return frame


def _which(marks: Any, held_out: bool) -> Any:
    import pyarrow.compute

    return marks if held_out else pyarrow.compute.invert(marks)


def names(path: Path) -> list[str]:
    """The columns of a snapshot."""
    import pyarrow.parquet

    found: list[str] = pyarrow.parquet.ParquetFile(path, pre_buffer=False).schema_arrow.names
    return found


def parts(path: Path, size: int, columns: Sequence[str] | None = None) -> Iterator[pandas.DataFrame]:
    """The same rows, or some columns of them, at most ``size`` at a time, each with its position in the whole as its index."""
    import pandas
    import pyarrow.parquet

    start = 0
    # Buffered beforehand, the file as a whole would be held after all.
    for batch in pyarrow.parquet.ParquetFile(path, pre_buffer=False).iter_batches(batch_size=size, columns=columns):
        found = pyarrow.Table.from_batches([batch]).to_pandas()
        found.index = pandas.RangeIndex(start, start + len(found))
        start += len(found)
        yield found


def part(frame: pandas.DataFrame, *, held_out: bool) -> pandas.DataFrame:
    """The rows to learn from, or those to judge by."""
    return frame[frame[HOLDOUT] == held_out]


def features(frame: pandas.DataFrame, inputs: Sequence[str]) -> numpy.ndarray[Any, Any]:
    """The inputs as a float64 array of shape (rows, inputs), in the order of model.yaml."""
    return frame[list(inputs)].to_numpy(dtype="float64")
