"""Histograms that later data is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

BINS = 6
"""Few bins: with n rows, sampling alone gives a divergence of about (bins - 1) / 2n."""


def of_numbers(column: pandas.Series[Any]) -> dict[str, Any]:
    """``bins`` (edges at rounded quantiles) and ``counts``."""
    import numpy

    cells = column.to_numpy(dtype="float64")
    edges = numpy.unique(numpy.round(numpy.quantile(cells, numpy.linspace(0, 1, BINS + 1)), 3))
    counts, _ = numpy.histogram(cells, edges)
    return {"bins": [float(edge) for edge in edges], "counts": [int(count) for count in counts]}
