"""How a resource type stands for calls of the AWS API: the vocabulary of the table in `table`, and the parameters of a call."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jmespath
from botocore.model import ListShape, StructureShape

from toolchain.aws_provider import shapes
from toolchain.aws_provider.shapes import BadParameter
from toolchain.providers.paths import Path, parse
from toolchain.providers.values import UNKNOWN, Unknown, has_unknown

_MARK = re.compile(r"<(\w+)>")
UNTRANSLATED = frozenset({"region", "tags", "timeouts"})
"""Inputs that no parameter stands for: the region chooses the client, tags are sent with the provider's."""


@dataclass(frozen=True)
class Fixed:
    """A parameter that no input gives: a value, in whose texts ``<Fact>`` stands for what is known of the resource."""

    value: Any


@dataclass(frozen=True)
class Made:
    """A parameter computed from some inputs; None leaves it out."""

    make: Callable[..., Any]
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """A parameter taken as it is from what is known of the resource (a path in that); an empty one makes the call needless."""

    path: str


@dataclass(frozen=True)
class _Everything:
    """See `EVERYTHING`."""


EVERYTHING = _Everything()
"""A structure filled from all inputs that it knows."""

Source = str | Fixed | Made | Fact | _Everything
"""Where a parameter comes from; a plain text is an input's name."""


@dataclass(frozen=True)
class Call:
    """One operation. Parameters whose names are those of inputs need no mention; ``takes`` gives the others (``A.B``: B inside of A).

    ``only`` are the inputs that it takes, where that is not all that it knows. ``when`` is an input and the value at which it is made.
    """

    operation: str
    takes: Mapping[str, Source] = field(default_factory=dict)
    only: str | None = None
    when: tuple[str, Any] | None = None


@dataclass(frozen=True)
class Read:
    """An operation that describes a resource, and where in its answer; nothing there means that it is gone.

    ``service`` is another than the resource's own.
    """

    operation: str
    path: str = "@"
    takes: Mapping[str, Source] = field(default_factory=dict)
    service: str = ""


@dataclass(frozen=True)
class Kind:
    """One resource type. All names of inputs are lists in a text, as in ``"vpcId cidrBlock"``."""

    service: str
    create: Call
    identity: str
    """Parameters that name it in later calls; ``PolicyArn=Arn`` where its description, or what made it, has another name for one."""
    result: str = "@"
    """Where the answer to ``create`` describes it."""
    id: str = ""
    """Its ID in the engine, from facts; else the values of its identity, with colons between."""
    read: Read | None = None
    also: tuple[Read, ...] = ()
    """More that is read, if it is there."""
    sets: tuple[Call, ...] = ()
    """What gives it inputs that ``create`` does not take, and changes inputs later."""
    after: tuple[Call, ...] = ()
    """What follows its creation, whatever the inputs."""
    contents: Read | None = None
    """What is in it, a list: as long as there is some, ``emptying`` is made before it ends."""
    emptying: Call | None = None
    before_delete: tuple[Call, ...] = ()
    delete: Call | None = None
    tag: Call | None = None
    untag: Call | None = None
    tagged: str = ""
    """EC2's name for the type in TagSpecifications."""
    replaces: str = ""
    """Inputs that can't be changed in place; ``*``: none can but tags."""
    name: str = ""
    """The input that is named automatically."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Outputs whose names are not those of its description: a path in that, or a text with ``<Fact>``."""
    silent: str = ""
    """Inputs that only the official provider itself acts on."""
    empty: str = ""
    """Inputs that must be empty lists: other resource types do it better."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What the official provider says where the program does not."""
    is_put: bool = False
    """Whether ``create`` also changes what is there."""
    is_kept: bool = False
    """Whether the simulator lacks it, so that it is checked and kept in the state alone."""

    @property
    def setters(self) -> tuple[Call, ...]:
        """The calls that change inputs of what is there."""
        return (self.create, *self.sets) if self.is_put else self.sets

    def immutable(self) -> tuple[Path, ...]:
        """Patterns of the inputs for which it is replaced."""
        if self.replaces == "*":
            return (("*",),)
        return tuple(parse(text) for text in self.replaces.split())


@dataclass(frozen=True)
class Prepared:
    """A call's parameters, the inputs that went into them, and whether there is anything to say at all."""

    params: dict[str, Any]
    used: frozenset[str]
    is_needed: bool = True


