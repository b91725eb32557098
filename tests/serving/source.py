"""Small real releases for tests and benchmarks: an iris classifier of scikit-learn, packaged as the pipeline lays it out."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

SERVING = Path(__file__).resolve().parents[2] / "serving"
NAMES = ("sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm")
LABELS = ("setosa", "versicolor", "virginica")
GOOD_ROW = dict(zip(NAMES, (5.1, 3.5, 1.4, 0.2), strict=True))

Kind = Literal["logistic", "forest"]


def build(src: Path, *, kind: Kind = "logistic", runtime: Literal["onnx", "skops"] = "onnx", release: int = 7) -> Path:
    """Train a classifier and lay out ``<src>`` as a release: service.py, serving/, release/."""
    import numpy as np
    from sklearn.datasets import load_iris

    features, target = load_iris(return_X_y=True)
    classifier = estimator(kind).fit(features, target)
    folder = src / "release"
    folder.mkdir(parents=True)
    if runtime == "onnx":
        from skl2onnx import to_onnx

        model = to_onnx(classifier, features[:1].astype(np.float32), options={"zipmap": False})
        (folder / "model.onnx").write_bytes(model.SerializeToString())
    else:
        import skops.io

        classifier.note = Fraction(1, 2)  # a type that skops loads only when release.json trusts it
        skops.io.dump(classifier, folder / "model.skops")
    trusted = {"trusted_types": ["fractions.Fraction"]} if runtime == "skops" else {}
    (folder / "release.json").write_text(json.dumps(release_json(runtime=runtime, release=release, **trusted)))
    with (folder / "golden.jsonl").open("w") as file:
        for row, probabilities in zip(features[::5], classifier.predict_proba(features[::5]), strict=True):
            file.write(json.dumps(golden_line(row.tolist(), probabilities.tolist())) + "\n")
    shutil.copytree(SERVING, src / "serving", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SERVING / "service.py", src / "service.py")
    return src


def estimator(kind: Kind) -> Any:
    """The classifier that a kind of release is made of."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000) if kind == "logistic" else RandomForestClassifier(100, random_state=0)


def release_json(**changes: Any) -> dict[str, Any]:
    """A right release.json with some of its keys changed (underscores stand for dashes)."""
    plain: dict[str, Any] = {
        "format": 1,
        "model": "iris",
        "release": 7,
        "kind": "tabular",
        "inputs": [{"name": name, "type": "float", "min": 0.0, "max": 30.0} for name in NAMES],
        "output": {"type": "class", "labels": list(LABELS)},
        "runtime": "onnx",
        "tolerance": 1e-5,
        "max-rows": 1000,
    }
    return plain | {key.replace("_", "-"): value for key, value in changes.items()}


def golden_line(row: list[float], probabilities: list[float]) -> dict[str, Any]:
    """A golden request and its answer."""
    label = LABELS[probabilities.index(max(probabilities))]
    return {
        "request": {"rows": [dict(zip(NAMES, row, strict=True))]},
        "response": {"predictions": [{"label": label, "probabilities": dict(zip(LABELS, probabilities, strict=True))}]},
    }
