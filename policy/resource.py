"""The words that every rule uses: a resource as the engine shows it, a finding, and how a value is looked up that may not be known yet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from policy.limits import Limits

Level = Literal["mandatory", "advisory", "mandatory in prod"]


class Unknown:
    """A value that a preview can't know. No rule says anything of it: the update, which knows it, runs the rules again."""

    def __repr__(self) -> str:
        return "not known before the update"


UNKNOWN = Unknown()


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One declared resource. Its properties carry the names of the provider's schema (camelCase).

    ``sources`` says from which resources' outputs a property was made (URNs), ``default_tags`` what the provider adds to its tags.
    """

    type: str
    name: str
    props: Mapping[str, Any]
    urn: str = ""
    is_protected: bool = False
    default_tags: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong at one property, what it is, what is allowed, and what to do. ``urn`` where a rule of a stack means one resource."""

    what: str
    at: str
    got: object
    allowed: str
    act: str
    urn: str = ""


OfResource = Callable[[Resource, Limits], Iterable[Finding]]
OfStack = Callable[[Sequence[Resource], Limits], Iterable[Finding]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule: its name, what it asks for, why, how strict it is, and its function, of a resource or of a whole stack.

    Types that begin with one of ``types`` are shown to it. ``cis`` is the item of the CIS Amazon EKS Benchmark 1.5 that it covers.
    """

    name: str
    asks: str
    why: str
    types: tuple[str, ...] = ()
    check: OfResource | None = None
    check_stack: OfStack | None = None
    level: Level = "mandatory"
    cis: str = ""


def at(value: Any, *path: str | int) -> Any:
    """The value at a path, None where there is none, UNKNOWN where it or something above it is."""
    for key in path:
        if value is UNKNOWN:
            return UNKNOWN
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, (list, tuple)) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def items(value: Any) -> list[Any]:
    """A list's items; none for a value that is absent or unknown. A single object stands for a list of one."""
    if value is None or value is UNKNOWN:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def is_wrong(value: Any, *allowed: Any) -> bool:
    """Whether a value is known and none of those allowed."""
    return value is not UNKNOWN and value not in allowed


def unless(resource: Resource, path: Sequence[str | int], *allowed: Any, what: str, act: str, words: str = "") -> Iterator[Finding]:
    """A finding unless the value at ``path`` is unknown or one of those allowed; how most rules read."""
    value = at(resource.props, *path)
    if is_wrong(value, *allowed):
        shown = words or " or ".join(json.dumps(each) for each in allowed)
        yield Finding(what=what, at=dotted(path), got=value, allowed=shown, act=act)


def is_made_of(resource: Resource, key: str, other: Resource) -> bool:
    """Whether a property comes from another resource's outputs, or may: it is unknown, and nothing says where it comes from."""
    sources = resource.sources.get(key, ())
    return other.urn in sources or (resource.props.get(key) is UNKNOWN and not sources)


def dotted(path: Sequence[str | int]) -> str:
    """A path in one word, such as ``spec.containers[0].image``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


class Place(NamedTuple):
    """A value inside a resource, and the path to it."""

    path: tuple[str | int, ...]
    value: Any


def places(value: Any, key: str, path: tuple[str | int, ...] = ()) -> Iterator[Place]:
    """Every mapping that has ``key``, however deep."""
    if isinstance(value, Mapping):
        if key in value:
            yield Place(path, value)
        for name, inner in value.items():
            yield from places(inner, key, (*path, str(name)))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from places(inner, key, (*path, index))
