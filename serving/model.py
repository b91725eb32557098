"""The model of a release: rows in, numbers out, by onnxruntime or by scikit-learn as the fallback."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from serving.body import Row
from serving.kinds import inputs_of, outputs_of
from serving.release_file import CannotServe, ReleaseFile


class Model(Protocol):
    """What answers: a list of numbers for each row: probabilities in the order of the release's labels, or the one value."""

    def ask(self, rows: Sequence[Row]) -> list[list[float]]: ...


def load(folder: Path, release: ReleaseFile) -> Model:
    """The model of the release in a folder. Raises CannotServe when its file is missing, damaged or not of this release."""
    kinds: dict[str, type[OnnxModel] | type[SkopsModel]] = {"onnx": OnnxModel, "skops": SkopsModel}
    path = folder / f"model.{release.runtime}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CannotServe(f"{path} cannot be read: {error.strerror}; package the release again") from None
    try:
        return kinds[release.runtime](data, release)
    except CannotServe as error:
        raise CannotServe(f"{path} is not the model of this release: {error}; package the release again") from None
    except Exception as error:
        # The runtimes raise types of their own for a damaged file; whatever it was, the release can't be served.
        reason = " ".join(str(error).split())[:300]
        raise CannotServe(f"{path} does not load: {reason}; package the release again") from error


class OnnxModel:
    """A model in ONNX: one input (rows, inputs), and one output (rows, labels) of probabilities or (rows, 1) of values."""

    def __init__(self, data: bytes, release: ReleaseFile) -> None:
        # It would report its use, and leave files in the home folder.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # One request is microseconds of work: threads would only add hand-overs, and spin beside the other servers of this machine.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._inputs, width = inputs_of(release), outputs_of(release).width
        types = self._inputs.tensors
        if len(inputs) != 1 or inputs[0].type not in types or inputs[0].shape[1:] != [len(release.inputs)]:
            found = [(i.type, i.shape) for i in inputs]
            raise CannotServe(f"expected one input of {len(release.inputs)} {' or '.join(types)}, found {found}")
        fitting = [o.name for o in outputs if o.type in ("tensor(float)", "tensor(double)") and o.shape[1:] == [width]]
        if len(fitting) != 1:
            found = [(o.type, o.shape) for o in outputs]
            raise CannotServe(f"expected one output of {width} numbers a row, found {found}")
        self._input, self._dtype, self._outputs = inputs[0].name, types[inputs[0].type], fitting

    def ask(self, rows: Sequence[Row]) -> list[list[float]]:
        inputs = self._inputs.for_onnx(rows, self._dtype)
        answer: list[list[float]] = self._session.run(self._outputs, {self._input: inputs})[0].tolist()
        return answer


class SkopsModel:
    """A scikit-learn estimator in skops' format: nothing is built but the types that release.json names."""

    def __init__(self, data: bytes, release: ReleaseFile) -> None:
        import skops.io

        self._estimator = skops.io.loads(data, trusted=list(release.trusted_types))
        self._inputs, self._outputs = inputs_of(release), outputs_of(release)
        self._outputs.check(self._estimator)
        self._names = [field.name for field in release.inputs] if hasattr(self._estimator, "feature_names_in_") else None

    def ask(self, rows: Sequence[Row]) -> list[list[float]]:
        return self._outputs.ask(self._estimator, self._inputs.for_estimator(rows, self._names))
