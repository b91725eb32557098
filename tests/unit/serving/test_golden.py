from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serving.golden import difference, read
from serving.release_file import CannotServe

ANSWER = {"predictions": [{"label": "a", "probabilities": {"a": 0.75, "b": 0.25}}]}


def changed(**changes: Any) -> dict[str, Any]:
    return {"predictions": [{**ANSWER["predictions"][0], **changes}]}


@pytest.mark.parametrize("got", [ANSWER, changed(probabilities={"b": 0.250005, "a": 0.749995})])
def test_equal_within_the_tolerance(got: Any) -> None:
    assert difference(ANSWER, got, 1e-5) == ""


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (changed(label="b"), "answer.predictions[0].label is 'b', expected 'a'"),
        (changed(probabilities={"a": 0.7501, "b": 0.25}), "probabilities.a is 0.7501, expected 0.75 within 1e-05"),
        (changed(probabilities={"a": float("nan"), "b": 0.25}), "probabilities.a is nan"),
        (changed(probabilities={"a": True, "b": 0.25}), "probabilities.a is True"),
        (changed(probabilities={"a": "0.75", "b": 0.25}), "probabilities.a is '0.75'"),
        (changed(probabilities={"a": 0.75}), "probabilities has keys ['a'], expected ['a', 'b']"),
        (changed(more=1), "has keys ['label', 'more', 'probabilities']"),
        ({"predictions": []}, "answer.predictions has 0 entries, expected 1"),
        ({"error": "x"}, "answer has keys ['error'], expected ['predictions']"),
        (None, "answer is None"),
        ("text", "answer is 'text'"),
    ],
)
def test_a_difference_is_named(got: Any, words: str) -> None:
    assert words in difference(ANSWER, got, 1e-5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no golden request"),
        ('{"request": {}, "response": {}}\n{"request"', "line 2 is not a golden request"),
        ('{"request": {}}', "line 1"),
        ('{"request": {}, "response": {}, "note": 1}', "line 1"),
        ("\n", "line 1"),
    ],
)
def test_a_file_that_is_not_golden_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_text(text)
    with pytest.raises(CannotServe, match=words):
        list(read(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotServe, match=r"none\.jsonl cannot be read"):
        list(read(tmp_path / "none.jsonl"))
