"""Validation of millions of rows: seconds and peak memory of the step itself, against a bare read of the same columns with their ends.

Each is measured in a process of its own: ``python -m tests.bench.validation ours|bare FILE``.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.apart import QUIET
from tests.bench.ground import Ground
from tests.bench.measure import command, in_turn
from tests.bench.row import Row

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "models" / "iris"
ROWS_AT_ONCE = 1 << 20
"""The pipeline's own snapshots are cut into groups of so many rows."""
LIMIT_SECONDS = 900
BYTES_A_ROW = 60
"""Of iris' four numbers and a label, at most; held whole, a row took 300 to 400."""


def measure(ground: Ground) -> list[Row]:
    """Rows: seconds and peak memory for few and for many million rows, and how the memory grows from the ones to the others."""
    size = ground.size
    few, many = (Runs.of(ground.folder / f"{rows}.parquet", rows, min(3, size.repetitions)) for rows in size.validated_rows)
    grown = (many.memory - few.memory) / (many.rows - few.rows) * (1 << 20)
    return [
        *few.told(),
        *many.told(),
        Row(
            name="validation, memory for one row more",
            value=grown,
            unit="B",
            most=BYTES_A_ROW,
            floor=f"{(many.bare_memory - few.bare_memory) / (many.rows - few.rows) * (1 << 20):.0f} B: the columns as they are read",
            why=f"{few.memory:.0f} MiB for {few.rows} rows, {many.memory:.0f} MiB for {many.rows}",
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Medians of some runs of both over the same rows. Memory in MiB, above what the process held before the first row."""

    rows: int
    seconds: float
    bare_seconds: float
    memory: float
    bare_memory: float
    before: float

    @classmethod
    def of(cls, path: Path, rows: int, times: int) -> Runs:
        """Write a snapshot of so many rows, and measure both in turn."""
        write(path, rows)
        said: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}

        def once(how: str) -> float:
            argv = [sys.executable, "-m", "tests.bench.validation", how, str(path)]
            text = command(argv, folder=ROOT, environment={**os.environ, **QUIET}, limit_seconds=LIMIT_SECONDS)
            said[how].append(json.loads(text.splitlines()[-1]))
            return said[how][-1]["seconds"]

        in_turn({"ours": lambda: once("ours"), "bare": lambda: once("bare")}, times)
        path.unlink()

        def median(how: str, what: str) -> float:
            return statistics.median(each[what] for each in said[how])

        return cls(
            rows=rows,
            seconds=median("ours", "seconds"),
            bare_seconds=median("bare", "seconds"),
            memory=median("ours", "peak") - median("ours", "before"),
            bare_memory=median("bare", "peak") - median("bare", "before"),
            before=median("ours", "before"),
        )

    def told(self) -> list[Row]:
        """Seconds and memory."""
        name = f"validation of {self.rows / 1e6:g} million rows"
        parts = {"MiB before the first row": self.before, "bare read, s": self.bare_seconds, "bare read, MiB": self.bare_memory}
        return [
            Row(name=name, value=self.seconds, unit="s", floor=f"{self.bare_seconds:.2f} s: columns read, ends found", parts=parts),
            Row(name=f"{name}, memory", value=self.memory, unit="MiB", floor=f"{self.bare_memory:.0f} MiB: the same", parts=parts),
        ]


def write(path: Path, rows: int) -> None:
    """A snapshot that fulfils the suite of iris: its own rows, drawn again and again, each moved by less than a thousandth."""
    import numpy
    import pandas
    import pyarrow
    import pyarrow.parquet

    from pipelines.model import read
    from pipelines.rows import BATCH, HOLDOUT, LINE, ROW
    from pipelines.snapshot import arrived, table_of

    model = read(FOLDER)
    source = table_of(arrived(FOLDER, model, date.max), model)
    inputs = list(model.inputs)
    highest = source[inputs].max()
    random = numpy.random.default_rng(rows)
    writer = None
    for start in range(0, rows, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, rows - start)
        drawn: pandas.DataFrame = source.iloc[random.integers(len(source), size=count)].reset_index(drop=True)
        for name in inputs:
            # The highest is moved down, the others up: none leaves the bin of the reference that it lies in.
            drawn[name] += random.uniform(0, 0.0009, count) * numpy.where(drawn[name] < highest[name], 1, -1)
        drawn[BATCH], drawn[LINE] = "2026-09-21.csv", numpy.arange(start + 2, start + 2 + count)
        drawn[ROW], drawn[HOLDOUT] = [f"{each:024x}" for each in random.integers(1 << 62, size=count)], random.random(count) < model.holdout
        table = pyarrow.Table.from_pandas(drawn, preserve_index=False)
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


def ours(path: Path) -> dict[str, float]:
    """The pipeline's step, once on a few rows so that its packages are loaded, then on all."""
    import pandas

    few = path.with_suffix(".few.parquet")
    pandas.read_parquet(path, filters=[("_line", "<", 200)]).to_parquet(few)
    with tempfile.TemporaryDirectory() as folder:
        _validate(few, Path(folder))
        few.unlink()
        before = _memory("VmRSS")
        began = time.monotonic()
        _validate(path, Path(folder))
        return {"seconds": time.monotonic() - began, "peak": _memory("VmHWM"), "before": before}


def _validate(path: Path, output: Path) -> None:
    import pyarrow.parquet

    from pipelines.artifacts import Snapshot
    from pipelines.model import read
    from pipelines.validate import validate
    from pipelines.work import Work

    work = Work(
        root=ROOT,
        store=path.parent,
        folder=FOLDER,
        model=read(FOLDER),
        until=date.max,
        champion=None,
        number=1,
        reason="",
        code="",
        environment="",
        tracking="",
        output=output,
        place="output",
    )
    rows = pyarrow.parquet.ParquetFile(path).metadata.num_rows
    validate(work, Snapshot(path=path.name, digest="", rows=rows, holdout_rows=0, first="2026-09-21", last="2026-09-21", batches=()))


def bare(path: Path) -> dict[str, float]:
    """The same columns read, the least and the greatest of each found."""
    import pyarrow.compute
    import pyarrow.parquet

    from pipelines.model import read

    model = read(FOLDER)
    before = _memory("VmRSS")
    began = time.monotonic()
    table: Any = pyarrow.parquet.read_table(path, columns=[*model.inputs, model.output.column])
    for name in table.column_names:
        pyarrow.compute.min_max(table[name])
    return {"seconds": time.monotonic() - began, "peak": _memory("VmHWM"), "before": before}


def _memory(field: str) -> float:
    """Of this process, in MiB: ``VmRSS`` now, ``VmHWM`` at its highest."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


if __name__ == "__main__":
    print(json.dumps({"ours": ours, "bare": bare}[sys.argv[1]](Path(sys.argv[2]))))
