"""Paths to a property, as the engine writes them: ``spec.ports[0].name``, ``metadata.annotations["a.b/c"]``, ``spec.containers[*]``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

Part = str | int
Path = tuple[Part, ...]
ANY = "*"
_TOKEN = re.compile(r'\[(\d+)\]|\[\*\]|\["((?:[^"\\]|\\.)*)"\]|([^.\[\]"]+)|\.')


def parse(text: str) -> Path:
    """The parts of a path; raises ValueError when it is none."""
    parts: list[Part] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} is no path of a property")
        position = match.end()
        token = match.group()
        if token == ".":
            continue
        if token == "[*]":
            parts.append(ANY)
        elif match[1] is not None:
            parts.append(int(match[1]))
        elif match[2] is not None:
            parts.append(str(json.loads(f'"{match[2]}"')))
        else:
            parts.append(match[3])
    return tuple(parts)


def render(path: Sequence[Part]) -> str:
    """A path as the engine reads it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.search(r'[."\[\]]', part):
            text += f"[{json.dumps(part)}]"
        else:
            text += f".{part}" if text else part
    return text


def is_at_or_below(path: Sequence[Part], pattern: Sequence[Part]) -> bool:
    """Whether a path is what a pattern names or lies inside it."""
    return len(path) >= len(pattern) and all(wanted in (ANY, part) for wanted, part in zip(pattern, path, strict=False))


def reaches(path: Sequence[Part], value: Any, pattern: Sequence[Part]) -> bool:
    """Whether what a pattern names lies inside ``value``, which is at ``path``."""
    if not all(wanted in (ANY, part) for wanted, part in zip(pattern, path, strict=False)):
        return False
    return any(True for _ in expand(value, pattern[len(path) :]))


def expand(value: Any, pattern: Sequence[Part]) -> Iterator[Path]:
    """The paths of a value that a pattern names."""
    if not pattern:
        yield ()
        return
    first, rest = pattern[0], pattern[1:]
    keys: list[Part] = []
    if isinstance(value, dict):
        keys = list(value) if first == ANY else [first] if first in value else []
    elif isinstance(value, list):
        keys = list(range(len(value))) if first == ANY else [first] if isinstance(first, int) and first < len(value) else []
    for key in keys:
        for below in expand(value[key], rest):
            yield (key, *below)


def put(value: Any, path: Sequence[Part], item: Any) -> None:
    """Put an item at a path, making mappings on the way; a list must be there already and be long enough."""
    for part, following in pairwise(path):
        if isinstance(value, dict):
            value = value.setdefault(part, [] if isinstance(following, int) else {})
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return
    last = path[-1]
    is_key = isinstance(value, dict)
    if is_key or (isinstance(value, list) and isinstance(last, int) and last < len(value)):
        value[last] = item


def drop(value: Any, path: Sequence[Part]) -> None:
    """Take away what lies at a path of mappings; an item of a list is left, for its neighbours keep their places."""
    for part in path[:-1]:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(value, dict):
        value.pop(path[-1], None)
