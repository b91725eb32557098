"""A bad snapshot never trains: the failure names expectation, column, what was observed, and the rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.errors import DeliveryError
from infra.release import file_digest, load
from pipelines.expectations import main as expectations
from pipelines.failures import GateFailed, StepFailed
from tests.pipelines.laboratory import LATER, Laboratory

Lines = list[str]
BATCH = "2026-11-09.csv"


def edit(change: Callable[[Lines], Lines], *, every: bool = False) -> Callable[[Path], None]:
    """An edit of one batch, or of each."""

    def apply(batches: Path) -> None:
        for path in sorted(batches.glob("*.csv")) if every else [batches / BATCH]:
            path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")

    return apply


def cell(line: int, column: int, value: str) -> Callable[[Lines], Lines]:
    def change(lines: Lines) -> Lines:
        cells = lines[line].split(",")
        cells[column] = value
        return [*lines[:line], ",".join(cells), *lines[line + 1 :]]

    return change


def without_column(lines: Lines) -> Lines:
    return [",".join(line.split(",")[:3] + line.split(",")[4:]) for line in lines]


def in_other_units(lines: Lines) -> Lines:
    rows = [line.split(",") for line in lines[1:]]
    return [lines[0], *(",".join([*row[:2], f"{float(row[2]) * 1.9:.1f}", *row[3:]]) for row in rows)]


def only_setosa(lines: Lines) -> Lines:
    return [lines[0], *(line for line in lines[1:] if line.endswith("setosa"))] if len(lines) > 1 else lines


def renamed(lines: Lines) -> Lines:
    return [lines[0].replace("petal_width_cm", "petal_width"), *lines[1:]]


def column_of(value: str) -> Callable[[Lines], Lines]:
    """All cells of the second column."""
    return lambda lines: [lines[0], *(",".join([line.split(",")[0], value, *line.split(",")[2:]]) for line in lines[1:])]


def arrives_twice(batches: Path) -> None:
    (batches / "2026-11-10.csv").write_bytes((batches / BATCH).read_bytes())


def constant(lines: Lines) -> Lines:
    return [lines[0], *(",".join(["5.0", *line.split(",")[1:]]) for line in lines[1:])]


def fewer_virginica(lines: Lines) -> Lines:
    few = [line for line in lines[1:] if line.endswith("virginica")][:1]
    return [lines[0], *(line for line in lines[1:] if not line.endswith("virginica")), *few]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (edit(without_column, every=True), ["expect_table_columns_to_match_set", "the table"]),
        (
            edit(renamed, every=True),
            ["expect_table_columns_to_match_set", "'missing': ['petal_width_cm']", "'unexpected': ['petal_width']"],
        ),
        (edit(renamed), ["expect_table_columns_to_match_set", "'unexpected': ['petal_width']"]),
        (edit(column_of(""), every=True), ["expect_column_values_to_not_be_null", "'sepal_width_cm'", "[nan, nan", "and 145 more"]),
        (edit(column_of("3.5 cm"), every=True), ["expect_column_values_to_be_of_type", "'sepal_width_cm'", "'3.5 cm'", "and 145 more"]),
        (arrives_twice, ["expect_compound_columns_to_be_unique", "the table", f"{BATCH} line 2", "mostly"]),
        (edit(without_column), ["expect_column_values_to_not_be_null", "'petal_width_cm'", f"{BATCH} line 2"]),
        (edit(cell(3, 1, "")), ["expect_column_values_to_not_be_null", "'sepal_width_cm'", f"{BATCH} line 4"]),
        (edit(cell(3, 1, "wide")), ["expect_column_values_to_be_of_type", "'sepal_width_cm'", "'wide'", f"{BATCH} line 4"]),
        (edit(cell(5, 0, "51")), ["expect_column_values_to_be_between", "'sepal_length_cm'", "51.0", f"{BATCH} line 6", "max_value 30"]),
        (edit(cell(5, 0, "nan")), ["expect_column_values_to_be_of_type", "'sepal_length_cm'", f"{BATCH} line 6"]),
        (edit(cell(7, 4, "iris")), ["expect_column_values_to_be_in_set", "'species'", "iris", f"{BATCH} line 8"]),
        (edit(cell(7, 4, "")), ["expect_column_values_to_not_be_null", "'species'", f"{BATCH} line 8"]),
        (edit(in_other_units, every=True), ["expect_column_kl_divergence_to_be_less_than", "'petal_length_cm'", "threshold 0.1"]),
        (edit(only_setosa, every=True), ["expect_table_row_count_to_be_between", "got:     '50'"]),
        (edit(constant, every=True), ["expect_column_unique_value_count_to_be_between", "'sepal_length_cm'", "got:     '1'"]),
        (edit(fewer_virginica, every=True), ["expect_column_kl_divergence_to_be_less_than", "'species'"]),
    ],
)
def test_bad_data_fails_its_gate(empty: Laboratory, spoil: Callable[[Path], None], words: list[str]) -> None:
    spoil(empty.iris / "data" / "batches")
    with pytest.raises(GateFailed) as caught:
        empty.release(until=LATER)
    assert caught.value.gate == "data"
    for word in words:
        assert word in str(caught.value)
    assert empty.numbers() == []
    assert not (empty.store / "mlflow").exists()
    page = (empty.store / "steps" / "iris" / "failed" / "validate" / "report.html").read_text(encoding="utf-8")
    assert words[0] in page.replace("<wbr>", "")
    assert "nothing was trained on this data" in page
    assert len(page) < 100_000
    assert str(empty.store / "steps" / "iris" / "failed" / "validate" / "report.html") in str(caught.value)
    assert not (empty.store / "steps" / "iris" / "train").exists()


def test_one_class_only_is_said(empty: Laboratory) -> None:
    edit(only_setosa, every=True)(empty.iris / "data" / "batches")
    empty.change("model.yaml", "minimum-rows: 60", "minimum-rows: 10")
    empty.change("expectations.yaml", "{min_value: 60}", "{min_value: 10}")
    with pytest.raises(GateFailed, match="expect_column_distinct_values_to_contain_set failed for column 'species'") as caught:
        empty.release(until=LATER)
    assert "missing: versicolor, virginica" in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda batches: (batches / "new.csv").write_text("x"), "named by the date"),
        (lambda batches: [path.unlink() for path in batches.glob("*.csv")], "no batch has arrived"),
        (lambda batches: (batches / BATCH).write_text(""), "is no CSV file"),
        (lambda batches: (batches / BATCH).write_bytes(b"\xff\xfe\x00\x01"), "is no CSV file"),
        (lambda batches: (batches / BATCH).write_text('a,b\n1,2,"3\n'), "is no CSV file"),
        (edit(lambda lines: [f"{line},_row" for line in lines]), "snapshots use themselves"),
        (edit(lambda lines: lines[:1], every=True), "the batches that arrived hold no row"),
    ],
)
def test_what_is_no_data_is_refused(empty: Laboratory, spoil: Callable[[Path], object], words: str) -> None:
    spoil(empty.iris / "data" / "batches")
    with pytest.raises(StepFailed, match=words):
        empty.release(until=LATER)


def test_before_the_first_batch_there_is_nothing(empty: Laboratory) -> None:
    with pytest.raises(StepFailed, match="a date from 2026-09-21 on"):
        empty.release(until=LATER.replace(year=2025))


def test_without_its_suite_data_is_not_believed(empty: Laboratory) -> None:
    (empty.iris / "expectations.yaml").unlink()
    with pytest.raises(DeliveryError, match="make expectations MODEL=iris"):
        empty.release()


def test_the_committed_suite_is_what_the_command_makes(empty: Laboratory) -> None:
    committed = (empty.iris / "expectations.yaml").read_bytes()
    (empty.iris / "expectations.yaml").unlink()
    assert expectations(["iris", "--models", str(empty.folders)]) == 0
    assert (empty.iris / "expectations.yaml").read_bytes() == committed


def test_an_expectation_that_people_added_is_asked_and_stays(empty: Laboratory) -> None:
    added = "- type: expect_column_pair_values_a_to_be_greater_than_b\n  kwargs: {column_A: petal_length_cm, column_B: sepal_length_cm}\n"
    path = empty.iris / "expectations.yaml"
    path.write_text(path.read_text(encoding="utf-8") + added, encoding="utf-8")
    with pytest.raises(GateFailed, match="expect_column_pair_values_a_to_be_greater_than_b failed for the table"):
        empty.release()
    assert expectations(["iris", "--models", str(empty.folders)]) == 0
    assert path.read_text(encoding="utf-8").endswith(added)


def test_what_is_no_expectation_is_refused_rather_than_left_out(empty: Laboratory) -> None:
    path = empty.iris / "expectations.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "- type: expect_column_to_shine\n  kwargs: {column: species}\n", encoding="utf-8")
    with pytest.raises(StepFailed, match=r"expect_column_to_shine \(species\) is no expectation"):
        empty.release()
    assert not (empty.store / "steps" / "iris" / "train").exists()


def test_a_suite_that_cannot_be_asked_is_refused(empty: Laboratory) -> None:
    empty.change("expectations.yaml", "      weights: [", "      weights: [0.5, ")
    with pytest.raises(StepFailed, match=r"cannot be asked of this data: .*partition") as caught:
        empty.release()
    assert "models/iris/expectations.yaml" in str(caught.value)


def test_a_suite_that_asks_less_than_the_model_is_refused(empty: Laboratory) -> None:
    empty.change("expectations.yaml", "max_value: 30", "max_value: 300")
    with pytest.raises(StepFailed, match=r"asks less than model\.yaml"):
        empty.release()


def test_the_page_of_good_data_lies_beside_the_record_and_holds_all_that_it_shows(laboratory: Laboratory) -> None:
    record = load(laboratory.store, "iris", 1)
    assert record.validation is not None
    assert record.validation.path == "releases/iris/1.validation.html"
    page = laboratory.store / record.validation.path
    assert file_digest(page) == record.validation.digest
    text = page.read_text(encoding="utf-8")
    assert "expectations are fulfilled" in text
    assert record.snapshot.digest in text
    assert text.count("<svg") == 5
    assert len(text) < 60_000
    assert record.card is not None
    assert 'href="1.validation.html"' in (laboratory.store / record.card.page.path).read_text(encoding="utf-8")
    for outside in ("http://", "https://", "<script", "src="):
        assert outside not in text


def many_rows(batches: Path, rows: int) -> None:
    """Another batch: the rows of those that are there, drawn again and again, each moved by less than a thousandth."""
    import numpy
    import pandas

    source = pandas.concat([pandas.read_csv(path) for path in sorted(batches.glob("*.csv"))], ignore_index=True)
    random = numpy.random.default_rng(rows)
    drawn = source.iloc[random.integers(len(source), size=rows)].reset_index(drop=True)
    for name in drawn.columns[:-1]:
        # The highest is moved down, the others up: none leaves the bin of the reference that it lies in.
        drawn[name] += random.uniform(0, 0.0009, rows) * numpy.where(drawn[name] < source[name].max(), 1, -1)
    drawn.to_csv(batches / "2026-11-24.csv", index=False, float_format="%.6f")


HUNGRY = """from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures


