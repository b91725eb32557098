"""What changed between old and new inputs, what of it can't be changed in place, and what the cluster changed behind Pulumi's back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from toolchain.kubernetes_provider import kinds
from toolchain.kubernetes_provider.paths import Path, is_at_or_below, parse, reaches
from toolchain.kubernetes_provider.values import at

READ_ONLY = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)


@dataclass(frozen=True)
class Change:
    """One property that was added, deleted or updated; ``value`` is the new one, or the old one of a deletion."""

    path: Path
    kind: Literal["add", "delete", "update"]
    value: Any
    is_replacing: bool = False


@dataclass(frozen=True)
class Difference:
    """All changes between two sets of inputs, and whether the old object must go before a new one of the same name comes."""

    changes: tuple[Change, ...]
    is_deleted_first: bool = False

    @property
    def is_replacing(self) -> bool:
        """Whether any of the changes can't be made in place."""
        return any(change.is_replacing for change in self.changes)


def between(
    old: dict[str, Any],
    new: dict[str, Any],
    *,
    live_name: str,
    ignored: Collection[str] = (),
    mutable: Collection[str] = (),
    is_patch: bool = False,
) -> Difference:
    """Compare the inputs of one resource, secrets already opened.

    ``ignored`` are the program's ``ignore_changes``; ``mutable`` the kinds (ConfigMap, Secret) whose data the provider may change in
    place; a Patch resource never replaces for anything but its identity.
    """
    old, new = normalized(old), normalized(new)
    patterns = kinds.IDENTITY if is_patch else kinds.immutable(new, mutable)
    ignoring = [parse(path) for path in ignored]
    found = tuple(
        Change(change.path, change.kind, change.value, _is_replacing(change, patterns))
        for change in _changes(old, new, ())
        if not any(is_at_or_below(change.path, path) for path in ignoring)
    )
    difference = Difference(found)
    name = at(new, "metadata", "name")
    # A name of the program's own can't be given twice: without this the engine would make the new object first.
    is_deleted_first = (
        difference.is_replacing
        and name == live_name
        and not kinds.is_annotated(new, kinds.AUTONAMED)
        and at(new, "metadata", "namespace") == at(old, "metadata", "namespace")
    )
    return Difference(found, is_deleted_first)


def normalized(inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs without what only the server writes."""
    metadata = inputs.get("metadata")
    if not isinstance(metadata, dict):
        return inputs
    return {**inputs, "metadata": {key: value for key, value in metadata.items() if key not in READ_ONLY}}


def _changes(old: Any, new: Any, path: Path) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            here = (*path, key)
            if key not in old:
                yield Change(here, "add", new[key])
            elif key not in new:
                yield Change(here, "delete", old[key])
            else:
                yield from _changes(old[key], new[key], here)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            here = (*path, index)
            if index >= len(old):
                yield Change(here, "add", new[index])
            elif index >= len(new):
                yield Change(here, "delete", old[index])
            else:
                yield from _changes(old[index], new[index], here)
    elif not is_same(old, new):
        yield Change(path, "update", new)


def is_same(one: Any, other: Any) -> bool:
    """Equality of JSON values, where 1 is 1.0 but not true."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _is_replacing(change: Change, patterns: Collection[Path]) -> bool:
    return any(is_at_or_below(change.path, pattern) or reaches(change.path, change.value, pattern) for pattern in patterns)


def moved(inputs: Any, before: Any, live: Any) -> Any:
    """The inputs as the cluster has them now: what the program said, but for what changed on the server since it was last seen.

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
    return not any(True for _ in _changes(one, other, ()))
