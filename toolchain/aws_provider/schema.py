"""Inputs and outputs of a resource type, with their types, as the classes of the installed ``pulumi_aws`` declare them."""

from __future__ import annotations

import collections.abc
import difflib
import functools
import importlib
import inspect
import pathlib
import re
import sys
import threading
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType, UnionType
from typing import Any

from pulumi import _types

from toolchain.providers.paths import Path, render
from toolchain.providers.values import Secret, Unknown


class NoSuchType(Exception):
    """The installed ``pulumi_aws`` has no such resource type."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with an input: where, in words, and how the engine names the property."""

    path: Path
    words: str

    @property
    def property(self) -> str:
        """The path as the engine reads it."""
        return render(self.path)


@dataclass(frozen=True)
class Schema:
    """Of one resource type: its inputs and outputs by their names in the engine, each with its type."""

    token: str
    inputs: Mapping[str, Any]
    required: frozenset[str]
    outputs: Mapping[str, Any]
    always: frozenset[str]
    """Outputs that have a value whether or not they are given."""

    @property
    def has_tags(self) -> bool:
        """Whether what it makes can be tagged."""
        return "tagsAll" in self.outputs

    def problems(self, inputs: Mapping[str, Any]) -> list[Problem]:
        """What the official provider would refuse by name or type; nothing inside values that are not known yet."""
        given = {key: value for key, value in inputs.items() if not key.startswith("__")}
        return list(_of_mapping(self.inputs, self.required, given, ()))


@functools.cache
def schema(token: str) -> Schema:
    """The schema of a type such as ``aws:ec2/vpc:Vpc``. Raises `NoSuchType`."""
    parts = token.split(":")
    try:
        package, name = _snake(parts[1]).split("/")
        module = _module(package, name)
        made = getattr(module, parts[2])
        # Where the plain name is that of a nested type, the arguments' class has another.
        arguments = getattr(module, f"{parts[2]}InitArgs", None) or getattr(module, f"{parts[2]}Args")
    except (ImportError, AttributeError, IndexError, ValueError):
        raise NoSuchType(f"pulumi_aws has no resource type {token}") from None
    outputs = _types.resource_types(made)
    names = _types.resource_py_to_pulumi_names(made)
    always = frozenset(names[name] for name in names if not _is_optional(getattr(made, name)))
    return Schema(token, _types.input_type_types(arguments), _required(arguments), outputs, always)


def _module(package: str, name: str) -> ModuleType:
    """One module of ``pulumi_aws``, without the hundreds that its package imports, which take seconds."""
    full = f"pulumi_aws.{package}"
    with _importing:
        before = sys.modules.get(full)
        if before is None or type(before) is not ModuleType:
            bare = ModuleType(full)
            bare.__path__ = [str(pathlib.Path(importlib.import_module("pulumi_aws").__path__[0]) / package)]
            sys.modules[full] = bare
        try:
            return importlib.import_module(f"{full}.{name}")
        finally:
            # Whoever else imports the package gets all of it.
            if before is None:
                del sys.modules[full]
            else:
                sys.modules[full] = before


_importing = threading.Lock()


def _is_optional(getter: property) -> bool:
    """Whether an output, declared as ``Output[Optional[...]]``, may have no value."""
    hint = typing.get_type_hints(getter.fget).get("return") if getter.fget else None
    inner = typing.get_args(hint)[0] if getattr(typing.get_origin(hint), "__name__", "") == "Output" else hint
    return type(None) in typing.get_args(inner)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


@functools.cache
def _required(arguments: type) -> frozenset[str]:
    names = _types.input_type_py_to_pulumi_names(arguments)
    parameters = inspect.signature(arguments).parameters.values()
    return frozenset(names[each.name] for each in parameters if each.default is inspect.Parameter.empty and each.name in names)


def _of_mapping(types: Mapping[str, Any], required: frozenset[str], value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for key, item in value.items():
        if key not in types:
            close = difflib.get_close_matches(key, types, 1)
            meant = f"; did you mean {close[0]!r}?" if close else f"; allowed: {', '.join(sorted(types))}"
            yield Problem((*path, key), f"unknown input {render((*path, key))!r}{meant}")
        else:
            yield from _of_value(types[key], item, (*path, key))
    for key in sorted(required - set(value)):
        yield Problem((*path, key), f"missing required input {render((*path, key))!r}")


def _of_value(hint: Any, value: Any, path: Path) -> Iterator[Problem]:
    if isinstance(value, Secret):
        yield from _of_value(hint, value.value, path)
        return
    if isinstance(value, Unknown) or value is None:
        return
    choices = unwrapped(hint)
    if not choices or any(not any(True for _ in _of_type(choice, value, path)) for choice in choices):
        return
    yield from _of_type(choices[0], value, path)


def _of_type(hint: Any, value: Any, path: Path) -> Iterator[Problem]:
    origin = typing.get_origin(hint)
    if _types.is_input_type(hint):
        if isinstance(value, Mapping):
            yield from _of_mapping(_types.input_type_types(hint), _required(hint), value, path)
        else:
            yield _wrong("an object", value, path)
    elif origin in (list, collections.abc.Sequence):
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from _of_value(typing.get_args(hint)[0], item, (*path, index))
        else:
            yield _wrong("a list", value, path)
    elif origin in (dict, collections.abc.Mapping):
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from _of_value(typing.get_args(hint)[1], item, (*path, key))
        else:
            yield _wrong("a mapping", value, path)
    elif hint in _SCALARS and not _SCALARS[hint][1](value):
        yield _wrong(_SCALARS[hint][0], value, path)


def _is_number(value: Any) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool)) or (isinstance(value, str) and bool(_NUMBER.fullmatch(value)))


_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# The official provider takes the text of a number or of a yes for it, too.
_SCALARS: dict[Any, tuple[str, typing.Callable[[Any], bool]]] = {
    str: ("a text", lambda value: isinstance(value, (str, int, float))),
    bool: ("true or false", lambda value: isinstance(value, bool) or value in ("true", "false")),
    int: ("a whole number", lambda value: _is_number(value) and float(value).is_integer()),
    float: ("a number", _is_number),
}


def _wrong(wanted: str, value: Any, path: Path) -> Problem:
    shown = "an object" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else repr(value)
    return Problem(path, f"input {render(path)!r} must be {wanted}, got: {shown}")


def unwrapped(hint: Any) -> list[Any]:
    """The types that a value may have, without those that only say that it may come later or be absent."""
    if typing.get_origin(hint) in (typing.Union, UnionType):
        found = [each for part in typing.get_args(hint) for each in unwrapped(part)]
        # A dictionary that is typed goes by the same names as the class beside it.
        return [each for each in found if not typing.is_typeddict(each)]
    origin = typing.get_origin(hint)
    if hint is type(None) or origin is collections.abc.Awaitable or getattr(origin, "__name__", "") == "Output":
        return []
    return [] if hint is Any or isinstance(hint, (str, typing.ForwardRef, typing.TypeVar)) else [hint]
