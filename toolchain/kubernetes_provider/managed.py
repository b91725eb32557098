"""Whose field is it: reads an object's ``managedFields``, so that what another manager owns is left to it."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Sequence
from typing import Any

from toolchain.providers.paths import Part, drop, expand, parse, put
from toolchain.providers.values import at


def is_owned(live: dict[str, Any], path: Sequence[Part], manager: str, *, by_others: bool = False) -> bool:
    """Whether ``manager`` (or, with ``by_others``, any other one) owns what lies at a path, or something inside it."""
    entries = at(live, "metadata", "managedFields") or []
    return any(_holds(entry.get("fieldsV1") or {}, live, path) for entry in entries if (entry.get("manager") == manager) != by_others)


def _holds(fields: dict[str, Any], value: Any, path: Sequence[Part]) -> bool:
    for part in path:
        key = f"f:{part}" if isinstance(part, str) else _item_key(fields, at(value, part))
        if key not in fields:
            return False
        fields, value = fields[key], at(value, part)
    return True


def _item_key(fields: dict[str, Any], item: Any) -> str:
    """The key of a list's item: by the item's own key fields, or by its value; lists without are owned whole."""
    for key in fields:
        if key.startswith("k:") and isinstance(item, dict):
            if all(item.get(name) == wanted for name, wanted in json.loads(key[2:]).items()):
                return key
        elif key.startswith("v:") and json.loads(key[2:]) == item:
            return key
    return ""


def without_ignored(manifest: dict[str, Any], live: dict[str, Any], manager: str, ignored: Collection[str]) -> dict[str, Any]:
    """The manifest to apply so that the program's ``ignore_changes`` change nothing in the cluster.

    What another manager owns and this one does not is left out; anything else is sent as it is there.
    """
    result = copy.deepcopy(manifest)
    for text in ignored:
        pattern = parse(text)
        for path in [*expand(manifest, pattern)] or [*expand(live, pattern)]:
            is_theirs = is_owned(live, path, manager, by_others=True) and not is_owned(live, path, manager)
            if is_theirs and isinstance(path[-1], str):
                drop(result, path)
            elif any(True for _ in expand(live, path)):
                put(result, path, copy.deepcopy(at(live, *path)))
    return result
