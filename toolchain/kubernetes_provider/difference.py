"""What changed between old and new inputs, and what of it can't be changed in place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from toolchain.kubernetes_provider import kinds
from toolchain.providers.changes import Change, changes, is_within
from toolchain.providers.paths import is_at_or_below, parse
from toolchain.providers.values import at

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
        Change(change.path, change.kind, change.value, is_within(change, patterns))
        for change in changes(old, new)
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
