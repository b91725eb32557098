"""Histograms that later data is compared with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]

BINS = 6
"""Few bins: with n rows, sampling alone gives a divergence of about (bins - 1) / 2n."""
FEWEST_DECIMALS, MOST_DECIMALS = 3, 15


def of_numbers(column: pandas.Series[Any]) -> dict[str, Any]:
    """``bins`` (edges, rounded for readers) and ``counts``: each row lies in a bin, and two values or more give two bins at least."""
    import numpy

    cells = column.to_numpy(dtype="float64")
    edges = numpy.unique(numpy.quantile(cells, numpy.linspace(0, 1, BINS + 1)))
    if 1 < len(edges) <= BINS:
        # A value that many rows share: within one bin with others, it could take their place unseen.
        edges = _between(cells)
    edges = _rounded(edges)
    counts, _ = numpy.histogram(cells, edges)
    return {"bins": [float(edge) for edge in edges], "counts": [int(count) for count in counts]}


def _between(cells: Array) -> Array:
    """Edges halfway between values, so that a value that more rows have than a bin should hold has one of its own."""
    import numpy

    values, counts = numpy.unique(cells, return_counts=True)
    cuts: list[int] = []
    held, left = 0, len(cells)
    for at, count in enumerate(counts):
        share = left / (BINS - len(cuts))
        if len(cuts) < BINS - 1 and held and (held >= share or held + count - share > share - held):
            cuts.append(at)
            held, left = 0, left - held
        held += int(count)
    inner = [float(values[at - 1] + (values[at] - values[at - 1]) / 2) for at in cuts]
    # Values so close that there is no number between them would give an edge twice.
    return numpy.unique([float(values[0]), *inner, float(values[-1])])


def _rounded(edges: Array) -> Array:
    """The same to as few decimals as tell them apart well, the outermost moved outwards so that no row is lost; else as they are."""
    import numpy

    gaps = numpy.diff(edges)
    wanted = math.ceil(-math.log10(gaps.min())) + 2 if len(gaps) else FEWEST_DECIMALS
    decimals = min(max(FEWEST_DECIMALS, wanted), MOST_DECIMALS)
    found = numpy.round(edges, decimals)
    step = 10.0**-decimals
    if found[0] > edges[0]:
        found[0] = numpy.round(found[0] - step, decimals)
    if found[-1] < edges[-1]:
        found[-1] = numpy.round(found[-1] + step, decimals)
    is_right = found[0] <= edges[0] and found[-1] >= edges[-1] and bool((numpy.diff(found) > 0).all())
    return found if is_right else edges
