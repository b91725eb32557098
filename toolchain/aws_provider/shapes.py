"""Between Pulumi's names of things and the AWS API's, by botocore's models of its operations.

Both sides name the same things almost alike: ``kmsMasterKeyId`` and ``KMSMasterKeyID``, ``subnetIds`` and ``SubnetIds``, a block ``rule``
and a list ``Rules``. What goes by other names stands in `table`.
"""

from __future__ import annotations

import collections.abc
import difflib
import functools
import typing
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator
from pulumi import _types

from toolchain.aws_provider.schema import unwrapped
from toolchain.providers.values import UNKNOWN, Secret, Unknown


class BadParameter(Exception):
    """A value that the API's model does not allow; the text says where and why."""


@functools.cache
def service(name: str) -> ServiceModel:
    """botocore's model of a service such as ``ec2``."""
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def operation(service_name: str, name: str) -> OperationModel:
    """The model of an operation such as ``CreateVpc``."""
    return service(service_name).operation_model(name)


def folded(name: str) -> str:
    """A name without what the two sides write differently: case, underscores and plurals."""
    plain = name.replace("_", "").lower()
    if plain.endswith("ies"):
        return plain[:-3] + "y"
    return plain[:-1] if plain.endswith("s") and not plain.endswith("ss") else plain


def find(names: Iterable[str], wanted: str) -> str | None:
    """The one of these names that means the same: by its letters, else without plurals."""
    listed = list(names)
    exact = [name for name in listed if name.lower() == wanted.lower()]
    return next(iter(exact or [name for name in listed if folded(name) == folded(wanted)]), None)


def to_api(shape: Shape, value: Any, where: str) -> Any:
    """A value of the program as the API's ``shape`` has it; an unknown one as a placeholder of the right type. Raises `BadParameter`."""
    if isinstance(value, Secret):
        return to_api(shape, value.value, where)
    if isinstance(value, Unknown):
        return placeholder(shape)
    if isinstance(shape, StructureShape):
        return _to_structure(shape, value, where)
    if isinstance(shape, ListShape):
        if isinstance(value, dict) and _is_tags(shape):
            key, item = _tag_names(shape)
            return [{key: name, item: to_api(shape.member.members[item], text, where)} for name, text in sorted(value.items())]
        items = value if isinstance(value, list) else [value]
        return [to_api(shape.member, item, f"{where}[{number}]") for number, item in enumerate(items)]
    if isinstance(shape, MapShape):
        if not isinstance(value, dict):
            raise BadParameter(f"{where} must be a mapping, got: {value!r}")
        return {key: to_api(shape.value, item, f"{where}.{key}") for key, item in value.items()}
    return _to_scalar(shape, value, where)


def _to_structure(shape: StructureShape, value: Any, where: str) -> Any:
    members = shape.members
    if isinstance(value, list) and len(value) == 1 and not (len(members) == 1 and isinstance(next(iter(members.values())), ListShape)):
        value = value[0]
    if not isinstance(value, dict):
        # Such as {"Value": true} for an attribute, or {"Rules": [...]} for a list.
        if len(members) != 1:
            raise BadParameter(f"{where} must be an object, got: {value!r}")
        name, member = next(iter(members.items()))
        return {name: to_api(member, value, where)}
    found = {}
    for key, item in value.items():
        name = find(members, key)
        if name is None:
            close = difflib.get_close_matches(key, members, 1)
            hint = f"; did you mean {close[0]}?" if close else f"; it has: {', '.join(members)}"
            raise BadParameter(f"{where}.{key}: the API has no such parameter{hint}")
        if item is not None:
            found[name] = to_api(members[name], item, f"{where}.{key}")
    return found


def _is_tags(shape: ListShape) -> bool:
    return isinstance(shape.member, StructureShape) and len(shape.member.members) == 2 and _tag_names(shape)[0] != ""


def _tag_names(shape: ListShape) -> tuple[str, str]:
    """The members of a tag: ``Key`` and ``Value``, or ``TagKey`` and ``TagValue``."""
    names = list(shape.member.members)
    keys = [name for name in names if name.lower().endswith("key")]
    values = [name for name in names if name.lower().endswith("value")]
    return (keys[0], values[0]) if keys and values else ("", "")


def _to_scalar(shape: Shape, value: Any, where: str) -> Any:
    kind = shape.type_name
    if isinstance(value, (dict, list)):
        raise BadParameter(f"{where} must be {_A.get(kind, kind)}, got: {value!r}")
    if kind == "string":
        text = str(value).lower() if isinstance(value, bool) else str(value)
        allowed = getattr(shape, "enum", None)
        if allowed and text not in allowed:
            raise BadParameter(f"{where}: {text!r} is not allowed; allowed: {', '.join(allowed)}")
        # botocore checks the least, not the most.
        if len(text) > int(shape.metadata.get("max", len(text))):
            raise BadParameter(f"{where}: {len(text)} characters are not allowed; allowed: at most {shape.metadata['max']}")
        return text
    try:
        if kind in ("integer", "long"):
            return int(value)
        if kind in ("float", "double"):
            return float(value)
    except ValueError:
        raise BadParameter(f"{where} must be {_A[kind]}, got: {value!r}") from None
    return value == "true" if kind == "boolean" and isinstance(value, str) else value


