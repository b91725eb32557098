"""Golden requests: chosen from the holdout and the corners of the schema; their answers are recorded once, and replayed before traffic."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.model import Model

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

MAX_CORNERS = 16
CLEAR_LEAD = 1e-3
"""The best label leads the second by at least this: a difference within the tolerance can never turn the answer."""


def corners(model: Model) -> list[list[float]]:
    """Rows at the ends of the allowed ranges: all low, all high, then every mix until there are enough."""
    ends = [(each.min, each.max) for each in model.inputs.values()]
    mixes = itertools.islice(itertools.product(*ends), MAX_CORNERS - 1)
    highest = [high for _, high in ends]
    return [list(mix) for mix in mixes if list(mix) != highest] + [highest]


def choose(model: Model, holdout: Array, predict: Callable[[Array], Array]) -> list[list[float]]:
    """Up to ``model.golden`` rows whose answer is clear: corners first, then holdout rows spread evenly over the answers."""
    import numpy

    edge = numpy.array(corners(model))
    edge = edge[_is_clear(predict(edge))]
    seen = numpy.unique(holdout, axis=0)
    answers = predict(seen)
    clear = _is_clear(answers)
    seen, best = seen[clear], answers[clear].argmax(axis=1)
    groups = [list(seen[best == label]) for label in range(answers.shape[1])]
    spread = [row for layer in itertools.zip_longest(*groups) for row in layer if row is not None]
    chosen = [*edge, *spread][: model.golden]
    return [[float(value) for value in row] for row in chosen]


def as_lines(model: Model, chosen: Sequence[Sequence[float]], answers: Array) -> bytes:
    """golden.jsonl: one request with its response a line; one row each, then all rows in one request."""
    lines = [_line(model, [row], answers[at : at + 1]) for at, row in enumerate(chosen)]
    together = chosen[: model.maximum_rows]
    return b"".join([*lines, _line(model, together, answers[: len(together)])])


def _is_clear(answers: Array) -> Any:
    import numpy

    ordered = numpy.sort(answers, axis=1)
    return ordered[:, -1] - ordered[:, -2] >= CLEAR_LEAD


def _line(model: Model, group: Sequence[Sequence[float]], answers: Array) -> bytes:
    kinds = [each.type for each in model.inputs.values()]
    request = {
        "rows": [
            {name: int(value) if kind == "int" else value for name, value, kind in zip(model.inputs, row, kinds, strict=True)}
            for row in group
        ]
    }
    labels = model.output.labels
    predictions = [
        {"label": labels[int(answer.argmax())], "probabilities": {label: float(p) for label, p in zip(labels, answer, strict=True)}}
        for answer in answers
    ]
    return json.dumps({"request": request, "response": {"predictions": predictions}}, allow_nan=False).encode() + b"\n"
