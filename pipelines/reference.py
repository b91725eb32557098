"""``python -m pipelines reference iris``: make the histograms that later data is compared with, as a file that people review and commit."""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.release import ROOT

if TYPE_CHECKING:
    import pandas

    from pipelines.model import Model

BINS = 6
"""Few bins: with n rows, sampling alone gives a divergence of about (bins - 1) / 2n."""


def main(arguments: list[str]) -> int:
    """Write the reference file of a model from its batches."""
    parser = argparse.ArgumentParser(prog="python -m pipelines reference", description="Make a model's reference histograms from its data.")
    parser.add_argument("model", help="folder in models/")
    parser.add_argument("--until", type=date.fromisoformat, default=date.max, metavar="DATE", help="take the batches dated up to this day")
    parser.add_argument("--models", type=Path, default=ROOT / "models", metavar="DIR", help="where model folders lie (default: models)")
    options = parser.parse_args(arguments)
    from pipelines.model import read
    from pipelines.snapshot import arrived, table_of
    from pipelines.store import write_whole

    folder: Path = options.models.absolute() / options.model
    model = read(folder)
    batches = arrived(folder, model, options.until)
    columns = histograms(table_of(batches, model), model)
    document = {"made-from": {"first": batches[0].stem, "last": batches[-1].stem}, "columns": columns}
    path = folder / model.data.reference
    write_whole(path, (json.dumps(document, indent=2) + "\n").encode())
    print(f"{path}: read it, then commit it")
    return 0


def histograms(frame: pandas.DataFrame, model: Model) -> dict[str, Any]:
    """For each input ``bins`` (edges at rounded quantiles) and ``counts``; for the label ``values`` and ``counts``."""
    import numpy

    found: dict[str, Any] = {}
    for name in model.inputs:
        column = frame[name].to_numpy(dtype="float64")
        edges = numpy.unique(numpy.round(numpy.quantile(column, numpy.linspace(0, 1, BINS + 1)), 3))
        counts, _ = numpy.histogram(column, edges)
        found[name] = {"bins": [float(edge) for edge in edges], "counts": [int(count) for count in counts]}
    labels = list(model.output.labels)
    seen = frame[model.output.column].value_counts()
    found[model.output.column] = {"values": labels, "counts": [int(seen.get(label, 0)) for label in labels]}
    return found
