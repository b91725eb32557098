"""The text model and the regression, made by the real steps; and what stops bad data and bad models of their kinds."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from infra.release import Release, numbers
from pipelines import rows, suite
from pipelines.artifacts import Snapshot, Validation
from pipelines.evaluate import evaluate
from pipelines.failures import GateFailed
from pipelines.model import Model, folder_of, read
from pipelines.release import release
from pipelines.snapshot import collect
from pipelines.train import train
from pipelines.validate import run_suite, run_suite_in_parts, validate
from pipelines.work import Work
from tests.pipelines.laboratory import FIRST_UNTIL, LATER, ROOT, Laboratory, folders_for

pytestmark = pytest.mark.timeout(400)

Rows = pandas.DataFrame
Spoil = Callable[[Rows], Rows]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """A store for the releases of this module."""
    place = tmp_path_factory.mktemp("kinds")
    return Laboratory(place / "store", folders_for(place / "models"))


def run(made: Laboratory, name: str, until: date, champion: str) -> Release:
    return release(ROOT, name, store=made.store, folders=made.folders, until=until, champion=champion).record


def tracked(store: Path, run: str) -> list[tuple[dict[str, str], float]]:
    """What MLflow has of the runs beneath one: parameters, and the metric that they were compared by, in the order of the trials."""
    with contextlib.closing(sqlite3.connect(store / "mlflow" / "mlflow.db")) as connection:
        beneath = connection.execute(
            "SELECT run_uuid FROM tags JOIN runs USING (run_uuid) WHERE key = 'mlflow.parentRunId' AND value = ? AND status = 'FINISHED' "
            "ORDER BY start_time, name",
            (run,),
        ).fetchall()
        of_run = "run_uuid = ?"
        return [
            (
                dict(connection.execute(f"SELECT key, value FROM params WHERE {of_run}", (uuid,)).fetchall()),
                connection.execute(f"SELECT value FROM metrics WHERE key = 'mae-cross-validated' AND {of_run}", (uuid,)).fetchone()[0],
            )
            for (uuid,) in beneath
        ]


def golden_of(made: Laboratory, record: Release) -> list[dict[str, Any]]:
    text = (made.store / record.bento.path / "release" / "golden.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def about(made: Laboratory, record: Release) -> dict[str, Any]:
    return dict(json.loads((made.store / record.bento.path / "release" / "release.json").read_bytes()))


# whole releases


def test_a_text_model_is_released_and_not_made_again(made: Laboratory) -> None:
    record = run(made, "docs-router", LATER, "none")
    assert record.metrics["accuracy"].value > 0.7
    assert set(record.metrics) == {"accuracy", "macro-f1", "log-loss"}
    assert record.runtime == "onnx"
    assert set(record.gates.values()) == {"pass"}
    assert about(made, record)["kind"] == "text"
    first = golden_of(made, record)[0]
    assert list(first["request"]["rows"][0]) == ["text"]
    assert first["response"]["predictions"][0]["label"] in about(made, record)["output"]["labels"]
    assert run(made, "docs-router", LATER, "none").release == record.release == 1
    made.check_whole()


def test_a_search_is_told_by_record_card_and_mlflow(made: Laboratory) -> None:
    record = run(made, "progression", FIRST_UNTIL, "none")
    assert record.search is not None and record.card is not None and record.tracking is not None
    assert (record.search.trials, record.search.folds, record.search.metric) == (20, 5, "mae")
    trials = tracked(made.store, record.tracking.run)
    assert len(trials) == 20
    assert trials[0] == ({"alpha": "10.0"}, record.search.given)
    best = min(trials, key=lambda each: each[1])
    assert (best[0]["alpha"], best[1]) == (str(record.parameters["alpha"]), record.search.value)
    assert record.search.value <= record.search.given
    page = (made.store / record.card.page.path).read_text(encoding="utf-8")
    assert f"alpha {record.parameters['alpha']}, seed 7" in page
    assert "the best of 20 trials by mae" in page


def test_a_regression_is_released_and_compared_with_its_champion(made: Laboratory) -> None:
    first = run(made, "progression", FIRST_UNTIL, "none")
    assert set(first.metrics) == {"mae", "rmse", "r2"}
    assert first.comparison is None
    second = run(made, "progression", LATER, "1")
    assert second.reason.startswith("new data (266 -> 442 rows")
    assert second.comparison is not None
    assert (second.comparison.metric, second.comparison.verdict, second.comparison.champion) == ("mae", "pass", 1)
    assert second.comparison.difference.low < second.comparison.difference.value < second.comparison.difference.high
    assert about(made, second)["output"] == {"type": "value", "unit": "points"}
    assert about(made, second)["tolerance"] == pytest.approx(0.005)
    line = golden_of(made, second)[20]
    assert list(line["response"]["predictions"][0]) == ["value"]
    assert isinstance(line["request"]["rows"][0]["age_years"], int)
    made.check_whole()


# the data gate


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Model, Rows]]:
    """The rows of both models, as a snapshot has them."""
    found = {}
    for name in ("docs-router", "progression"):
        folder = folder_of(ROOT / "models", name)
        model = read(folder)
        found[name] = (folder, model, collect(folder, model, LATER, scratch=tmp_path_factory.mktemp("scratch")))
    return found


@pytest.fixture
def spoiled(tables: dict[str, tuple[Path, Model, Rows]], tmp_path: Path) -> Iterator[Callable[..., tuple[Work, Snapshot]]]:
    """A Work and a snapshot of a model whose rows were changed."""

    def make(name: str, spoil: Spoil = lambda frame: frame) -> tuple[Work, Snapshot]:
        folder, model, frame = tables[name]
        changed = spoil(frame.copy())
        changed.to_parquet(tmp_path / "snapshot.parquet")
        output = tmp_path / "output"
        output.mkdir(exist_ok=True)
        work = Work(
            root=ROOT,
            store=tmp_path,
            folder=folder,
            model=model,
            until=LATER,
            champion=None,
            number=1,
            reason="a test",
            code="",
            environment="",
            tracking="",
            output=output,
            place="output",
        )
        snapshot = Snapshot(
            path="snapshot.parquet",
            digest="",
            rows=len(changed),
            holdout_rows=int(changed[rows.HOLDOUT].sum()),
            first="a",
            last="b",
            batches=(),
        )
        return work, snapshot

    yield make


def cells(column: str, value: object, count: int = 1) -> Spoil:
    def spoil(frame: Rows) -> Rows:
        found = frame[column].astype("object")
        found.iloc[:count] = value
        return frame.assign(**{column: found})

    return spoil


def longer(frame: Rows) -> Rows:
    return frame.assign(text=[f"{text} {text} {text} {text}"[:4000] for text in frame["text"]])


def of_part(part: str, keep: int) -> Spoil:
    def spoil(frame: Rows) -> Rows:
        others = frame[frame["part"] != part]
        return pandas.concat([others, frame[frame["part"] == part].head(keep)], ignore_index=True)

    return spoil


def other_unit(frame: Rows) -> Rows:
    return frame.assign(progression=frame["progression"] / 10)


def narrower(frame: Rows) -> Rows:
    return frame.assign(progression=frame["progression"].clip(120, 160))


@pytest.mark.parametrize("name", ["docs-router", "progression"])
def test_the_real_data_is_valid(spoiled: Callable[..., tuple[Work, Snapshot]], name: str) -> None:
    assert validate(*spoiled(name)).expectations > 10


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        ("docs-router", cells("text", None), ["expect_column_values_to_not_be_null", "'text'"]),
        ("docs-router", cells("text", "ab"), ["expect_column_value_lengths_to_be_between", "'ab'", "min_value 3"]),
        ("docs-router", cells("text", "x" * 4001), ["expect_column_value_lengths_to_be_between", "max_value 4000"]),
        ("docs-router", cells("text", " \n \t "), ["expect_column_values_to_match_regex", "'text'"]),
        ("docs-router", cells("text", "read\x00 it"), ["expect_column_values_to_not_match_regex", "'text'"]),
        ("docs-router", cells("text", "the same text", 40), ["expect_column_proportion_of_unique_values", "min_value 1"]),
        ("docs-router", cells("part", "cooking"), ["expect_column_values_to_be_in_set", "'part'", "cooking"]),
        ("docs-router", cells("part", None), ["expect_column_values_to_not_be_null", "'part'"]),
        ("docs-router", of_part("networking", 0), ["expect_column_distinct_values_to_contain_set", "'part'"]),
        ("docs-router", of_part("internet and mail", 5), ["expect_column_kl_divergence_to_be_less_than", "'part'"]),
        ("docs-router", longer, ["expect_column_kl_divergence_to_be_less_than", "'text (length)'"]),
        ("docs-router", lambda frame: frame.head(2000), ["expect_table_row_count_to_be_between", "'2000'"]),
        ("docs-router", lambda frame: frame.drop(columns="text"), ["expect_table_columns_to_match_set"]),
        ("progression", cells("progression", None), ["expect_column_values_to_not_be_null", "'progression'"]),
        ("progression", cells("progression", "bad"), ["expect_column_values_to_be_of_type", "'progression'", "'bad'"]),
        ("progression", cells("progression", 501.0), ["expect_column_values_to_be_between", "'progression'", "501.0", "max_value 500"]),
        ("progression", cells("progression", -1.0), ["expect_column_values_to_be_between", "'progression'", "-1.0"]),
        ("progression", cells("progression", 150.0, 442), ["expect_column_unique_value_count_to_be_between", "'progression'"]),
        ("progression", other_unit, ["expect_column_kl_divergence_to_be_less_than", "'progression'"]),
        ("progression", narrower, ["expect_column_kl_divergence_to_be_less_than", "'progression'"]),
        ("progression", cells("sex", 2.0, 350), ["expect_column_kl_divergence_to_be_less_than", "'sex'"]),
        ("progression", cells("bmi", 900.0), ["expect_column_values_to_be_between", "'bmi'", "900.0"]),
    ],
)
def test_a_bad_snapshot_is_refused(spoiled: Callable[..., tuple[Work, Snapshot]], name: str, spoil: Spoil, words: list[str]) -> None:
    def in_one_type(frame: Rows) -> Rows:
        changed = spoil(frame)
        mixed = [column for column in changed if changed[column].dtype == "object" and column in ("progression", "bmi", "sex")]
        for column in mixed:
            is_number = changed[column].map(lambda cell: cell is None or isinstance(cell, float)).all()
            changed[column] = changed[column].astype("float64") if is_number else changed[column].astype(str)
        return changed

    with pytest.raises(GateFailed) as caught:
        validate(*spoiled(name, in_one_type))
    assert caught.value.gate == "data"
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("name", "spoil"), [("docs-router", cells("text", " ", 40)), ("progression", cells("bmi", 900.0, 40))])
def test_a_large_snapshot_is_judged_part_by_part_like_a_small_one(
    spoiled: Callable[..., tuple[Work, Snapshot]], name: str, spoil: Spoil
) -> None:
    work, snapshot = spoiled(name, spoil)
    path, asked = work.file(snapshot.path), suite.read(work.folder, work.model)
    whole = run_suite(rows.read(path), work.model, asked)
    assert run_suite_in_parts(path, work.model, asked, size=300) == whole
    assert not all(each.success for each in whole)


# the evaluation gate

VALID = Validation(expectations=1, report="", page="", page_digest="")


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("docs-router", "DummyClassifier()", "accuracy is too low"),
        ("docs-router", "make_pipeline(CountVectorizer(max_features=30), LogisticRegression(max_iter=5000))", "accuracy is too low"),
        ("progression", "DummyRegressor()", "r2 is too low"),
        ("progression", "DummyRegressor(strategy='constant', constant=400)", "r2 is too low"),
        ("progression", "DecisionTreeRegressor(random_state=0)", "r2 is too low"),
    ],
)
def test_a_model_that_learned_too_little_fails(
    spoiled: Callable[..., tuple[Work, Snapshot]], tmp_path: Path, name: str, code: str, words: str
) -> None:
    work, snapshot = spoiled(name)
    work = replace(work, folder=tmp_path / work.folder.name)
    work.folder.mkdir()
    imports = [
        "from sklearn.dummy import DummyClassifier, DummyRegressor",
        "from sklearn.feature_extraction.text import CountVectorizer",
        "from sklearn.linear_model import LogisticRegression",
        "from sklearn.pipeline import make_pipeline",
        "from sklearn.tree import DecisionTreeRegressor",
    ]
    (work.folder / "train.py").write_text("\n".join([*imports, f"def estimator(parameters, seed):\n    return {code}\n"]))
    with pytest.raises(GateFailed, match=words) as caught:
        evaluate(work, snapshot, train(work, snapshot, VALID))
    assert caught.value.gate == "evaluation"


def test_a_regression_that_is_worse_than_the_champion_fails(
    made: Laboratory, spoiled: Callable[..., tuple[Work, Snapshot]], tmp_path: Path
) -> None:
    import skops.io

    if not numbers(made.store, "progression"):
        run(made, "progression", FIRST_UNTIL, "none")
    shutil.copytree(made.store, tmp_path, dirs_exist_ok=True)
    work, snapshot = spoiled("progression")
    trained = train(work, snapshot, VALID)
    model = skops.io.load(work.file(trained.model))
    model[-1].intercept_ += 25
    skops.io.dump(model, work.file(trained.model))
    with pytest.raises(GateFailed, match="against champion 1") as caught:
        evaluate(replace(work, champion=1), snapshot, trained)
    assert "the whole interval below 5" in str(caught.value)


def test_what_a_text_model_gets_is_what_users_send(tables: dict[str, tuple[Path, Model, Rows]]) -> None:
    """The texts that it learns from pass the check that a server makes of a request."""
    import re

    from serving.body import TEXT

    _, model, frame = tables["docs-router"]
    assert all(re.search(TEXT, text) for text in frame["text"])
    assert np.isin(frame["part"].unique(), model.output.labels).all()
