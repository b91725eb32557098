"""A release may widen what the champion takes and answers, never narrow it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pipelines.interface import breaks

CHAMPION: dict[str, Any] = {
    "inputs": [{"name": "age", "type": "int", "min": 0, "max": 120}, {"name": "height", "type": "float", "min": 0.5, "max": 2.5}],
    "output": {"type": "class", "labels": ["no", "yes"]},
}


def changed(key: str, value: object, *, at: int | None = 0) -> dict[str, Any]:
    after = copy.deepcopy(CHAMPION)
    target = after["output"] if at is None else after["inputs"][at]
    target[key] = value
    return after


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (changed("max", 100), "input 'age' took 0 to 120, takes 0 to 100"),
        (changed("min", 1), "input 'age' took 0 to 120, takes 1 to 120"),
        (changed("type", "int", at=1), "input 'height' was float, is int"),
        (changed("labels", ["no"], at=None), "label 'yes' is gone"),
        (changed("type", "regression", at=None), "the output was of type class, is regression"),
        ({**CHAMPION, "inputs": CHAMPION["inputs"][:1]}, "input 'height' is gone"),
        ({**CHAMPION, "inputs": [*CHAMPION["inputs"], {"name": "mass", "type": "float", "min": 0, "max": 9}]}, "input 'mass' is new"),
    ],
)
def test_what_would_break_consumers_is_said(after: dict[str, Any], words: str) -> None:
    assert any(words in each for each in breaks(CHAMPION, after))


@pytest.mark.parametrize(
    "after",
    [
        CHAMPION,
        changed("max", 130),
        changed("min", -1),
        changed("type", "float"),
        changed("labels", ["maybe", "no", "yes"], at=None),
        {**CHAMPION, "inputs": CHAMPION["inputs"][::-1]},
    ],
)
def test_what_only_widens_breaks_nothing(after: dict[str, Any]) -> None:
    assert breaks(CHAMPION, after) == []
