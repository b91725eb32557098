"""Golden requests: chosen from the holdout and the corners of the schema; their answers are recorded once, and replayed before traffic."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pipelines import kinds
from pipelines.model import Model

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


def choose(model: Model, holdout: Array, predict: Callable[[Array], Array]) -> list[list[Any]]:
    """Up to ``model.golden`` rows whose answer is clear: corners first, then holdout rows spread evenly over the answers."""
    inputs, outputs = kinds.of(model).inputs, kinds.of(model).outputs
    edge = inputs.corners(model, holdout)
    edge = edge[outputs.is_clear(predict(edge))]
    seen = inputs.distinct(holdout)
    answers = predict(seen)
    clear = outputs.is_clear(answers)
    seen, group = seen[clear], outputs.groups(answers[clear])
    groups = [inputs.to_rows(seen[group == each]) for each in range(int(group.max(initial=-1)) + 1)]
    spread = [row for layer in itertools.zip_longest(*groups) for row in layer if row is not None]
    return [*inputs.to_rows(edge), *spread][: model.golden]


def as_lines(model: Model, chosen: Sequence[Sequence[Any]], answers: Array) -> bytes:
    """golden.jsonl: one request with its response a line; one row each, then all rows in one request."""
    lines = [_line(model, [row], answers[at : at + 1]) for at, row in enumerate(chosen)]
    together = chosen[: model.maximum_rows]
    return b"".join([*lines, _line(model, together, answers[: len(together)])])


def _line(model: Model, group: Sequence[Sequence[Any]], answers: Array) -> bytes:
    kind = kinds.of(model)
    request = {"rows": [kind.inputs.as_request(model, row) for row in group]}
    predictions = kind.outputs.predictions(model.output, answers)
    return json.dumps({"request": request, "response": {"predictions": predictions}}, allow_nan=False).encode() + b"\n"
