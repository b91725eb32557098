"""Property values as the engine sends them (protobuf structs with marks for secret and unknown), and as plain JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import json_format, struct_pb2  # type: ignore[import-untyped]

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
# The engine marks a value that is not known yet by one of these strings, by its type.
UNKNOWNS: Final = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
ANY_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Unknown:
    """A value that the engine does not know yet; there is one, `UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that must stay encrypted in the state and hidden in diffs."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(…)"


def decode(struct: struct_pb2.Struct) -> dict[str, Any]:
    """The properties of a struct: whole numbers as int, no nulls in mappings, `Secret` and `UNKNOWN` where the engine says so."""
    return {key: _decoded(value) for key, value in struct.fields.items() if value.WhichOneof("kind") != "null_value"}


def _decoded(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        found = decode(value.struct_value)
        if found.get(SIGNATURE) == SECRET:
            return Secret(found.get("value"))
        if found.get(SIGNATURE) == OUTPUT:
            inner = found.get("value", UNKNOWN)
            return Secret(inner) if found.get("secret") else inner
        return found
    if kind == "list_value":
        return [_decoded(item) for item in value.list_value.values]
    if kind == "number_value":
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    if kind == "string_value":
        return UNKNOWN if value.string_value in UNKNOWNS else value.string_value
    return value.bool_value if kind == "bool_value" else None


def encode(value: Mapping[str, Any]) -> struct_pb2.Struct:
    """The struct of some properties; the reverse of `decode`."""
    return json_format.ParseDict(_encoded(value), struct_pb2.Struct())


def _encoded(value: Any) -> Any:
    if isinstance(value, Secret):
        return {SIGNATURE: SECRET, "value": _encoded(value.value)}
    if isinstance(value, Unknown):
        return ANY_UNKNOWN
    if isinstance(value, Mapping):
        return {key: _encoded(item) for key, item in value.items() if item is not None}
    return [_encoded(item) for item in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """The value with the marks of secrets taken off, as a copy."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def has_unknown(value: Any) -> bool:
    """Whether a part of the value is not known yet."""
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    return any(has_unknown(item) for item in value) if isinstance(value, list) else isinstance(value, Unknown)


def marked(value: Any, like: Any) -> Any:
    """The value with a `Secret` wherever ``like``, of much the same shape, has one.

    Lists of different lengths can't be matched: such a list is secret as a whole if any item of the other is.
    """
    if isinstance(value, Secret):
        return value
    if isinstance(like, Secret):
        return Secret(value)
    if isinstance(value, dict) and isinstance(like, dict):
        return {key: marked(item, like[key]) if key in like else item for key, item in value.items()}
    if isinstance(value, list) and isinstance(like, list):
        if len(value) == len(like):
            return [marked(item, other) for item, other in zip(value, like, strict=True)]
        return Secret(value) if has_secret(like) else value
    return value


def has_secret(value: Any) -> bool:
    """Whether a part of the value is secret."""
    if isinstance(value, dict):
        return any(has_secret(item) for item in value.values())
    return any(has_secret(item) for item in value) if isinstance(value, list) else isinstance(value, Secret)


def secret_texts(value: Any, is_secret: bool = False) -> Iterator[str]:
    """Every string inside the secrets of a value."""
    if isinstance(value, Secret):
        yield from secret_texts(value.value, True)
    elif isinstance(value, dict):
        for item in value.values():
            yield from secret_texts(item, is_secret)
    elif isinstance(value, list):
        for item in value:
            yield from secret_texts(item, is_secret)
    elif is_secret and isinstance(value, str):
        yield value


def redacted(text: str, properties: Any) -> str:
    """A message from elsewhere without the secrets of these properties; very short ones are left, since they match anything."""
    for found in sorted({*secret_texts(properties)}, key=len, reverse=True):
        if len(found) >= 4:
            text = text.replace(found, "[secret]")
    return text


def at(value: Any, *path: str | int) -> Any:
    """What lies at a path of a plain value, or None."""
    for part in path:
        if isinstance(part, str):
            if not isinstance(value, dict):
                return None
            value = value.get(part)
        else:
            if not isinstance(value, list) or not -len(value) <= part < len(value):
                return None
            value = value[part]
    return value
