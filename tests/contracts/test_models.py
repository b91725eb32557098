"""Every folder of models/ has what the pipeline needs, and so has a new one; each rule is seen to fail on a folder that lacks one thing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from pipelines.new_model import kinds, make, own_lines
from tests.contracts.models import lacks
from toolchain import ROOT

MODELS = sorted(path.parent for path in (ROOT / "models").glob("*/model.yaml"))
OWN_LINES = 30


@pytest.fixture(scope="module", params=kinds())
def new(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new model of each kind, as the command makes it."""
    return make(tmp_path_factory.mktemp(request.param), "churn-rate", request.param, today=date(2026, 11, 24))


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_a_model_lacks_nothing(folder: Path) -> None:
    assert lacks(folder) == []


def test_a_new_model_lacks_nothing_and_leaves_few_lines_to_write(new: Path) -> None:
    assert lacks(new) == []
    assert 5 <= len(own_lines(new)) <= OWN_LINES
    assert new.name == "churn_rate"


def _without(file: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / file
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def _with(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = next(folder.glob(file))
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without("model.yaml"), "there is no such model"),
        (_with("model.yaml", "owner:", "ovner:"), "unknown key 'ovner'"),
        (_without("train.py"), "train.py: write a function estimator(parameters, seed)"),
        (_with("train.py", "def estimator(", "def make("), "train.py: write a function estimator(parameters, seed)"),
        (_with("train.py", ", seed: int)", ")"), "train.py: estimator takes two arguments"),
        (_without("tests"), "tests/test_churn_rate.py: write a test"),
        (_with("tests/*.py", "def test_", "def check_"), "tests/test_churn_rate.py: write a test"),
        (_without("data"), "data/batches/: put a CSV file there"),
        (_with("data/batches/*.csv", "size,", "length,"), "has columns ['count', 'kind', 'length'], model.yaml names ['count'"),
        (_with("model.yaml", "data:\n", "data:\n  source: python\n"), "data.py: write a function batches(until)"),
        (_without("expectations.yaml"), "make expectations MODEL=churn-rate"),
        (_with("expectations.yaml", "column: size", "column: length"), "(size) is missing"),
        (_with("model.yaml", "max: 100,", "max: 90,"), "expect_column_values_to_be_between (size) must keep"),
        (_without("README.md"), "README.md: say what churn-rate is for"),
        (_with("README.md", "## Why these thresholds", "## Why"), "README.md: say under '## Why these thresholds'"),
    ],
)  # fmt: skip
def test_what_a_model_lacks_is_said_in_words(tmp_path: Path, change: Callable[[Path], None], said: str) -> None:
    folder = make(tmp_path, "churn-rate", "tabular", today=date(2026, 11, 24))
    change(folder)
    assert any(said in line for line in lacks(folder)), lacks(folder)
