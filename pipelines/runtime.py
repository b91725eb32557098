"""A packaged model, asked in this process: the champion for a comparison, the new one for its golden answers. Never a pickle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.train import load

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]
    Predict = Callable[[Array], Array]


def open_release(release: Path) -> tuple[Predict, list[str]]:
    """What a ``release/`` folder answers: a function from inputs (rows, inputs) to probabilities (rows, labels), and the labels."""
    about = json.loads((release / "release.json").read_bytes())
    labels: list[str] = about["output"]["labels"]
    if about["runtime"] == "onnx":
        return open_onnx(release / "model.onnx"), labels
    return open_estimator(load(release / "model.skops", about.get("trusted-types", []))), labels


def open_onnx(path: Path) -> Predict:
    """An ONNX model that takes float32 ``rows`` and answers label and probabilities."""
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path.read_bytes(), sess_options=options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    answer = session.get_outputs()[1].name
    return lambda inputs: numpy.asarray(session.run([answer], {name: inputs.astype("float32")})[0])


def open_estimator(estimator: Any) -> Predict:
    """A scikit-learn classifier; the order of its probabilities is that of the labels (``train`` sees to it)."""
    import numpy

    return lambda inputs: numpy.asarray(estimator.predict_proba(inputs))
