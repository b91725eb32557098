"""Rows and their hashes: which row is held out depends on its content alone, so it stays held out in every later snapshot."""

from __future__ import annotations

import hashlib
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
    text = "\x1f".join(repr(float(value)) if isinstance(value, int | float) else str(value) for value in values)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def is_held_out(row: str, share: float) -> bool:
    """Whether a row of this hash belongs to the holdout; a larger share only adds rows, it never takes one back."""
    return int(hashlib.sha256(b"holdout" + row.encode()).hexdigest()[:8], 16) / 16**8 < share


def read(path: Path) -> pandas.DataFrame:
    """A snapshot's rows."""
    import pandas

    return pandas.read_parquet(path)


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
