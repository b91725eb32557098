"""Tests of the training code, and of what the trained model must be able to do. The pipeline runs them before a release exists."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent
PARAMETERS = {"C": 20.0, "fewest": 3, "max-iterations": 500}


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"docs_router_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    ((_, found),) = load("data").batches(date.max)
    return list(found)


@pytest.fixture(scope="module")
def model(rows: list[dict[str, str]]) -> Any:
    """The trained model under test; outside of a pipeline run, one that is fitted here."""
    trained = os.environ.get("MLDELIVERY_MODEL")
    if trained:
        import skops.io

        return skops.io.load(trained)
    return load("train").estimator(PARAMETERS, 7).fit([row["text"] for row in rows], [row["part"] for row in rows])


def test_the_estimator_takes_its_parameters() -> None:
    made = load("train").estimator({"C": 0.5, "fewest": 9, "max-iterations": 50}, 3)
    assert made[0].get_params()["min_df"] == 9
    assert (made[1].get_params()["C"], made[1].get_params()["max_iter"], made[1].get_params()["random_state"]) == (0.5, 50, 3)


def test_each_text_stands_once_and_every_part_has_enough(rows: list[dict[str, str]]) -> None:
    assert len({row["text"] for row in rows}) == len(rows)
    assert all(20 <= len(row["text"]) <= 4000 for row in rows)
    parts = Counter(row["part"] for row in rows)
    assert set(parts) == set(load("data").PARTS)
    assert min(parts.values()) >= 100


def test_the_same_library_gives_the_same_rows(rows: list[dict[str, str]]) -> None:
    ((_, again),) = load("data").batches(date.max)
    assert again == rows


QUESTIONS = {
    "How do I read a CSV file?": "file formats and persistence",
    "open a socket and listen for connections": "networking",
    "start several threads that share a lock": "concurrency",
    "compress a folder into a zip archive": "data compression and archiving",
    "compute the square root and the mean of numbers": "numeric and mathematical",
    "replace text with a regular expression": "text processing",
    "send an e-mail message": "internet and mail",
    "list the files of a directory": "file and directory access",
    "profile where a program spends its time": "development tools",
}


@pytest.mark.parametrize(("question", "part"), QUESTIONS.items())
def test_knows_where_a_plain_question_belongs(model: Any, question: str, part: str) -> None:
    assert model.predict([question]) == [part]


def test_case_and_punctuation_change_nothing(model: Any) -> None:
    plain = list(QUESTIONS)
    others = [text.upper() for text in plain] + [f"  {text.rstrip('?')} ?!\n" for text in plain]
    assert np.allclose(model.predict_proba(others), np.tile(model.predict_proba(plain), (2, 1)))


def test_more_words_of_a_part_make_it_likelier(model: Any) -> None:
    texts = ["a thread", "a thread waits for a lock", "a thread waits for a lock until another thread releases the lock"]
    chance = model.predict_proba(texts)[:, list(model.classes_).index("concurrency")]
    assert (np.diff(chance) > 0).all()


def test_is_not_sure_of_what_it_cannot_know(model: Any) -> None:
    unknown = ["如何逐行读取文件？", "qwxz qwxz", "1234567890", "🐍"]
    assert model.predict_proba(unknown).max() < 0.5
