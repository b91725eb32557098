"""What a preview declares, as resources in the words of ``policy.resource``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy.resource import UNKNOWN, Resource

# What the engine writes for a value that only an update knows.
_SENTINEL = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@dataclass(frozen=True)
class Declared:
    """One resource of a preview, and the line of this repository that makes it, as ``file:line`` ("" where the engine does not say)."""

    resource: Resource
    line: str


def read(text: str) -> list[Declared]:
    """The resources of providers in what ``pulumi preview --json`` printed. Raises ValueError where it is something else."""
    steps = json.loads(text).get("steps")
    if not steps:
        raise ValueError("the preview declares nothing")
    return [_declared(step["newState"]) for step in steps if (step.get("newState") or {}).get("custom")]


def _declared(state: Mapping[str, Any]) -> Declared:
    position = str(state.get("sourcePosition", ""))
    line = position.removeprefix("project:///").replace("#", ":") if position.startswith("project:///") else ""
    resource = Resource(
        type=state["type"],
        name=state["urn"].rpartition("::")[2],
        props={key: _plain(value) for key, value in (state.get("inputs") or {}).items() if not key.startswith("__")},
        urn=state["urn"],
        is_protected=bool(state.get("protect")),
        sources=state.get("propertyDependencies") or {},
    )
    return Declared(resource, line)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return UNKNOWN if _SENTINEL in value else value
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def of_provider(declared: Sequence[Declared], package: str) -> Iterator[Declared]:
    """Those of one provider, such as ``aws``."""
    return (each for each in declared if each.resource.type.startswith(f"{package}:"))
