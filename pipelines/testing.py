"""For the tests of a model: ask it as users will, with inputs by name. Of ours, a model's tests import this and nothing else."""

from __future__ import annotations

import os
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from pipelines import kinds, rows
from pipelines.model import Model, read
from pipelines.test import MODEL_VARIABLE
from pipelines.train import fit, load


class Asked:
    """A fitted model that answers one row at a time."""

    def __init__(self, model: Model, estimator: Any) -> None:
        self._model, self._kind = model, kinds.of(model)
        self._predict = self._kind.outputs.predict(estimator)

    def answer(self, **inputs: Any) -> Any:
        """The label, or the value."""
        found = self._ask(inputs)
        return found["label"] if "label" in found else found["value"]

    def chance(self, label: str, **inputs: Any) -> float:
        """The probability of a label."""
        return float(self._ask(inputs)["probabilities"][label])

    def _ask(self, inputs: dict[str, Any]) -> dict[str, Any]:
        if set(inputs) != set(self._model.inputs):
            raise TypeError(f"{self._model.name} takes {', '.join(self._model.inputs)}, not {', '.join(inputs)}")
        row = [inputs[name] for name in self._model.inputs]
        answers = self._predict(self._kind.inputs.of_rows([row]))
        return self._kind.outputs.predictions(self._model.output, answers)[0]


def model_of(test_file: str) -> Asked:
    """The model that a test is about (``model_of(__file__)``): the trained one in a pipeline run, else one that is fitted here.

    Raises ConfigError or StepFailed that says what the folder lacks.
    """
    folder = Path(test_file).resolve().parents[1]
    model = read(folder)
    trained = os.environ.get(MODEL_VARIABLE)
    if trained:
        return Asked(model, load(Path(trained), model.training.trusted_types))
    from pipelines.snapshot import collect

    with tempfile.TemporaryDirectory() as scratch:
        frame = collect(folder, model, date.max, scratch=Path(scratch))
    return Asked(model, fit(folder, model, rows.part(frame, held_out=False)))
