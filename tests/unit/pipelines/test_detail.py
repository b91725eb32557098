"""What lies beneath an evaluation's metrics, on arrays whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy
import pandas
import pytest

from pipelines import detail
from pipelines.detail import Holdout

TRUTH = numpy.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
RELEASE = numpy.array([[0.9, 0.1]] * 3 + [[0.4, 0.6]] + [[0.2, 0.8]] * 6)
CHAMPION = numpy.array([[0.9, 0.1]] * 4 + [[0.2, 0.8]] * 4 + [[0.7, 0.3]] * 2)


def holdout(since: str | None = "2026-10-26") -> Holdout:
    frame = pandas.DataFrame(
        {
            "size": [float(at) for at in range(10)],
            "colour": ["red"] * 5 + ["blue"] * 5,
            "note": [f"a note of some length {'x' * at}" for at in range(10)],
            "_batch": ["2026-10-26.csv"] * 5 + ["2026-11-02.csv"] * 5,
        }
    )
    return Holdout(frame=frame, inputs=["size", "colour"], since=since, seed=7)


def test_classes_are_counted_one_by_one() -> None:
    found = detail.of_classes(holdout(), ["no", "yes"], TRUTH, RELEASE, CHAMPION)
    assert found.confusion is not None
    assert found.confusion.release == [[3, 1], [0, 6]]
    assert found.confusion.champion == [[4, 0], [2, 4]]
    no, yes = found.classes
    assert (no.rows, yes.rows) == (4, 6)
    assert no.recall is not None and no.recall.value == 0.75
    assert yes.precision is not None and yes.precision.value == pytest.approx(6 / 7, abs=1e-6)
    assert yes.champion_recall is not None and yes.champion_recall.value == pytest.approx(4 / 6, abs=1e-6)
    assert found.otherwise == 3
    assert [(each.truth, each.release, each.champion) for each in found.examples] == [("no", "yes", "no")] + [("yes", "yes", "no")] * 2


def test_calibration_says_what_was_said_and_what_was_so() -> None:
    found = detail.of_classes(holdout(), ["no", "yes"], TRUTH, RELEASE, None).calibration
    assert found is not None
    assert [(each.rows, each.said, each.was.value) for each in found.release] == [(1, 0.6, 0.0), (6, 0.8, 1.0), (3, 0.9, 1.0)]
    assert found.error == pytest.approx((1 * 0.6 + 6 * 0.2 + 3 * 0.1) / 10)
    assert found.champion is None


def test_slices_name_their_rows_and_the_furthest_behind_come_first() -> None:
    found = detail.of_classes(holdout(), ["no", "yes"], TRUTH, RELEASE, CHAMPION)
    first, last = found.slices[0], found.slices[-1]
    assert {(each.column, each.values) for each in found.slices} == {
        ("arrived", "up to 2026-10-26"),
        ("arrived", "after 2026-10-26"),
        ("colour", "red"),
        ("colour", "blue"),
    }
    assert first.difference is not None and first.difference.value == pytest.approx(-0.2)
    assert last.difference is not None and last.difference.value == pytest.approx(0.4)


def test_a_column_of_many_numbers_is_cut_into_thirds_and_texts_by_their_length() -> None:
    frame = pandas.DataFrame({"size": numpy.arange(30.0), "note": [at * "x" + "." for at in range(30)]})
    seen = Holdout(frame=frame, inputs=["size", "note"], since=None, seed=7)
    right = numpy.tile([[0.9, 0.1]], (30, 1))
    found = detail.of_classes(seen, ["no", "yes"], numpy.zeros(30, dtype=int), right, None)
    assert sorted(each.rows for each in found.slices) == [10] * 6
    assert {each.column for each in found.slices} == {"size", "length of note"}


def test_a_regression_has_residuals_and_no_classes() -> None:
    truth = numpy.arange(10.0)
    found = detail.of_numbers(holdout(), truth, truth + 1, truth + numpy.array([1.0] * 9 + [4.0]), tolerance=0.5)
    assert found.classes == [] and found.confusion is None
    assert found.residuals is not None and found.residuals.release == [1.0] * 5
    assert found.otherwise == 1
    assert [(each.truth, each.release, each.champion) for each in found.examples] == [("9", "10", "13")]
    assert found.calibration is not None and found.calibration.error == pytest.approx(1.0)


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    found = detail.of_classes(holdout(), ["no", "yes"], TRUTH, RELEASE, CHAMPION)
    detail.write(tmp_path / "detail.json", found)
    assert detail.read(tmp_path / "detail.json") == found


@pytest.mark.parametrize(("hits", "rows", "low", "high"), [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634)])
def test_the_interval_of_a_share_is_wilson_s(hits: int, rows: int, low: float, high: float) -> None:
    found = detail.share(hits, rows)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_no_rows_have_no_share() -> None:
    assert detail.share(0, 0) is None


@pytest.mark.parametrize("rows", [5, 12, 400])
def test_a_mean_of_few_rows_has_the_interval_of_student(rows: int) -> None:
    from scipy.stats import sem, t  # type: ignore[import-untyped]

    values = numpy.random.default_rng(rows).normal(3, 2, rows)
    found = detail.mean(values)
    assert (found.low, found.high) == pytest.approx(t.interval(0.95, rows - 1, loc=values.mean(), scale=sem(values)), abs=1e-6)


def test_a_mean_of_equal_differences_is_no_point() -> None:
    found = detail.mean(numpy.zeros(30), bound=1.0)
    assert (found.low, found.high) == pytest.approx((-0.1, 0.1))