def estimator(parameters, seed):
    return make_pipeline(PolynomialFeatures(8), LogisticRegression(max_iter=1, tol=1.0))
"""


def test_a_table_that_memory_does_not_hold_ends_its_step_and_with_more_the_run_goes_on(
    empty: Laboratory, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipelines.run.LARGE_BYTES", 1 << 20)
    many_rows(empty.iris / "data" / "batches", 150_000)
    run = ["--until", str(LATER), "--through", "train"]
    monkeypatch.setenv("MLDELIVERY_MEMORY_MIB", "60")
    assert empty.main(*run) == 1
    said = capfd.readouterr().err
    for words in ("models/iris, batches of 6.5 MiB ", "(2026-09-21.csv to 2026-11-24.csv): step 'snapshot' took more memory than it may"):
        assert words in said
    assert list(empty.store.glob("snapshots/iris/*")) == []
    monkeypatch.delenv("MLDELIVERY_MEMORY_MIB")
    (empty.iris / "train.py").write_text(HUNGRY)
    empty.change("model.yaml", "golden: 40", "golden: 40\nmemory-limit-mib: 400")
    assert empty.main(*run) == 1
    said = capfd.readouterr().err
    for words in (
        "iris: no release was made",
        "models/iris, a snapshot of 150150 rows, ",
        "step 'train' took more memory than it may and was stopped",
        "allowed: 400 MiB, which models/iris/model.yaml: memory-limit-mib says",
        "give it more",
    ):
        assert words in said
    assert empty.numbers() == []
    assert not (empty.store / "mlflow").exists()
    assert not (empty.store / "steps" / "iris" / "train").exists() or not list((empty.store / "steps" / "iris" / "train").iterdir())
    empty.check_whole()
    monkeypatch.setenv("MLDELIVERY_MEMORY_MIB", "2500")
    assert empty.main(*run) == 0
    said = capfd.readouterr().err
    assert [line.split()[0] for line in said.splitlines() if line.endswith("(done before)")] == ["snapshot", "interface", "validate"]
    assert "  train      on " in said
