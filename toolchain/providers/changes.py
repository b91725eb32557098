"""What changed between old and new values of a resource, and what changed in the world behind Pulumi's back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from toolchain.providers.paths import Path, is_at_or_below, reaches


@dataclass(frozen=True)
class Change:
    """One property that was added, deleted or updated; ``value`` is the new one, or the old one of a deletion."""

    path: Path
    kind: Literal["add", "delete", "update"]
    value: Any
    is_replacing: bool = False


def changes(old: Any, new: Any, path: Path = ()) -> Iterator[Change]:
    """What differs between two plain values, each at its own path."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            here = (*path, key)
            if key not in old:
                yield Change(here, "add", new[key])
            elif key not in new:
                yield Change(here, "delete", old[key])
            else:
                yield from changes(old[key], new[key], here)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            here = (*path, index)
            if index >= len(old):
                yield Change(here, "add", new[index])
            elif index >= len(new):
                yield Change(here, "delete", old[index])
            else:
                yield from changes(old[index], new[index], here)
    elif not is_same(old, new):
        yield Change(path, "update", new)


def is_same(one: Any, other: Any) -> bool:
    """Equality of JSON values, where 1 is 1.0 but not true."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def is_within(change: Change, patterns: Collection[Path]) -> bool:
    """Whether a change is at, below or around what one of the patterns names."""
    return any(is_at_or_below(change.path, pattern) or reaches(change.path, change.value, pattern) for pattern in patterns)


def moved(inputs: Any, before: Any, live: Any) -> Any:
    """The inputs as the server has them now: what the program said, but for what changed there since it was last seen.

    What the server made of a value when it was written (``1000m`` of a CPU is kept as ``1``) is no change; nor is what the program does not
    set. ``before`` is the object as last seen, ``live`` as it is now; all plain.
    """
    if isinstance(inputs, dict) and isinstance(live, dict):
        before = before if isinstance(before, dict) else {}
        return {
            key: moved(value, before.get(key), live[key]) if key in live else value
            for key, value in inputs.items()
            if key in live or key not in before
        }
    if before is not None and _equal(before, live):
        return inputs
    if isinstance(inputs, list) and isinstance(live, list):
        before = before if isinstance(before, list) and len(before) == len(inputs) else [None] * len(inputs)
        shaped = [moved(value, seen, now) for value, seen, now in zip(inputs, before, live, strict=False)]
        return shaped + live[len(inputs) :]
    return live


def _equal(one: Any, other: Any) -> bool:
    return not any(True for _ in changes(one, other))
