"""A request's body: from bytes to rows that the model may see, or the status that refuses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from serving.release_file import Input, ReleaseFile

Row = msgspec.Struct
"""A row: one attribute for each input, in the order of the inputs. ``msgspec.structs.astuple`` gives its values."""


TEXT = r"(?s)\A(?=.*\S)[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*\Z"
"""What a text may be: anything but blank, without control characters other than tab, newline and carriage return."""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class Refused(Exception):
    """A request that gets no prediction; ``status`` is the HTTP status that says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Shape(msgspec.Struct, forbid_unknown_fields=True):
    rows: list[dict[str, msgspec.Raw]]


def limit_bytes(release: ReleaseFile) -> int:
    """The longest body that is read: ``max-rows`` rows, generously indented, with room for numbers of full precision."""
    return max(64 * 1024, release.max_rows * row_bytes(release))


def row_bytes(release: ReleaseFile) -> int:
    """The longest that a row of a body may be."""
    return sum(len(field.name) + 80 + _text_bytes(field) for field in release.inputs)


def _text_bytes(field: Input) -> int:
    # JSON writes a character beyond the basic plane as two escapes of six bytes.
    return 12 * int(field.max) if field.type == "text" else 0


class BodyParser:
    """Parses and checks bodies of one release: ``{"rows": [{<input>: <number or text>, …}, …]}``."""

    def __init__(self, release: ReleaseFile) -> None:
        self.inputs = len(release.inputs)
        self.max_rows = release.max_rows
        self._has_text = any(field.type == "text" for field in release.inputs)
        body = msgspec.defstruct("Body", [("rows", list[_row_type(release.inputs)])], forbid_unknown_fields=True)  # type: ignore[misc]
        self._typed: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)
        self._shape = msgspec.json.Decoder(_Shape)

    def parse(self, body: bytes) -> list[Row]:
        """The rows of a body.

        Raises Refused: 400 not JSON or not of the shape, 413 too many rows, 422 a value, a key or the number of rows is not allowed.
        """
        try:
            rows: list[Row] = self._typed.decode(body).rows
        except UnicodeDecodeError:
            raise Refused(400) from None
        except (msgspec.DecodeError, RecursionError):
            raise Refused(self._reason(body)) from None
        if len(rows) > self.max_rows:
            raise Refused(413)
        # A JSON parser keeps the last of two equal keys without a word. Here every key is known and required, and no key or number holds
        # a colon, so outside of texts the colons are the keys: one more than expected is a duplicate.
        keys = _STRING.sub(b"", body) if self._has_text else body
        if not rows or keys.count(b":") != 1 + self.inputs * len(rows):
            raise Refused(422)
        return rows

    def _reason(self, body: bytes) -> int:
        try:
            rows = self._shape.decode(body).rows
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return 400
        return 413 if len(rows) > self.max_rows else 422


def _row_type(inputs: Sequence[Input]) -> type[msgspec.Struct]:
    # Names of inputs need not be Python identifiers, so the attributes have names of their own.
    attributes = [f"f{index}" for index in range(len(inputs))]
    fields = [(attribute, _TYPES[field.type](field)) for attribute, field in zip(attributes, inputs, strict=True)]
    names = {attribute: field.name for attribute, field in zip(attributes, inputs, strict=True)}
    return msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, gc=False)


def _int(field: Input) -> Any:
    return Annotated[int, msgspec.Meta(ge=int(field.min), le=int(field.max))]


def _float(field: Input) -> Any:
    # The range also keeps out infinity, which a number like 1e999 becomes in parsers that do not refuse it.
    return Annotated[float, msgspec.Meta(ge=field.min, le=field.max)]


def _text(field: Input) -> Any:
    return Annotated[str, msgspec.Meta(min_length=int(field.min), max_length=int(field.max), pattern=TEXT)]


_TYPES: Mapping[str, Callable[[Input], Any]] = {"int": _int, "float": _float, "text": _text}
