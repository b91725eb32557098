"""Rules over one model's folder: what it lacks, in words for the person who is to add it. Empty when nothing."""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator
from pathlib import Path

from infra.errors import DeliveryError
from pipelines import suite
from pipelines.model import Model, read


def lacks(folder: Path) -> list[str]:
    """Everything that the folder lacks."""
    try:
        model = read(folder)
    except DeliveryError as error:
        return [str(error)]
    return [*_code(folder), *_tests(folder), *_data(folder, model), *_suite(folder, model), *_readme(folder, model)]


def _code(folder: Path) -> Iterator[str]:
    arguments = _functions(folder / "train.py").get("estimator")
    if arguments is None:
        yield "train.py: write a function estimator(parameters, seed) that returns a scikit-learn estimator that is not fitted yet"
    elif len(arguments) != 2:
        yield f"train.py: estimator takes two arguments, parameters and seed, not {', '.join(arguments) or 'none'}"


def _tests(folder: Path) -> Iterator[str]:
    files = sorted((folder / "tests").glob("test_*.py"))
    if not any(name.startswith("test_") for path in files for name in _functions(path)):
        yield f"tests/test_{folder.name}.py: write a test of what the model must be able to do; without one no release is made"


def _data(folder: Path, model: Model) -> Iterator[str]:
    if model.data.source == "python":
        if "batches" not in _functions(folder / "data.py"):
            yield "data.py: write a function batches(until) that yields pairs of a date and that day's rows"
        return
    batches = sorted((folder / model.data.batches).glob("*.csv"))
    if not batches:
        yield f"{model.data.batches}/: put a CSV file there for each day on which rows arrive, named YYYY-MM-DD.csv"
    wanted = {*model.inputs, model.output.column}
    for path in batches:
        with path.open(encoding="utf-8", newline="") as file:
            found = set(next(csv.reader(file), []))
        if found != wanted:
            yield f"{path.relative_to(folder)}: has columns {sorted(found)}, model.yaml names {sorted(wanted)}"


def _suite(folder: Path, model: Model) -> Iterator[str]:
    try:
        suite.read(folder, model)
    except DeliveryError as error:
        yield str(error)


def _readme(folder: Path, model: Model) -> Iterator[str]:
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not text.startswith("# "):
        yield f"README.md: say what {model.name} is for, under a heading '# {model.name}'"
    if "## Why these thresholds" not in text:
        yield "README.md: say under '## Why these thresholds' why the gates of model.yaml are what they are"


def _functions(path: Path) -> dict[str, list[str]]:
    """The functions of a file, each with the names of its arguments; none of a file that is missing or no Python."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return {}
    return {node.name: [each.arg for each in node.args.args] for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
