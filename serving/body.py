"""A request's body: from bytes to rows that the model may see, or the status that refuses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from serving.release_file import Input, ReleaseFile

Row = msgspec.Struct
"""A row: one attribute for each input, in the order of the inputs. ``msgspec.structs.astuple`` gives its values."""


class Refused(Exception):
    """A request that gets no prediction; ``status`` is the HTTP status that says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Shape(msgspec.Struct, forbid_unknown_fields=True):
    rows: list[dict[str, msgspec.Raw]]


def limit_bytes(release: ReleaseFile) -> int:
    """The longest body that is read: ``max-rows`` rows, generously indented, with room for numbers of full precision."""
    row = sum(len(field.name) + 80 for field in release.inputs)
    return max(64 * 1024, release.max_rows * row)


class BodyParser:
    """Parses and checks bodies of one release: ``{"rows": [{<input>: <number>, …}, …]}``."""

    def __init__(self, release: ReleaseFile) -> None:
        self.inputs = len(release.inputs)
        self.max_rows = release.max_rows
        body = msgspec.defstruct("Body", [("rows", list[_row_type(release.inputs)])], forbid_unknown_fields=True)  # type: ignore[misc]
        self._typed: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)
        self._shape = msgspec.json.Decoder(_Shape)

    def parse(self, body: bytes) -> list[Row]:
        """The rows of a body.

        Raises Refused: 400 not JSON or not of the shape, 413 too many rows, 422 a value, a key or the number of rows is not allowed.
        """
        try:
            rows: list[Row] = self._typed.decode(body).rows
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refused(self._reason(body)) from None
        if len(rows) > self.max_rows:
            raise Refused(413)
        # A JSON parser keeps the last of two equal keys without a word. Here every key is known and required, no key holds a colon and
        # every value is a number, so the colons are the keys: one more than expected is a duplicate.
        if not rows or body.count(b":") != 1 + self.inputs * len(rows):
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
    fields = [(attribute, _number_type(field)) for attribute, field in zip(attributes, inputs, strict=True)]
    names = {attribute: field.name for attribute, field in zip(attributes, inputs, strict=True)}
    return msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, gc=False)


def _number_type(field: Input) -> Any:
    # The range also keeps out infinity, which a number like 1e999 becomes in parsers that do not refuse it.
    if field.type == "int":
        return Annotated[int, msgspec.Meta(ge=int(field.min), le=int(field.max))]
    return Annotated[float, msgspec.Meta(ge=field.min, le=field.max)]
