"""Tests of the training code, and of what the trained model must be able to do. The pipeline runs them before a release exists."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent


def load_train() -> Any:
    spec = importlib.util.spec_from_file_location("iris_train", FOLDER / "train.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    batches = sorted((FOLDER / "data" / "batches").glob("*.csv"))
    cells = [line.split(",") for path in batches for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return np.array([line[:4] for line in cells], dtype="float64"), np.array([line[4] for line in cells])


@pytest.fixture(scope="module")
def model() -> Any:
    """The trained model under test; outside of a pipeline run, one that is fitted here."""
    trained = os.environ.get("MLDELIVERY_MODEL")
    if trained:
        import skops.io

        return skops.io.load(trained)
    return load_train().estimator({"C": 1.0, "max-iterations": 1000}, 7).fit(*rows())


def test_the_estimator_takes_its_parameters() -> None:
    made = load_train().estimator({"C": 0.25, "max-iterations": 50}, 3)
    assert made[-1].get_params()["C"] == 0.25
    assert made[-1].get_params()["max_iter"] == 50
    assert made[-1].get_params()["random_state"] == 3


def test_the_same_seed_gives_the_same_model() -> None:
    first, second = (load_train().estimator({"C": 1.0, "max-iterations": 1000}, 7).fit(*rows()) for _ in range(2))
    assert np.array_equal(first.predict_proba(rows()[0]), second.predict_proba(rows()[0]))


@pytest.mark.parametrize(
    ("flower", "species"),
    [([5.0, 3.4, 1.5, 0.2], "setosa"), ([5.9, 2.8, 4.3, 1.3], "versicolor"), ([6.6, 3.0, 5.6, 2.0], "virginica")],
)
def test_knows_the_typical_flower_of_each_species(model: Any, flower: list[float], species: str) -> None:
    assert model.predict([flower]) == [species]


def test_a_small_error_of_measurement_does_not_change_a_typical_answer(model: Any) -> None:
    flower = np.array([5.0, 3.4, 1.5, 0.2])
    nearby = flower + np.array([[0.1, 0, 0, 0], [0, -0.1, 0, 0], [0, 0, 0.1, 0], [0, 0, 0, 0.1]])
    assert set(model.predict(nearby)) == {"setosa"}


def test_longer_petals_never_look_more_like_setosa(model: Any) -> None:
    lengths = np.linspace(1.0, 6.0, 11)
    flowers = np.column_stack([np.full(11, 5.8), np.full(11, 3.0), lengths, np.full(11, 1.2)])
    chance = model.predict_proba(flowers)[:, list(model.classes_).index("setosa")]
    assert (np.diff(chance) <= 1e-9).all()
