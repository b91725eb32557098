"""Each gate has a bad example that fails it. (``data`` and ``service`` need the real tools: see tests/pipelines.)"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from infra import release
from pipelines import evaluate as evaluation
from pipelines import rows
from pipelines.artifacts import Comparison, Interval, Snapshot, Trained
from pipelines.evaluate import check_thresholds, evaluate
from pipelines.export import export
from pipelines.failures import GateFailed, StepFailed
from pipelines.golden import as_lines, choose
from pipelines.interface import check_interface, of_model
from pipelines.kinds import KINDS
from pipelines.kinds.classes import predict as open_estimator
from pipelines.kinds.numbers import corners
from pipelines.package import check_answers
from pipelines.test import run_tests
from pipelines.train import load, train
from pipelines.work import Work

ROOT = Path(__file__).resolve().parents[3]
Make = Callable[..., Work]


def fitted(work: Work, snapshot: Snapshot, estimator: Any) -> Trained:
    import skops.io

    frame = rows.part(rows.read(work.file(snapshot.path)), held_out=False)
    estimator.fit(rows.features(frame, list(work.model.inputs)), frame["species"].to_numpy(dtype=str))
    skops.io.dump(estimator, work.store / "model.skops")
    return Trained(model="model.skops", digest="", rows=len(frame), log="", parameters={})


# evaluation


def test_a_good_model_passes_with_intervals(iris: Callable[..., tuple[Work, Snapshot]]) -> None:
    work, snapshot = iris()
    found = evaluate(work, snapshot, fitted(work, snapshot, LogisticRegression(max_iter=500)))
    assert found.metrics["accuracy"].value > 0.85
    assert found.metrics["accuracy"].low <= found.metrics["accuracy"].value <= found.metrics["accuracy"].high
    assert found.comparison is None


def test_a_model_that_is_too_bad_fails_evaluation(iris: Callable[..., tuple[Work, Snapshot]]) -> None:
    work, snapshot = iris()
    with pytest.raises(GateFailed, match="accuracy is too low") as caught:
        evaluate(work, snapshot, fitted(work, snapshot, DecisionTreeClassifier(max_depth=1)))
    assert caught.value.gate == "evaluation"
    assert "allowed: accuracy >= 0.85" in str(caught.value)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"accuracy": 0.84, "macro-f1": 0.9, "log-loss": 0.1}, "accuracy is too low"),
        ({"accuracy": 0.9, "macro-f1": 0.84, "log-loss": 0.1}, "macro-f1 is too low"),
        ({"accuracy": 0.9, "macro-f1": 0.9, "log-loss": 0.51}, "log-loss is too high"),
        ({"accuracy": float("nan"), "macro-f1": 0.9, "log-loss": 0.1}, "accuracy is too low"),
        ({"accuracy": 0.9, "macro-f1": 0.9, "log-loss": float("nan")}, "log-loss is too high"),
    ],
)
def test_each_threshold_holds(work: Make, metrics: dict[str, float], words: str) -> None:
    with pytest.raises(GateFailed, match=words):
        check_thresholds(work(), {name: Interval(value=value, low=value, high=value) for name, value in metrics.items()})


def test_a_value_that_misses_its_threshold_by_little_is_shown_to_miss_it(work: Make) -> None:
    """0.850 [0.850, 0.850] is no answer to what is wrong with 0.85."""
    nearly = Interval(value=0.84962, low=0.8, high=0.9)
    with pytest.raises(GateFailed, match="accuracy is too low") as caught:
        check_thresholds(work(), {"accuracy": nearly, "macro-f1": nearly, "log-loss": nearly})
    assert "0.8496 [0.8000, 0.9000]" in str(caught.value)
    close = Comparison(
        champion=1,
        metric="accuracy",
        difference=Interval(value=-0.05, low=-0.10004, high=0.2),
        margin=0.1,
        rows=50,
        verdict="not enough evidence",
    )
    with pytest.raises(GateFailed) as caught:
        evaluation._decide(work(), close)
    assert "-0.05000 [-0.10004, 0.20000]" in str(caught.value)


@pytest.mark.parametrize("bad", [[np.nan, 0.5, 0.5], [np.inf, 0, 0], [0.5, 0.5, 0.5], [1.5, -0.5, 0.0]])
def test_answers_that_are_no_probabilities_fail_evaluation(iris: Callable[..., tuple[Work, Snapshot]], bad: list[float]) -> None:
    work, snapshot = iris()
    holdout = rows.part(rows.read(work.file(snapshot.path)), held_out=True)

    def predict(inputs: Any) -> Any:
        given = np.full((len(inputs), 3), 1 / 3)
        given[4] = bad
        return given

    with pytest.raises(GateFailed, match="no probabilities"):
        evaluation._answers(work, predict, ["setosa", "versicolor", "virginica"], holdout)


def test_a_leak_fails_evaluation(iris: Callable[..., tuple[Work, Snapshot]]) -> None:
    work, snapshot = iris()
    frame = rows.read(work.file(snapshot.path))
    copied = frame[frame[rows.HOLDOUT]].head(1).assign(**{rows.HOLDOUT: False})
    pandas.concat([frame, copied]).to_parquet(work.file(snapshot.path))
    with pytest.raises(GateFailed, match="was trained on rows of the holdout"):
        evaluate(work, snapshot, fitted(work, snapshot, LogisticRegression(max_iter=500)))


def compared(verdict: str) -> Comparison:
    return Comparison(champion=1, metric="accuracy", difference=Interval(value=0, low=-0.2, high=0.2), margin=0.1, rows=50, verdict=verdict)


@pytest.mark.parametrize("verdict", ["fail", "not enough evidence"])
def test_a_verdict_that_is_no_pass_fails_evaluation(work: Make, verdict: str) -> None:
    with pytest.raises(GateFailed, match=f"against champion 1: {verdict}") as caught:
        evaluation._decide(work(), compared(verdict))
    assert "0.200]" in str(caught.value)


def test_too_little_evidence_passes_only_with_a_reason_and_a_fail_never(work: Make) -> None:
    allowing = work(**{"gates.comparison.insufficient-evidence": "allow", "gates.comparison.allowed-because": "a pilot"})
    assert evaluation._decide(allowing, compared("not enough evidence")) == "a pilot"
    assert evaluation._decide(allowing, compared("pass")) is None
    with pytest.raises(GateFailed):
        evaluation._decide(allowing, compared("fail"))


# oracle, golden


def packaged(work: Work, estimator: Any, chosen: list[list[float]]) -> Path:
    folder = work.store / "release"
    folder.mkdir(exist_ok=True)
    saved = work.store / "model.skops"
    probes = np.array(chosen)
    exported = export(estimator, saved, folder, kind=KINDS["tabular"], probes=probes, tolerance=work.model.tolerance)
    about = {**of_model(work.model), "runtime": exported.runtime}
    (folder / "release.json").write_text(json.dumps(about))
    (folder / "golden.jsonl").write_bytes(as_lines(work.model, chosen, exported.predict(probes)))
    return folder


@pytest.fixture
def ready(iris: Callable[..., tuple[Work, Snapshot]]) -> Iterator[tuple[Work, Any, list[list[float]], Path]]:
    work, snapshot = iris()
    trained = fitted(work, snapshot, LogisticRegression(max_iter=500))
    estimator = load(work.file(trained.model), [])
    holdout = rows.features(rows.part(rows.read(work.file(snapshot.path)), held_out=True), list(work.model.inputs))
    chosen = choose(work.model, holdout, open_estimator(estimator))
    yield work, estimator, chosen, packaged(work, estimator, chosen)


Ready = tuple[Work, Any, list[list[float]], Path]


def test_a_package_that_answers_like_scikit_learn_passes(ready: Ready) -> None:
    work, estimator, chosen, folder = ready
    check_answers(work, folder, chosen, open_estimator(estimator))
    assert (folder / "model.onnx").is_file()


def test_golden_requests_hold_corners_and_clear_answers_only(ready: Ready) -> None:
    work, estimator, chosen, folder = ready
    assert len(chosen) == 40 == len((folder / "golden.jsonl").read_bytes().splitlines()) - 1
    assert [0.1, 0.1, 0.1, 0.1] in chosen
    assert [30.0, 30.0, 30.0, 30.0] in chosen
    assert set(estimator.predict(chosen)) == {"setosa", "versicolor", "virginica"}
    ordered = np.sort(estimator.predict_proba(chosen), axis=1)
    assert (ordered[:, -1] - ordered[:, -2] >= 1e-3).all()
    assert len(corners(work.model, np.array([]))) == 16


def test_a_package_that_answers_otherwise_fails_the_oracle(ready: Ready) -> None:
    work, estimator, chosen, folder = ready
    with pytest.raises(GateFailed) as caught:
        check_answers(work, folder, chosen, lambda inputs: estimator.predict_proba(inputs)[:, ::-1])
    assert caught.value.gate == "oracle"
    with pytest.raises(GateFailed) as caught:
        check_answers(work, folder, chosen, lambda inputs: estimator.predict_proba(inputs) + 2e-5)
    assert caught.value.gate == "oracle"


def test_an_answer_that_is_not_the_recorded_one_fails_golden(ready: Ready) -> None:
    work, estimator, chosen, folder = ready
    lines = [json.loads(line) for line in (folder / "golden.jsonl").read_bytes().splitlines()]
    lines[3]["response"]["predictions"][0]["probabilities"]["setosa"] += 1e-3
    (folder / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(GateFailed, match="does not repeat") as caught:
        check_answers(work, folder, chosen, open_estimator(estimator))
    assert caught.value.gate == "golden"


def test_too_few_clear_answers_fail_golden(ready: Ready) -> None:
    work, estimator, chosen, folder = ready
    with pytest.raises(GateFailed, match="too few golden requests") as caught:
        check_answers(work, folder, chosen[:39], open_estimator(estimator))
    assert caught.value.gate == "golden"


def test_near_ties_are_no_golden_requests(work: Make) -> None:
    holdout = np.arange(400.0).reshape(100, 4) / 40

    def undecided(inputs: Any) -> Any:
        given = np.tile([0.5, 0.4999, 0.0001], (len(inputs), 1))
        given[inputs[:, 0] > 5] = [0.2, 0.7, 0.1]
        return given

    chosen = choose(work().model, holdout, undecided)
    assert chosen
    assert all(row[0] > 5 for row in chosen)


class _Odd(LogisticRegression):  # type: ignore[misc]
    """Has no ONNX form: converters know its parent only."""


def test_without_an_onnx_form_skops_serves_and_the_reason_is_kept(iris: Callable[..., tuple[Work, Snapshot]], tmp_path: Path) -> None:
    work, snapshot = iris()
    fitted(work, snapshot, LogisticRegression(max_iter=500))
    frame = rows.read(work.file(snapshot.path))
    inputs = rows.features(frame, list(work.model.inputs))
    odd = _Odd(max_iter=500).fit(inputs, frame["species"].to_numpy(dtype=str))
    found = export(odd, work.store / "model.skops", tmp_path, kind=KINDS["tabular"], probes=inputs, tolerance=1e-5)
    assert found.runtime == "skops"
    assert found.because is not None and "no ONNX form" in found.because
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["model.skops"]


def test_when_onnx_differs_skops_serves_and_says_by_how_much(
    iris: Callable[..., tuple[Work, Snapshot]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, snapshot = iris()
    fitted(work, snapshot, LogisticRegression(max_iter=500))
    frame = rows.read(work.file(snapshot.path))
    inputs = rows.features(frame, list(work.model.inputs))
    model = LogisticRegression(max_iter=500).fit(inputs, frame["species"].to_numpy(dtype=str))
    honest = open_estimator(model)
    monkeypatch.setattr("pipelines.export.open_onnx", lambda _: lambda inputs: honest(inputs) + 1e-4)
    found = export(model, work.store / "model.skops", tmp_path, kind=KINDS["tabular"], probes=inputs, tolerance=1e-5)
    assert found.runtime == "skops"
    assert found.because is not None and "differs from scikit-learn by 0.0001" in found.because


# training-tests


def test_failing_missing_or_broken_model_tests_fail_their_gate(iris: Callable[..., tuple[Work, Snapshot]]) -> None:
    work, snapshot = iris()
    trained = fitted(work, snapshot, LogisticRegression(max_iter=500))
    with pytest.raises(GateFailed, match="there are no tests") as caught:
        run_tests(work, snapshot, trained)
    assert caught.value.gate == "training-tests"
    tests = work.folder / "tests"
    tests.mkdir()
    (tests / "test_model.py").write_text("def test_it_can():\n    pass\n\n\ndef test_it_knows():\n    assert 1 == 2\n")
    with pytest.raises(GateFailed, match="test_it_knows: assert 1 == 2") as caught:
        run_tests(work, snapshot, trained)
    assert "1 failed, 1 passed" in str(caught.value)
    (tests / "test_broken.py").write_text("import no_such_thing\n")
    with pytest.raises(GateFailed, match="no_such_thing"):
        run_tests(work, snapshot, trained)


# interface


def test_a_narrowed_input_fails_the_interface(work: Make) -> None:
    made = work(champion=1, **{"inputs.petal_width_cm.max": 5})
    write_champion(made, work().model)
    with pytest.raises(GateFailed, match="consumers of release 1 would break") as caught:
        check_interface(made)
    assert caught.value.gate == "interface"
    assert "input 'petal_width_cm' took 0.1 to 30.0, takes 0.1 to 5.0" in str(caught.value)


def test_inputs_in_another_order_fail_the_interface(work: Make) -> None:
    made = work(champion=1)
    model = work().model
    write_champion(made, model.model_copy(update={"inputs": dict(reversed(model.inputs.items()))}))
    with pytest.raises(GateFailed, match="the inputs stand in another order than in release 1"):
        check_interface(made)


def test_a_widened_input_passes(work: Make) -> None:
    made = work(champion=1, **{"inputs.petal_width_cm.max": 50})
    write_champion(made, work().model)
    assert check_interface(made).compared_with == 1


def write_champion(made: Work, model: Any) -> None:
    source = made.store / "bentos/iris/1/src"
    (source / "release").mkdir(parents=True)
    (source / "release" / "release.json").write_text(json.dumps(of_model(model)))
    nothing = "sha256:" + "0" * 64
    point = {"value": 1.0, "low": 1.0, "high": 1.0}
    release.write(
        made.store,
        {
            "format": 1,
            "model": "iris",
            "release": 1,
            "created": "2026-11-24T00:00:00Z",
            "reason": "a test",
            "owner": "tests",
            "commit": {"sha": "none", "dirty": True},
            "code": nothing,
            "environment": nothing,
            "snapshot": {"digest": nothing, "rows": 1, "first": "a", "last": "b"},
            "parameters": {},
            "metrics": {"accuracy": point},
            "comparison": None,
            "gates": {"data": "pass"},
            "runtime": "onnx",
            "golden": {"count": 1, "digest": nothing},
            "bento": {"path": "bentos/iris/1/src", "digest": release.tree_digest(source)},
            "image": None,
            "interface": nothing,
            "tracking": None,
        },
    )


# train


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, "is missing"),
        ("x = 1\n", "no function 'estimator'"),
        ("def estimator(parameters, seed):\n    return 3\n", "got:     'int'"),
    ],
)
def test_training_code_that_gives_no_classifier_is_refused(
    iris: Callable[..., tuple[Work, Snapshot]], code: str | None, words: str
) -> None:
    from pipelines.artifacts import Validation

    work, snapshot = iris()
    if code is not None:
        (work.folder / "train.py").write_text(code)
    with pytest.raises(StepFailed, match=r"models/iris/train\.py") as caught:
        train(work, snapshot, Validation(expectations=1, report="", page="", page_digest=""))
    assert words in str(caught.value)


def test_a_saved_model_with_types_that_nobody_trusts_is_refused(iris: Callable[..., tuple[Work, Snapshot]]) -> None:
    work, snapshot = iris()
    fitted(work, snapshot, _Odd(max_iter=500))
    with pytest.raises(StepFailed, match="nobody has said to trust"):
        load(work.store / "model.skops", [])
