"""Kinds of models: what model.yaml may say of each, their metrics, golden requests, interface, and what serves them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from infra.errors import ConfigError
from pipelines.artifacts import Interval
from pipelines.bootstrap import Answers, difference, interval, judge, measure
from pipelines.export import export
from pipelines.failures import GateFailed
from pipelines.golden import as_lines, choose
from pipelines.interface import breaks, of_model
from pipelines.kinds import KINDS, classes, of, texts, values
from pipelines.model import TAKES_AND_GIVES, Model, folder_of, name_of, read
from pipelines.package import check_answers
from serving import kinds as served
from serving import release_file

ROOT = Path(__file__).resolve().parents[3]
TEXT = {"inputs": {"text": {"type": "text", "min": 3, "max": 200}}, "kind": "text"}
VALUE = {"kind": "regression", "output": {"type": "value", "column": "width", "min": 0, "max": 300}}
VALUE_GATES = {"gates": {"minimum": {"r2": 0.3}, "comparison": {"metric": "mae", "margin": 1}}}


def test_pipelines_and_servers_know_the_same_kinds() -> None:
    assert {name: (types, output) for name, (types, output) in TAKES_AND_GIVES.items()} == release_file.TAKES_AND_GIVES
    assert set(KINDS) == set(served.KINDS) == set(TAKES_AND_GIVES)


def test_a_folder_is_the_name_with_underscores() -> None:
    assert folder_of(ROOT / "models", "docs-router").name == "docs_router"
    assert name_of(ROOT / "models" / "docs_router") == "docs-router"


# model.yaml


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "image"}, "'tabular', 'text' or 'regression'"),
        ({"kind": "text"}, "kind text takes inputs of type text, not float"),
        ({"kind": "regression"}, "kind regression gives an output of type value, not class"),
        ({"inputs": TEXT["inputs"]}, "kind tabular takes inputs of type float or int, not text"),
        (
            {**TEXT, "inputs": {"a": {"type": "text", "min": 1, "max": 9}, "b": {"type": "text", "min": 1, "max": 9}}},
            "takes one input, not 2",
        ),
        ({**TEXT, "inputs": {"a": {"type": "text", "min": 0, "max": 9}}}, "the length of a text is a whole number from 1 on"),
        ({**TEXT, "inputs": {"a": {"type": "text", "min": 1.5, "max": 9}}}, "the length of a text is a whole number from 1 on"),
        ({"inputs.petal_width_cm.maximum-duplicates": 0.1}, "maximum-duplicates is for texts only"),
        ({**VALUE}, "gates of kind regression hold mae, rmse, r2, not accuracy, log-loss, macro-f1"),
        ({"gates.minimum": {"r2": 0.5}}, "gates of kind tabular hold accuracy, macro-f1, log-loss, not r2"),
        ({"output": {"type": "class", "column": "species"}}, "a class has labels"),
        ({"output.min": 0}, "a class has labels, and neither min"),
        ({**VALUE, **VALUE_GATES, "output": {"type": "value", "column": "w"}}, "a value has min and max"),
        ({**VALUE, **VALUE_GATES, "output": {"type": "value", "column": "w", "min": 1, "max": 1}}, "a value has min and max"),
        ({"tolerance": 0.02}, "tolerance is at most 0.01, not 0.02"),
        ({**VALUE, **VALUE_GATES, "tolerance": 4}, "tolerance is at most 3, not 4"),
    ],
)
def test_what_does_not_fit_a_kind_is_refused(model_folder: Callable[..., Path], changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=r"models/iris/model\.yaml") as caught:
        read(model_folder(**changes))
    assert words in str(caught.value)


def test_the_tolerance_follows_from_what_answers_can_be(model_folder: Callable[..., Path]) -> None:
    assert read(model_folder()).tolerance == 1e-5
    assert read(model_folder(**VALUE, **VALUE_GATES)).tolerance == pytest.approx(3e-3)


# metrics


def estimates(error: float = 5.0, seed: int = 0) -> Answers:
    truth = np.random.default_rng(1).normal(100, 20, size=80)
    predicted = truth + np.random.default_rng(seed).normal(0, error, size=80)
    return Answers(truth=truth, predicted=predicted, probabilities=np.zeros((80, 0)))


def test_metrics_of_values_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    found, ones = estimates(), np.ones((1, 80))
    for metric, expected in (("mae", mean_absolute_error), ("rmse", root_mean_squared_error), ("r2", r2_score)):
        assert measure(metric, found, ones)[0] == pytest.approx(expected(found.truth, found.predicted))


def test_weights_count_like_repeated_values() -> None:
    found = estimates()
    drawn = np.random.default_rng(3).integers(80, size=80)
    again = Answers(truth=found.truth[drawn], predicted=found.predicted[drawn], probabilities=np.zeros((80, 0)))
    weights = np.bincount(drawn, minlength=80).reshape(1, -1).astype(float)
    for metric in ("mae", "rmse", "r2"):
        assert measure(metric, found, weights)[0] == pytest.approx(measure(metric, again, np.ones((1, 80)))[0])


@pytest.mark.parametrize("metric", ["mae", "rmse", "r2"])
def test_the_interval_of_a_value_holds_it_and_repeats(metric: str) -> None:
    first, second = interval(metric, estimates(), 7), interval(metric, estimates(), 7)
    assert first == second
    assert first.low < first.value < first.high


def test_truths_that_are_all_the_same_give_no_r2() -> None:
    same = Answers(truth=np.full(30, 7.0), predicted=np.arange(30.0), probabilities=np.zeros((30, 0)))
    assert interval("r2", same, 7) == Interval(value=0.0, low=0.0, high=0.0)


@pytest.mark.parametrize(("metric", "margin"), [("mae", 1.0), ("rmse", 1.0), ("r2", 0.01)])
def test_a_worse_regression_fails_and_a_better_one_passes(metric: str, margin: float) -> None:
    good, bad = estimates(4.0), estimates(12.0, seed=2)
    there, back = difference(metric, bad, good, 7), difference(metric, good, bad, 7)
    assert judge(metric, there, margin=margin, rows=80, minimum_rows=30) == "fail"
    assert judge(metric, back, margin=margin, rows=80, minimum_rows=30) == "pass"
    assert judge(metric, difference(metric, estimates(4.0, seed=3), good, 7), margin=0.0001, rows=80, minimum_rows=30) != "pass"


@pytest.mark.parametrize("bad", [[[np.nan]], [[np.inf]], [1.0], [[1.0, 2.0]]])
def test_answers_that_are_no_values_are_said(bad: Any) -> None:
    wrong = values.wrong(np.array(bad), 1, [])
    assert wrong is not None and "no values" in wrong[0]
    assert values.wrong(np.array([[1.0]]), 1, []) is None


# what an estimator must be


def test_an_estimator_of_another_kind_is_refused() -> None:
    assert classes.lacks(LogisticRegression()) == "" == values.lacks(LinearRegression())
    assert "classifier" in classes.lacks(LinearRegression())
    assert "regressor" in values.lacks(LogisticRegression())
    assert "regressor" in values.lacks(3)


# golden requests and what serves


@pytest.fixture
def text_model(model_folder: Callable[..., Path]) -> Model:
    topics = {"output.labels": ["cooking", "weather"], "output.column": "topic"}
    return read(model_folder(**TEXT, **topics, golden=30))


LEARNED = [
    "boil the potatoes in salted water",
    "bake the bread until it is brown",
    "fry onions in butter",
    "rain is expected in the morning",
    "a storm comes with strong wind",
    "sunny and warm all week",
]


def of_topics(**options: Any) -> Any:
    vectors = TfidfVectorizer(**{"token_pattern": "[a-zA-Z]+", **options})
    return make_pipeline(vectors, LogisticRegression(C=100)).fit(LEARNED, ["cooking"] * 3 + ["weather"] * 3)


def asked(model: Model, estimator: Any) -> list[list[str]]:
    holdout = texts.of_rows([[f"{text} {number}"] for text in LEARNED for number in range(4)])
    return choose(model, holdout, classes.predict(estimator))


def test_golden_texts_hold_other_languages_lengths_and_variations(text_model: Model) -> None:
    chosen = [row[0] for row in asked(text_model, of_topics())]
    assert len(chosen) == len(set(chosen)) == 30
    assert any(not text.isascii() for text in chosen)
    assert "boil the potatoes in salted water 0".upper() in {text.upper() for text in chosen}
    assert max(len(text) for text in chosen) > 190
    assert all(3 <= len(text) <= 200 for text in chosen)
    lines = as_lines(text_model, [[text] for text in chosen], classes.predict(of_topics())(np.array(chosen, dtype="object")))
    first = json.loads(lines.splitlines()[0])
    assert first["request"] == {"rows": [{"text": chosen[0]}]}
    assert set(first["response"]["predictions"][0]["probabilities"]) == {"cooking", "weather"}


def package(model: Model, estimator: Any, chosen: list[list[Any]], folder: Path) -> Any:
    import skops.io

    folder.mkdir()
    skops.io.dump(estimator, folder.parent / "model.skops")
    probes = of(model).inputs.of_rows(chosen)
    exported = export(estimator, folder.parent / "model.skops", folder, kind=of(model), probes=probes, tolerance=model.tolerance)
    about = {**of_model(model), "kind": model.kind, "runtime": exported.runtime}
    (folder / "release.json").write_text(json.dumps(about))
    (folder / "golden.jsonl").write_bytes(as_lines(model, chosen, exported.predict(probes)))
    return exported


def test_a_text_model_that_onnx_answers_alike_is_served_by_it(text_model: Model, tmp_path: Path) -> None:
    exported = package(text_model, of_topics(), asked(text_model, of_topics()), tmp_path / "release")
    assert (exported.runtime, exported.because) == ("onnx", None)
    assert exported.difference < 1e-6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"token_pattern": "[a-zA-Z]+", "sublinear_tf": True}, "ONNX differs from scikit-learn by"),
        ({"token_pattern": r"(?u)\b\w\w+\b"}, "ONNX"),
        ({"analyzer": "char_wb", "ngram_range": (2, 3)}, "ONNX"),
    ],
)
def test_a_text_model_that_onnx_answers_otherwise_falls_back_and_says_so(
    text_model: Model, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    estimator = make_pipeline(TfidfVectorizer(**options), LogisticRegression(C=100))
    estimator.fit([*LEARNED, "the the the öl", "the naïve café"], ["cooking"] * 3 + ["weather"] * 3 + ["cooking", "weather"])
    exported = package(text_model, estimator, asked(text_model, estimator), tmp_path / "release")
    assert exported.runtime == "skops"
    assert exported.because is not None and words in exported.because


@pytest.fixture
def value_model(model_folder: Callable[..., Path]) -> Model:
    return read(model_folder(**VALUE, **VALUE_GATES))


@pytest.mark.parametrize("estimator", [LinearRegression(), RandomForestRegressor(10, random_state=0)], ids=["linear", "forest"])
def test_golden_values_are_spread_over_the_answers(value_model: Model, tmp_path: Path, estimator: Any, work: Callable[..., Any]) -> None:
    inputs = np.random.default_rng(0).uniform(0.1, 30, size=(300, 4)).astype("float32").astype("float64")
    estimator.fit(inputs, inputs @ [1.0, 2.0, 3.0, 4.0])
    chosen = choose(value_model, inputs, values.predict(estimator))
    assert len(chosen) == 40
    given = estimator.predict(np.array(chosen[16:]))
    counts, _ = np.histogram(given, np.quantile(estimator.predict(inputs), np.linspace(0, 1, 5)))
    assert counts.min() >= 3
    exported = package(value_model, estimator, chosen, tmp_path / "release")
    assert exported.runtime == "onnx"
    line = json.loads((tmp_path / "release" / "golden.jsonl").read_bytes().splitlines()[20])
    assert list(line["response"]["predictions"][0]) == ["value"]

    made = work(**VALUE, **VALUE_GATES)
    check_answers(made, tmp_path / "release", chosen, values.predict(estimator))
    with pytest.raises(GateFailed) as caught:
        check_answers(made, tmp_path / "release", chosen, lambda inputs: values.predict(estimator)(inputs) + 0.01)
    assert caught.value.gate == "oracle"
    lines = [json.loads(line) for line in (tmp_path / "release" / "golden.jsonl").read_bytes().splitlines()]
    lines[3]["response"]["predictions"][0]["value"] += 0.01
    (tmp_path / "release" / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(GateFailed, match="does not repeat") as caught:
        check_answers(made, tmp_path / "release", chosen, values.predict(estimator))
    assert caught.value.gate == "golden"


def test_a_value_that_onnx_gives_otherwise_falls_back_and_says_so(
    value_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = np.random.default_rng(0).uniform(0.1, 30, size=(60, 4))
    estimator = LinearRegression().fit(inputs, inputs.sum(axis=1))
    honest = values.predict(estimator)
    monkeypatch.setattr("pipelines.export.open_onnx", lambda _: lambda inputs: honest(inputs) + 0.5)
    exported = package(value_model, estimator, choose(value_model, inputs, honest), tmp_path / "release")
    assert exported.runtime == "skops"
    assert exported.because == "ONNX differs from scikit-learn by 0.5 in value, and in 0 of 40 answers"


# interface


def test_a_text_that_may_be_shorter_only_breaks_consumers() -> None:
    before = {"inputs": [{"name": "text", "type": "text", "min": 3, "max": 200}], "output": {"type": "class", "labels": ["a", "b"]}}
    after = {**before, "inputs": [{"name": "text", "type": "text", "min": 3, "max": 100}]}
    assert breaks(before, after) == ["input 'text' took 3 to 200, takes 3 to 100"]
    assert breaks(after, before) == []


def test_another_unit_breaks_consumers() -> None:
    before: dict[str, Any] = {"inputs": [], "output": {"type": "value", "unit": "cm"}}
    assert breaks(before, {"inputs": [], "output": {"type": "value", "unit": "mm"}}) == ["the output was in 'cm', is in 'mm'"]
    assert breaks(before, before) == []


@pytest.mark.parametrize("name", ["iris", "docs-router", "progression"])
def test_what_a_pipeline_writes_a_server_reads(name: str, tmp_path: Path) -> None:
    model = read(folder_of(ROOT / "models", name))
    about = {"format": 1, "model": name, "release": 1, "kind": model.kind, **of_model(model)}
    about |= {"runtime": "onnx", "tolerance": model.tolerance, "max-rows": model.maximum_rows}
    (tmp_path / "release.json").write_text(json.dumps(about))
    assert release_file.load(tmp_path).kind == model.kind
