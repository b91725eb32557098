"""How far two histograms are apart: PSI and Kullback-Leibler divergence, and how much of it sampling alone would give.

A distance is an effect size: it does not grow with the number of rows. What chance alone gives shrinks with them, so the two stand beside
each other and no p-value decides. Sources: Siddiqi, Credit Risk Scorecards (2006) for the bounds of PSI; Yurdakul, Statistical Properties
of Population Stability Index (2018) for its distribution when nothing changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

MODERATE, LARGE = 0.1, 0.25
"""PSI from which a shift is worth a look, and from which the model is asked about another world."""
PSEUDO_ROWS = 0.5
"""Added to each bin, so that a value that one side never saw gives a finite distance."""


def psi(before: Array, after: Array) -> float:
    """Population stability index of two histograms over the same bins, given as counts."""
    import numpy

    was, now = shares(before), shares(after)
    return float(((now - was) * numpy.log(now / was)).sum())


def kl(before: Array, after: Array) -> float:
    """Kullback-Leibler divergence of ``after`` from ``before``, in nats."""
    import numpy

    was, now = shares(before), shares(after)
    return float((now * numpy.log(now / was)).sum())


def chance(before: Array, after: Array) -> float:
    """The PSI that 95 % of pairs of samples of these sizes stay below when both come from the same world."""
    from scipy.stats import chi2  # type: ignore[import-untyped]

    return float((1 / before.sum() + 1 / after.sum()) * chi2.ppf(0.95, max(1, len(before) - 1)))


def effect(distance: float) -> str:
    """A PSI in a word: ``small``, ``moderate`` or ``large``."""
    return "small" if distance < MODERATE else "moderate" if distance < LARGE else "large"


def shares(counts: Array) -> Array:
    """Counts as shares, none of them 0."""
    import numpy

    padded = numpy.asarray(counts, dtype="float64") + PSEUDO_ROWS
    found: Array = padded / padded.sum()
    return found
