"""``python -m pipelines reference iris``: make the histograms that later data is compared with, as a file that people review and commit."""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import kinds
from pipelines.release import ROOT

if TYPE_CHECKING:
    import pandas

    from pipelines.model import Model


def main(arguments: list[str]) -> int:
    """Write the reference file of a model from its batches."""
    parser = argparse.ArgumentParser(prog="python -m pipelines reference", description="Make a model's reference histograms from its data.")
    parser.add_argument("model", help="folder in models/")
    parser.add_argument("--until", type=date.fromisoformat, default=date.max, metavar="DATE", help="take the batches dated up to this day")
    parser.add_argument("--models", type=Path, default=ROOT / "models", metavar="DIR", help="where model folders lie (default: models)")
    options = parser.parse_args(arguments)
    from pipelines.model import folder_of, read
    from pipelines.rows import BATCH
    from pipelines.snapshot import collect
    from pipelines.store import write_whole

    folder = folder_of(options.models.absolute(), options.model)
    model = read(folder)
    with tempfile.TemporaryDirectory() as scratch:
        frame = collect(folder, model, options.until, scratch=Path(scratch))
    first, last = (str(frame[BATCH].iloc[at]).removesuffix(".csv") for at in (0, -1))
    document = {"made-from": {"first": first, "last": last}, "columns": histograms(frame, model)}
    path = folder / model.data.reference
    write_whole(path, (json.dumps(document, indent=2) + "\n").encode())
    print(f"{path}: read it, then commit it")
    return 0


def histograms(frame: pandas.DataFrame, model: Model) -> dict[str, Any]:
    """For each input (of a text, for its length) and for the output: ``bins`` or ``values``, and ``counts``."""
    from pipelines.histograms import of_numbers

    kind = kinds.of(model)
    measured = kind.inputs.measured(frame, list(model.inputs))
    found: dict[str, Any] = {str(name): of_numbers(measured[name]) for name in measured}
    return found | {model.output.column: kind.outputs.histogram(frame[model.output.column], model.output)}
