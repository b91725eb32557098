"""Tests of the training code, and of what the trained model must be able to do. The pipeline runs them before a release exists."""

from __future__ import annotations

import csv
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent
BMI, PRESSURE, LOG_TRIGLYCERIDES = 2, 3, 8


def load_train() -> Any:
    spec = importlib.util.spec_from_file_location("progression_train", FOLDER / "train.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    found = []
    for path in sorted((FOLDER / "data" / "batches").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += list(csv.reader(file))[1:]
    cells = np.array(found, dtype="float64")
    return cells[:, :-1], cells[:, -1]


@pytest.fixture(scope="module")
def model() -> Any:
    """The trained model under test; outside of a pipeline run, one that is fitted here."""
    trained = os.environ.get("MLDELIVERY_MODEL")
    if trained:
        import skops.io

        return skops.io.load(trained)
    return load_train().estimator({"alpha": 10.0}, 7).fit(*rows())


@pytest.fixture(scope="module")
def patient() -> np.ndarray[Any, Any]:
    """The middle of all patients."""
    middle: np.ndarray[Any, Any] = np.median(rows()[0], axis=0)
    return middle


def test_the_estimator_takes_its_parameters() -> None:
    made = load_train().estimator({"alpha": 0.25}, 3)
    assert (made[-1].get_params()["alpha"], made[-1].get_params()["random_state"]) == (0.25, 3)


def test_the_same_seed_gives_the_same_model() -> None:
    first, second = (load_train().estimator({"alpha": 10.0}, 7).fit(*rows()) for _ in range(2))
    assert np.array_equal(first.predict(rows()[0]), second.predict(rows()[0]))


def test_a_middling_patient_gets_a_middling_answer(model: Any, patient: np.ndarray[Any, Any]) -> None:
    assert 100 < model.predict([patient])[0] < 200


@pytest.mark.parametrize(("column", "step"), [(BMI, 5.0), (PRESSURE, 15.0), (LOG_TRIGLYCERIDES, 0.7)])
def test_what_is_known_to_be_worse_is_never_better(model: Any, patient: np.ndarray[Any, Any], column: int, step: float) -> None:
    worse = patient + np.outer(np.arange(4), np.eye(10)[column] * step)
    assert (np.diff(model.predict(worse)) > 0).all()


def test_a_small_error_of_measurement_moves_the_answer_little(model: Any, patient: np.ndarray[Any, Any]) -> None:
    nearby = patient + np.eye(10) * 0.01
    assert abs(model.predict(nearby) - model.predict([patient])).max() < 2
