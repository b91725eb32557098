"""``release/release.json``: all that the server knows about the model that it serves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import msgspec

FORMAT = 1
"""The only format of release.json that this server reads."""

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$")]
"""A feature's name. It may hold no colon, because the duplicate-key check of ``serving.body`` counts colons."""

Positive = Annotated[int, msgspec.Meta(gt=0)]


TAKES_AND_GIVES = {
    "tabular": (frozenset({"float", "int"}), "class"),
    "text": (frozenset({"text"}), "class"),
    "regression": (frozenset({"float", "int"}), "value"),
}
"""Kind -> the types that its inputs may have, and the type of its output."""


class CannotServe(Exception):
    """Why this release can't be served, in one line that a person can act on."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    pass


class Input(_Part, frozen=True):
    """One feature of a row, with the inclusive range that the server accepts: of a number's value, or of a text's length in characters."""

    name: Name
    type: Literal["float", "int", "text"]
    min: float
    max: float


class Output(_Part, frozen=True):
    """What a prediction is: one of ``labels``, which are in the order of the model's probabilities, or a value in ``unit``."""

    type: Literal["class", "value"]
    labels: tuple[str, ...] = ()
    unit: str = ""


class ReleaseFile(_Part, frozen=True):
    """The content of release.json."""

    format: int
    model: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,38}$")]
    release: Positive
    kind: Literal["tabular", "text", "regression"]
    inputs: Annotated[tuple[Input, ...], msgspec.Meta(min_length=1)]
    output: Output
    runtime: Literal["onnx", "skops"]
    tolerance: Annotated[float, msgspec.Meta(ge=0)]
    max_rows: Positive
    trusted_types: tuple[str, ...] = ()


def load(folder: Path) -> ReleaseFile:
    """Read ``<folder>/release.json``. Raises CannotServe with the key that does not fit."""
    path = folder / "release.json"
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CannotServe(f"{path} cannot be read: {error.strerror}; start in a release's folder (<bento>/src)") from None
    try:
        found = msgspec.json.decode(text, type=ReleaseFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CannotServe(f"{path} is not a release of this server: {' '.join(str(error).split())}; package it again") from None
    wrong = _contradiction(found)
    if wrong:
        raise CannotServe(f"{path} is not a release of this server: {wrong}; package it again")
    return found


def _contradiction(found: ReleaseFile) -> str:
    if found.format != FORMAT:
        return f"format is {found.format}, this server reads {FORMAT}"
    if found.runtime == "onnx" and found.trusted_types:
        return "trusted-types are for runtime skops only"
    wrong = (_wrong_input(field) for field in found.inputs)
    return _wrong_kind(found) or _wrong_names(found) or next(filter(None, wrong), "")


def _wrong_kind(found: ReleaseFile) -> str:
    types, output = TAKES_AND_GIVES[found.kind]
    other = sorted({field.type for field in found.inputs} - types)
    if other:
        return f"kind {found.kind} takes inputs of type {' or '.join(sorted(types))}, not {', '.join(other)}"
    if found.kind == "text" and len(found.inputs) > 1:
        return f"kind text takes one input, not {len(found.inputs)}"
    if found.output.type != output:
        return f"kind {found.kind} gives a {output}, not a {found.output.type}"
    if output == "class" and len(found.output.labels) < 2:
        return f"output.labels are fewer than two: {list(found.output.labels)}"
    return "output.labels are for classes only" if output == "value" and found.output.labels else ""


def _wrong_names(found: ReleaseFile) -> str:
    names = [field.name for field in found.inputs]
    if len(set(names)) != len(names):
        return "two inputs have the same name"
    return "two labels are the same" if len(set(found.output.labels)) != len(found.output.labels) else ""


def _wrong_input(field: Input) -> str:
    if not (math.isfinite(field.min) and math.isfinite(field.max) and field.min <= field.max):
        return f"input {field.name} has no finite range (min {field.min}, max {field.max})"
    is_whole = field.min.is_integer() and field.max.is_integer()
    if field.type == "int" and not is_whole:
        return f"input {field.name} is an int but its range is not (min {field.min}, max {field.max})"
    if field.type == "text" and not (is_whole and field.min >= 0):
        return f"input {field.name} is a text, but {field.min} to {field.max} are no lengths"
    return ""
