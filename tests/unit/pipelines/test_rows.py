"""What is held out depends on a row's content alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.rows import is_held_out, row_hash, row_hashes

row = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5)


def test_a_hash_does_not_change_with_a_new_version_of_this_code() -> None:
    """Were it to, every champion would have seen a part of the next holdout."""
    assert row_hash([5.1, 3.5, 1.4, 0.2]) == "1d7aba27fed1092a3069afeb"
    assert [is_held_out(row_hash([each]), 0.3) for each in range(10)] == [number in {1, 7, 9} for number in range(10)]


@given(row)
def test_duplicates_go_together_whatever_their_type(values: list[float]) -> None:
    assert row_hash(values) == row_hash(tuple(values))
    whole = [round(value) for value in values if abs(value) < 1e15]
    assert row_hash(whole) == row_hash([float(value) for value in whole])


@given(row, row)
def test_different_rows_have_different_hashes(one: list[float], two: list[float]) -> None:
    assert (row_hash(one) == row_hash(two)) == ([float(v) for v in one] == [float(v) for v in two])


def test_a_zero_below_zero_is_the_same_row() -> None:
    """No model tells them apart: as two rows, one could be learned from and the other be judged by."""
    import pandas

    assert row_hash([-0.0, 1.5]) == row_hash([0, 1.5])
    table = pandas.DataFrame({"a": [0.0, -0.0, 0.25], "b": [1.5, 1.5, -0.0]})
    assert row_hashes(table) == [row_hash([0, 1.5]), row_hash([0, 1.5]), row_hash([0.25, 0])]


@given(row, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_only_adds_rows(values: list[float], one: float, two: float) -> None:
    less, more = sorted([one, two])
    assert not is_held_out(row_hash(values), less) or is_held_out(row_hash(values), more)


def test_the_share_is_about_right() -> None:
    held = sum(is_held_out(row_hash([each, each / 7]), 0.3) for each in range(10_000))
    assert 2850 < held < 3150
