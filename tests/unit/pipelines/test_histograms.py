"""The bins by which a reference is kept: what they cannot tell apart, no later data is told apart by."""

from __future__ import annotations

from itertools import pairwise

import numpy
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.histograms import BINS, of_numbers


def test_each_of_two_values_has_a_bin_of_its_own() -> None:
    found = of_numbers(pandas.Series([1.0] * 235 + [2.0] * 207))
    assert found == {"bins": [1.0, 1.5, 2.0], "counts": [235, 207]}


def test_a_value_that_most_rows_share_does_not_hide_the_others() -> None:
    found = of_numbers(pandas.Series([0.0] * 950 + [float(at) for at in range(1, 51)]))
    assert found["counts"][0] == 950
    assert len(found["counts"]) == BINS
    assert min(found["counts"][1:]) == max(found["counts"][1:]) == 10


def test_a_value_in_the_middle_that_most_rows_share_is_alone_too() -> None:
    found = of_numbers(pandas.Series([1.0, 2.0, 3.0] * 30 + [5.0] * 800 + [7.0, 8.0, 9.0] * 30))
    assert 800 in found["counts"]


@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1.0, 1e4, 1e9])
def test_small_numbers_have_as_many_bins_as_large_ones(scale: float) -> None:
    found = of_numbers(pandas.Series(numpy.random.default_rng(7).gamma(2.0, scale, 600)))
    assert len(found["counts"]) == BINS
    assert min(found["counts"]) > 90


@given(st.lists(st.floats(-1e6, 1e6) | st.integers(0, 3).map(float), min_size=2, max_size=60).filter(lambda cells: len(set(cells)) > 1))
def test_whatever_the_numbers_are_each_row_has_a_bin_and_bins_are_two_at_least(cells: list[float]) -> None:
    found = of_numbers(pandas.Series(cells))
    assert sum(found["counts"]) == len(cells)
    assert 2 <= len(found["counts"]) <= BINS
    assert all(low < high for low, high in pairwise(found["bins"]))
