"""Small real releases for tests and benchmarks: models of scikit-learn, packaged as the pipeline lays them out."""

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
    return _with_server(src)


def _with_server(src: Path) -> Path:
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


TOPICS = {
    "cooking": [
        "boil the potatoes in salted water",
        "bake the bread until it is brown",
        "fry onions in butter",
        "season the soup with salt",
    ],
    "weather": [
        "rain is expected in the morning",
        "a storm comes with strong wind",
        "sunny and warm all week",
        "snow falls in the mountains",
    ],
}
TEXT = {
    "model": "topics",
    "kind": "text",
    "inputs": [{"name": "text", "type": "text", "min": 3, "max": 2000}],
    "output": {"type": "class", "labels": list(TOPICS)},
    "max_rows": 8,
}
GOOD_TEXT = {"text": "boil the onions in salted butter"}


def build_text(src: Path, *, runtime: Literal["onnx", "skops"] = "onnx", release: int = 7) -> Path:
    """Lay out ``<src>`` as a release that tells cooking from weather."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts = [text for topic in TOPICS.values() for text in topic]
    labels = [label for label, topic in TOPICS.items() for _ in topic]
    model = make_pipeline(TfidfVectorizer(token_pattern="[a-zA-Z]+"), LogisticRegression(C=10)).fit(texts, labels)
    folder = src / "release"
    folder.mkdir(parents=True)
    if runtime == "onnx":
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import StringTensorType

        options = {TfidfVectorizer: {"locale": "C"}, id(model): {"zipmap": False}}
        graph = to_onnx(model, initial_types=[("rows", StringTensorType([None, 1]))], options=options)
        (folder / "model.onnx").write_bytes(graph.SerializeToString())
    else:
        import skops.io

        skops.io.dump(model, folder / "model.skops")
    (folder / "release.json").write_text(json.dumps(release_json(**TEXT, runtime=runtime, release=release)))
    names = list(TOPICS)
    lines = [
        {
            "request": {"rows": [{"text": text}]},
            "response": {"predictions": [{"label": names[row.index(max(row))], "probabilities": dict(zip(names, row, strict=True))}]},
        }
        for text, row in zip(texts, model.predict_proba(texts).tolist(), strict=True)
    ]
    (folder / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return _with_server(src)


REGRESSION = {
    "model": "petals",
    "kind": "regression",
    "inputs": [{"name": "length", "type": "float", "min": 0.0, "max": 30.0}, {"name": "count", "type": "int", "min": 1, "max": 9}],
    "output": {"type": "value", "unit": "cm"},
    "tolerance": 0.01,
}


def build_regression(src: Path, *, runtime: Literal["onnx", "skops"] = "onnx", release: int = 7) -> Path:
    """Lay out ``<src>`` as a release that answers 3 * length + count, nearly."""
    import numpy as np
    from sklearn.linear_model import LinearRegression

    inputs = np.array([[length, count] for length in range(0, 30, 3) for count in range(1, 10)], dtype="float64")
    model = LinearRegression().fit(inputs, inputs @ [3.0, 1.0])
    folder = src / "release"
    folder.mkdir(parents=True)
    if runtime == "onnx":
        from skl2onnx import to_onnx

        (folder / "model.onnx").write_bytes(to_onnx(model, inputs[:1].astype(np.float32)).SerializeToString())
    else:
        import skops.io

        skops.io.dump(model, folder / "model.skops")
    (folder / "release.json").write_text(json.dumps(release_json(**REGRESSION, runtime=runtime, release=release)))
    lines = [
        {"request": {"rows": [{"length": row[0], "count": int(row[1])}]}, "response": {"predictions": [{"value": value}]}}
        for row, value in zip(inputs.tolist(), model.predict(inputs).tolist(), strict=True)
    ]
    (folder / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return _with_server(src)
