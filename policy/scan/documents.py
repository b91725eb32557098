"""Every policy document of AWS that a stack declares, wherever it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from policy.resource import UNKNOWN, Resource, dotted


def documents(resource: Resource) -> Iterator[tuple[str, str]]:
    """The documents in a resource's properties, each with the property that holds it; UNKNOWN ones are not among them."""
    if resource.type.startswith("aws:"):
        yield from _inside(resource.props, ())


def unseen(resource: Resource) -> Iterator[str]:
    """Properties that hold a document which only an update knows."""
    if resource.type.startswith("aws:"):
        yield from (key for key, value in resource.props.items() if value is UNKNOWN and key.lower().endswith("policy"))


def _inside(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    if value is UNKNOWN:
        return
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _inside(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _inside(each, (*path, index))
    elif isinstance(value, str) and '"Statement"' in value and _is_document(value):
        yield dotted(path), value


def _is_document(text: str) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, Mapping) and "Statement" in found