_A = {
    "string": "a text",
    "integer": "a whole number",
    "long": "a whole number",
    "float": "a number",
    "double": "a number",
    "boolean": "true or false",
}


def placeholder(shape: Shape) -> Any:
    """A value that the model allows, for one that is not known before the update."""
    if isinstance(shape, StructureShape):
        return {name: placeholder(shape.members[name]) for name in shape.required_members}
    if isinstance(shape, ListShape):
        return [placeholder(shape.member)] * int(shape.metadata.get("min", 0))
    if isinstance(shape, MapShape):
        return {}
    if shape.type_name == "string":
        allowed = getattr(shape, "enum", None)
        return allowed[0] if allowed else "x" * max(1, int(shape.metadata.get("min", 1)))
    if shape.type_name == "timestamp":
        return datetime(2026, 1, 1)
    return {"boolean": True, "blob": b"x"}.get(shape.type_name, int(shape.metadata.get("min", 1)))


def checked(service_name: str, name: str, params: Mapping[str, Any]) -> None:
    """Check an operation's parameters against its model, as botocore does before it sends them. Raises `BadParameter`."""
    shape = operation(service_name, name).input_shape
    if shape is None:
        return
    report = ParamValidator().validate(params, shape)
    if report.has_errors():
        raise BadParameter(f"{service_name} {name}: {report.generate_report()}")


def from_api(outputs: Mapping[str, Any], found: Any) -> dict[str, Any]:
    """What an answer of the API says of these outputs (name -> type), in the engine's names; what it does not say is left out."""
    if not isinstance(found, Mapping):
        return {}
    result = {}
    for name, hint in outputs.items():
        key = find(found, name)
        if key is not None and found[key] is not None:
            value = _from_value(hint, found[key])
            if value is not None:
                result[name] = value
    return result


def _from_value(hint: Any, value: Any) -> Any:
    choices = unwrapped(hint)
    hint = choices[0] if choices else None
    origin = typing.get_origin(hint)
    if isinstance(hint, type) and _types.is_output_type(hint):
        if isinstance(value, list):
            value = value[0] if value else None
        return from_api(_types.output_type_types(hint), value) if isinstance(value, Mapping) else None
    if origin in (list, collections.abc.Sequence):
        inner = typing.get_args(hint)[0]
        items = value if isinstance(value, list) else [value]
        return [item for each in items if (item := _from_value(inner, each)) is not None]
    if origin in (dict, collections.abc.Mapping):
        return _from_tags(value)
    return _from_scalar(hint, value)


def _from_tags(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): str(item) for key, item in value.items()}
    if isinstance(value, list) and all(isinstance(item, Mapping) and len(item) == 2 for item in value):
        pairs = [(find(item, "key") or find(item, "tagKey"), find(item, "value") or find(item, "tagValue"), item) for item in value]
        return {item[key]: item[text] for key, text, item in pairs if key and text}
    return None


def _from_scalar(hint: Any, value: Any) -> Any:
    if isinstance(value, Mapping) and len(value) == 1:
        # Such as {"Value": true} for an attribute.
        return _from_scalar(hint, next(iter(value.values())))
    if isinstance(value, (Mapping, list)):
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    if hint is str:
        return str(value).lower() if isinstance(value, bool) else str(value)
    if hint is bool:
        return value if isinstance(value, bool) else str(value).lower() in ("true", "enabled")
    if hint is int:
        return int(value) if str(value).lstrip("-").isdigit() else None
    return value


def completed(hint: Any, value: Any) -> Any:
    """An input as an output before the update: what AWS will add inside of it is unknown."""
    choices = unwrapped(hint)
    hint = choices[0] if choices else None
    if isinstance(value, Mapping) and isinstance(hint, type) and _types.is_output_type(hint):
        found = dict(value)
        for name, inner in _types.output_type_types(hint).items():
            found[name] = completed(inner, value[name]) if name in value else UNKNOWN
        return found
    if isinstance(value, list) and typing.get_origin(hint) in (list, collections.abc.Sequence):
        return [completed(typing.get_args(hint)[0], item) for item in value]
    return value


def merged(live: Any, given: Any) -> Any:
    """What the program says, with what AWS adds to it."""
    if isinstance(live, Mapping) and isinstance(given, Mapping):
        return {**live, **{key: merged(live.get(key), item) for key, item in given.items()}}
    return given
