"""A packaged model, asked in this process: the champion for a comparison, the new one for its golden answers. Never a pickle."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.kinds import KINDS
from pipelines.train import load

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]
    Predict = Callable[[Array], Array]


def open_release(release: Path) -> tuple[Predict, list[str]]:
    """What a ``release/`` folder answers: a function from features to answers (see ``pipelines.kinds``), and its labels, if any."""
    about = json.loads((release / "release.json").read_bytes())
    labels: list[str] = about["output"].get("labels", [])
    if about["runtime"] == "onnx":
        return open_onnx(release / "model.onnx"), labels
    estimator = load(release / "model.skops", about.get("trusted-types", []))
    return KINDS[about["kind"]].outputs.predict(estimator), labels


def open_onnx(path: Path) -> Predict:
    """An ONNX model with one input, whose last output is its probabilities or values."""
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path.read_bytes(), sess_options=options, providers=["CPUExecutionProvider"])
    takes, answer = session.get_inputs()[0], session.get_outputs()[-1].name
    feed = _FEEDS[takes.type]
    return lambda inputs: numpy.asarray(session.run([answer], {takes.name: feed(inputs)})[0])


_FEEDS: Mapping[str, Callable[[Array], Array]] = {
    "tensor(float)": lambda inputs: inputs.astype("float32"),
    "tensor(double)": lambda inputs: inputs.astype("float64"),
    "tensor(string)": lambda inputs: inputs.reshape(-1, 1),
}
