"""A search over parameters: the same seed gives the same trials and the same best, judged on rows to learn from alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipelines import rows
from pipelines.artifacts import Snapshot, Validation
from pipelines.failures import StepFailed
from pipelines.model import Model
from pipelines.search import Found, draw, search
from pipelines.train import train
from pipelines.work import Work

Iris = Callable[..., tuple[Work, Snapshot]]
VALID = Validation(expectations=1, report="", page="", page_digest="")
TRAIN = """from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def estimator(parameters, seed):
{before}
    return make_pipeline(StandardScaler(), LogisticRegression(C=parameters["C"], max_iter=500, random_state=seed))
"""
SPACE = {"C": {"min": 0.0001, "max": 100, "scale": "log"}}


def asked(**changes: Any) -> dict[str, Any]:
    made = {"trials": 5, "metric": "log-loss", "time-limit-seconds": 60, "space": SPACE}
    return made | {name.replace("_", "-"): value for name, value in changes.items()}


def model(work: Callable[..., Work], **changes: Any) -> Model:
    return work(**{"training.parameters": {"C": 1.0, "depth": 3, "kind": "a"}, "search": asked(**changes)}).model


def prepared(iris: Iris, before: str = "    pass", *, given: float = 1.0, **changes: Any) -> tuple[Work, Snapshot]:
    """A Work whose train.py runs some lines before it makes its estimator."""
    work, snapshot = iris(**{"training.parameters": {"C": given}, "search": asked(**changes)})
    (work.folder / "train.py").write_text(TRAIN.format(before=before))
    return work, snapshot


def run(work: Work, snapshot: Snapshot) -> Found:
    return search(work, rows.part(rows.read(work.file(snapshot.path)), held_out=False))


# which trials


def test_the_first_trial_has_the_parameters_of_model_yaml_and_the_seed_gives_the_others(work: Callable[..., Work]) -> None:
    first, *others = draw(model(work))
    assert first == {"C": 1.0, "depth": 3, "kind": "a"}
    assert len(others) == 4
    assert draw(model(work)) == [first, *others]
    assert draw(model(work, seed=7)) == [first, *others]
    assert draw(model(work, seed=8))[1:] != others


def test_trials_stay_in_their_space_and_hold_plain_values(work: Callable[..., Work]) -> None:
    space = {**SPACE, "depth": {"type": "int", "min": 1, "max": 4}, "kind": {"choices": ["a", None, True]}}
    found = draw(model(work, trials=200, space=space))[1:]
    assert all(0.0001 <= each["C"] <= 100 for each in found)  # type: ignore[operator]
    assert {each["depth"] for each in found} == {1, 2, 3, 4}
    assert {each["kind"] for each in found} == {"a", None, True}
    assert {type(each["C"]) for each in found} == {float}
    assert {type(each["depth"]) for each in found} == {int}
    small = sum(each["C"] < 0.1 for each in found)  # type: ignore[operator]
    assert 80 < small < 120, "half of the orders of magnitude are below 0.1"


def test_a_space_of_fewer_choices_is_tried_as_a_whole_each_once(work: Callable[..., Work]) -> None:
    found = draw(model(work, trials=50, space={"depth": {"choices": [2, 3]}, "kind": {"choices": ["a", "b"]}}))
    assert len(found) == 4
    assert found[0] == {"C": 1.0, "depth": 3, "kind": "a"}


# which is best


def test_the_best_trial_trains_the_model_and_the_same_seed_gives_the_same_model(iris: Iris) -> None:
    work, snapshot = prepared(iris, given=0.0001)
    trained, again = train(work, snapshot, VALID), train(work, snapshot, VALID)
    assert (trained.parameters, trained.search) == (again.parameters, again.search)
    assert trained.search is not None
    trials = json.loads((work.output / "trials.json").read_bytes())
    best = min(trials, key=lambda each: each["value"])
    assert (trained.parameters, trained.search.value) == (best["parameters"], best["value"])
    assert trained.search.given == trials[0]["value"] > 1
    assert trained.search.value < 0.5


def test_what_is_better_the_higher_it_is_is_maximised_and_the_first_of_equals_wins(iris: Iris) -> None:
    found = run(*prepared(iris, metric="accuracy", space={"C": {"choices": [0.0001, 1.0, 1.1]}}))
    assert found.best.number == 1
    assert found.searched.value > 0.9


def test_the_holdout_is_never_looked_at(iris: Iris) -> None:
    work, snapshot = prepared(iris)
    honest = train(work, snapshot, VALID)
    frame = rows.read(work.file(snapshot.path))
    frame.loc[frame[rows.HOLDOUT], list(work.model.inputs)] = float("nan")
    frame.to_parquet(work.store / "blind.parquet")
    blind = train(work, replace(snapshot, path="blind.parquet"), VALID)
    assert (blind.parameters, blind.search) == (honest.parameters, honest.search)


def test_rows_of_the_same_inputs_are_never_on_both_sides_of_a_trial(iris: Iris) -> None:
    """Rows whose label is drawn by lot, each twice: who has seen the other copy knows it by heart."""
    work, snapshot = iris(
        **{"training.parameters": {"depth": 30}, "search": asked(metric="accuracy", space={"depth": {"choices": [29, 30]}})}
    )
    (work.folder / "train.py").write_text(
        "from sklearn.tree import DecisionTreeClassifier\n\n\ndef estimator(parameters, seed):\n"
        "    return DecisionTreeClassifier(max_depth=parameters['depth'], random_state=seed)\n"
    )
    frame = rows.part(rows.read(work.file(snapshot.path)), held_out=False).drop_duplicates(rows.ROW).head(60)
    frame["species"] = [work.model.output.labels[int(each[:8], 16) % 3] for each in frame[rows.ROW]]
    import pandas

    assert search(work, pandas.concat([frame, frame], ignore_index=True)).searched.value < 0.7


# what goes wrong


def test_a_trial_that_raises_is_named_with_its_parameters_and_the_line(iris: Iris) -> None:
    work, snapshot = prepared(
        iris, "    if parameters['C'] == 3.0:\n        raise ValueError('too much')", space={"C": {"choices": [1.0, 3.0]}}
    )
    with pytest.raises(StepFailed, match="trial 2 of 2 raised ValueError: too much") as caught:
        run(work, snapshot)
    assert "models/iris/train.py:8" in caught.value.where
    assert "{'C': 3.0}" in str(caught.value)
    assert "search.space in model.yaml" in str(caught.value)


def test_a_parameter_that_train_py_does_not_take_is_named_with_the_trial(iris: Iris) -> None:
    work, snapshot = iris(**{"training.parameters": {"c": 1.0}, "search": asked(space={"c": SPACE["C"]})})
    (work.folder / "train.py").write_text(TRAIN.format(before="    pass"))
    with pytest.raises(StepFailed, match="trial 1 of 5 raised KeyError: 'C'"):
        run(work, snapshot)


def test_a_trial_that_answers_nan_is_named(iris: Iris) -> None:
    work, snapshot = iris(**{"training.parameters": {"C": 1.0}, "search": asked(space={"C": {"choices": [1.0, 3.0]}})})
    (work.folder / "train.py").write_text(
        "import numpy\nfrom sklearn.linear_model import LogisticRegression\n\n\n"
        "class Broken(LogisticRegression):\n    def predict_proba(self, X):\n"
        "        return super().predict_proba(X) * (numpy.nan if self.C == 3.0 else 1)\n\n\n"
        "def estimator(parameters, seed):\n    return Broken(C=parameters['C'], max_iter=500)\n"
    )
    with pytest.raises(StepFailed, match=r'trial 2 of 2 \({"C": 3.0}\): the model\'s answers are no probabilities') as caught:
        run(work, snapshot)
    assert "rows with NaN" in str(caught.value)


def test_a_trial_that_gives_no_estimator_is_named(iris: Iris) -> None:
    work, snapshot = prepared(iris, "    if parameters['C'] == 3.0:\n        return None", space={"C": {"choices": [1.0, 3.0]}})
    with pytest.raises(StepFailed, match=r'trial 2 of 2 \({"C": 3.0}\) gives no estimator for kind tabular'):
        run(work, snapshot)


def test_a_search_that_does_not_end_in_its_time_gives_nothing(iris: Iris) -> None:
    slow = "    import time\n    time.sleep(1 if parameters['C'] == 3.0 else 0)"
    work, snapshot = prepared(iris, slow, time_limit_seconds=2.0, space={"C": {"choices": [1.0, 3.0]}})
    with pytest.raises(StepFailed, match=r'the time was up with 1 of 2 trials done, in trial 2 \({"C": 3.0}\)') as caught:
        run(work, snapshot)
    assert "search.time-limit-seconds" in caught.value.where
    assert "more than 2 s" in str(caught.value)
    assert not (work.output / "trials.json").exists()


def test_fewer_rows_than_folds_are_refused(iris: Iris) -> None:
    work, snapshot = prepared(iris, folds=20)
    frame = rows.part(rows.read(work.file(snapshot.path)), held_out=False).head(10)
    with pytest.raises(StepFailed, match="fewer rows to learn from than folds") as caught:
        search(work, frame)
    assert "search.folds" in caught.value.where
    assert "at least 20" in str(caught.value)