def prepare(kind: Kind, call: Call | Read, inputs: Mapping[str, Any], facts: Mapping[str, Any]) -> Prepared:
    """The parameters of a call; ``facts`` are the resource's identity, description and place by the API's names. Raises `BadParameter`."""
    only = set(call.only.split()) if isinstance(call, Call) and call.only is not None else None
    pool = {key: value for key, value in inputs.items() if key not in UNTRANSLATED and (only is None or key in only)}
    used: set[str] = set()
    if isinstance(call, Call) and call.when is not None:
        used.add(call.when[0])
        pool.pop(call.when[0], None)
        if inputs.get(call.when[0]) != call.when[1] and not isinstance(inputs.get(call.when[0]), Unknown):
            return Prepared({}, frozenset(used), is_needed=False)
    shape = shapes.operation(getattr(call, "service", "") or kind.service, call.operation).input_shape
    params: dict[str, Any] = {}
    if not isinstance(shape, StructureShape):
        return Prepared(params, frozenset(used))
    for name, source in call.takes.items():
        target = _shape_at(shape, name)
        value, names = _value(source, pool, inputs, facts, target)
        used |= names
        if isinstance(source, Fact) and not value:
            return Prepared({}, frozenset(used), is_needed=False)
        if value is not None:
            _put(params, name.split("."), shapes.to_api(target, value, source if isinstance(source, str) else f"{call.operation}.{name}"))
    for name, member in shape.members.items():
        key = shapes.find(pool, name)
        if name in params or any(each.split(".")[0] == name for each in call.takes):
            continue
        if key is not None:
            used.add(key)
            params[name] = shapes.to_api(member, pool[key], key)
        elif (identity := shapes.find(names_of(kind), name)) is not None and identity in facts:
            params[name] = shapes.to_api(member, facts[identity], f"{call.operation}.{name}")
    return Prepared(params, frozenset(used))


def with_tags(kind: Kind, call: Call, params: Mapping[str, Any], tags: Mapping[str, str] | Unknown) -> dict[str, Any] | None:
    """Parameters with tags in them, or None where the operation takes none."""
    shape = shapes.operation(kind.service, call.operation).input_shape
    members = shape.members if isinstance(shape, StructureShape) else {}
    if kind.tagged and "TagSpecifications" in members:
        value: Any = [{"ResourceType": kind.tagged, "Tags": tags}]
        return {**params, "TagSpecifications": shapes.to_api(members["TagSpecifications"], value, "tags")}
    for name in ("Tags", "tags", "ResourceTags"):
        if name in members:
            return {**params, name: shapes.to_api(members[name], tags, "tags")}
    return None


def names_of(kind: Kind) -> dict[str, str]:
    """Parameters of the identity -> where its description has them."""
    return {part.partition("=")[0]: part.partition("=")[2] or part for part in kind.identity.split()}


def filled(value: Any, facts: Mapping[str, Any]) -> Any:
    """A value whose marks are filled from facts; unknown as a whole if a fact is not known."""
    if isinstance(value, str):
        names = _MARK.findall(value)
        if any(isinstance(facts.get(name, UNKNOWN), Unknown) for name in names):
            return UNKNOWN
        return _MARK.sub(lambda mark: str(facts[mark[1]]), value)
    if isinstance(value, dict):
        return {key: filled(item, facts) for key, item in value.items()}
    return [filled(item, facts) for item in value] if isinstance(value, list) else value


def found_at(path: str, answer: Any) -> Any:
    """What lies at a JMESPath of an answer."""
    return jmespath.search(path, answer)


def _value(
    source: Source, pool: Mapping[str, Any], inputs: Mapping[str, Any], facts: Mapping[str, Any], shape: Any
) -> tuple[Any, set[str]]:
    if isinstance(source, str):
        return pool.get(source), {source} & set(pool)
    if isinstance(source, Fixed):
        return filled(source.value, facts), set()
    if isinstance(source, Fact):
        return found_at(source.path, facts), set()
    if isinstance(source, Made):
        values = [inputs.get(name, facts.get(name)) for name in source.inputs]
        given = set(source.inputs) & set(inputs)
        if not given and not any(name in facts for name in source.inputs):
            return None, set()
        return (UNKNOWN if has_unknown(values) else source.make(*values)), given
    members = shape.members if isinstance(shape, StructureShape) else {}
    known = {key: value for key, value in pool.items() if shapes.find(members, key) is not None}
    return known, set(known)


def _shape_at(shape: Any, name: str) -> Any:
    for part in name.split("."):
        if isinstance(shape, ListShape):
            shape = shape.member
        if not isinstance(shape, StructureShape) or part not in shape.members:
            raise BadParameter(f"the API has no parameter {name}")
        shape = shape.members[part]
    return shape


def _put(params: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        params = params.setdefault(part, {})
    params[path[-1]] = {**params[path[-1]], **value} if isinstance(params.get(path[-1]), dict) and isinstance(value, dict) else value
