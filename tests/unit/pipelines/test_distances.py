"""PSI and KL on histograms whose distance is known, and what chance gives."""

from __future__ import annotations

import numpy
import pytest

from pipelines import distances


def test_equal_histograms_are_no_distance_apart() -> None:
    counts = numpy.array([100, 200, 300])
    assert distances.psi(counts, counts) == pytest.approx(0)
    assert distances.kl(counts, 10 * counts) == pytest.approx(0, abs=1e-5)


def test_psi_is_both_divergences_together() -> None:
    before, after = numpy.array([500, 500]), numpy.array([900, 100])
    assert distances.kl(before, after) == pytest.approx(0.9 * numpy.log(1.8) + 0.1 * numpy.log(0.2), abs=2e-3)
    assert distances.psi(before, after) == pytest.approx(distances.kl(before, after) + distances.kl(after, before))


def test_what_one_side_never_saw_is_far_and_finite() -> None:
    assert 1 < distances.psi(numpy.array([100, 0]), numpy.array([50, 50])) < 10


@pytest.mark.parametrize(("rows", "bins"), [(100, 6), (500, 10)])
def test_chance_is_exceeded_by_one_pair_of_samples_in_twenty(rows: int, bins: int) -> None:
    random = numpy.random.default_rng(7)
    pairs = [random.multinomial(rows, numpy.full(bins, 1 / bins), size=2) for _ in range(2000)]
    beyond = sum(distances.psi(one, other) > distances.chance(one, other) for one, other in pairs)
    assert 0.03 < beyond / len(pairs) < 0.07


@pytest.mark.parametrize(("distance", "word"), [(0.0, "small"), (0.1, "moderate"), (0.25, "large")])
def test_an_effect_has_a_word(distance: float, word: str) -> None:
    assert distances.effect(distance) == word
