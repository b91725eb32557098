"""The model in the form in which it serves: ONNX when it answers like scikit-learn, the oracle; skops when it does not, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.kinds import Kind
from pipelines.runtime import open_onnx

if TYPE_CHECKING:
    import numpy

    from pipelines.runtime import Predict

    Array = numpy.ndarray[Any, Any]


@dataclass(frozen=True)
class Exported:
    """``difference``: the largest one in any number between the runtime and scikit-learn; ``because``: why it is not ONNX."""

    runtime: str
    file: str
    predict: Predict
    difference: float
    because: str | None


def export(estimator: Any, saved: Path, folder: Path, *, kind: Kind, probes: Array, tolerance: float) -> Exported:
    """Write ``model.onnx`` or ``model.skops`` into a folder.

    ``probes`` are the rows on which both must give the same label, and every probability or value within ``tolerance``.
    """
    oracle = kind.outputs.predict(estimator)
    path = folder / "model.onnx"
    because: str
    try:
        path.write_bytes(_as_onnx(estimator, kind, probes))
        predict = open_onnx(path)
        expected, given = oracle(probes), predict(probes)
        difference = float(abs(expected - given).max())
        turned = kind.outputs.turned(expected, given)
        if difference <= tolerance and not turned:
            return Exported(runtime="onnx", file=path.name, predict=predict, difference=difference, because=None)
        because = f"ONNX differs from scikit-learn by {difference:.2g} in {kind.outputs.number()}, and in {turned} of {len(probes)} answers"
    except OSError:
        raise
    except Exception as error:  # converters raise errors of any type for what they do not know
        because = f"no ONNX form: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    path.unlink(missing_ok=True)
    (folder / saved.name).write_bytes(saved.read_bytes())
    return Exported(runtime="skops", file=saved.name, predict=oracle, difference=0.0, because=because)


def _as_onnx(estimator: Any, kind: Kind, probes: Array) -> bytes:
    from skl2onnx import to_onnx

    options = {**kind.inputs.onnx_options(), **kind.outputs.onnx_options(estimator)}
    graph = to_onnx(estimator, initial_types=[("rows", kind.inputs.onnx_type(probes))], options=options or None)
    return bytes(graph.SerializeToString())
