"""Golden requests: what the model answered when the release was packaged, and how an answer is compared with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from serving.release_file import CannotServe


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of golden.jsonl: a request's body and the body that answered it."""

    request: dict[str, Any]
    response: dict[str, Any]


def read(path: Path) -> Iterator[Golden]:
    """The golden requests of a file, in order. Raises CannotServe when the file, or a line of it, can't be read, or there is none."""
    decoder = msgspec.json.Decoder(Golden)
    number = 0
    try:
        with path.open("rb") as file:
            for line in file:
                number += 1
                yield decoder.decode(line)
    except OSError as error:
        raise CannotServe(f"{path} cannot be read: {error.strerror}; package the release again") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CannotServe(f"{path} line {number} is not a golden request: {error}; package the release again") from None
    if not number:
        raise CannotServe(f"{path} holds no golden request; package the release again")


def difference(expected: Any, got: Any, tolerance: float, at: str = "answer") -> str:
    """Where two bodies differ, in words, or "" when they agree.

    Numbers may differ by ``tolerance`` (absolute); everything else, labels and keys included, must be equal.
    """
    if isinstance(expected, dict) and isinstance(got, dict):
        if expected.keys() != got.keys():
            return f"{at} has keys {sorted(got)}, expected {sorted(expected)}"
        found = (difference(value, got[key], tolerance, f"{at}.{key}") for key, value in expected.items())
        return next(filter(None, found), "")
    if isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return f"{at} has {len(got)} entries, expected {len(expected)}"
        found = (difference(*pair, tolerance, f"{at}[{index}]") for index, pair in enumerate(zip(expected, got, strict=True)))
        return next(filter(None, found), "")
    if _is_number(expected) and _is_number(got):
        if math.isfinite(got) and abs(expected - got) <= tolerance:
            return ""
        return f"{at} is {got}, expected {expected} within {tolerance}"
    return "" if type(expected) is type(got) and expected == got else f"{at} is {got!r}, expected {expected!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
