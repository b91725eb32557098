"""model.yaml: what is wrong is refused with file, key, value, what is allowed and the next act."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.errors import ConfigError
from pipelines.model import as_cell, read

ROOT = Path(__file__).resolve().parents[3]
C = {"min": 0.01, "max": 100, "scale": "log"}
SEARCH = {"trials": 10, "metric": "accuracy", "time-limit-seconds": 60, "space": {"C": C}}


def test_every_model_of_the_repository_is_right() -> None:
    folders = [path.parent for path in (ROOT / "models").glob("*/model.yaml")]
    assert folders
    assert [read(folder).name for folder in folders] == [folder.name.replace("_", "-") for folder in folders]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gates.comparison.margn": 0.1}, ["models/iris/model.yaml: gates.comparison.margn", "unknown key 'margn'", "allowed:", "margin"]),
        ({"schedule": "sometimes"}, ["model.yaml: schedule", "'sometimes'", "five fields of cron"]),
        ({"colour": "red"}, ["models/iris/model.yaml: colour", "unknown key", "golden"]),
        ({"memory-limit-mib": 0}, ["model.yaml: memory-limit-mib", "greater than or equal to 1", "75 % of the machine's"]),
        ({"memory-limit-mib": "4 GB"}, ["model.yaml: memory-limit-mib", "'4 GB'", "in MiB"]),
        ({"holdout": 1.5}, ["model.yaml: holdout", "got:     1.5", "Share of the rows"]),
        ({"holdout": "a third"}, ["model.yaml: holdout", "'a third'"]),
        ({"golden": 5}, ["model.yaml: golden", "30"]),
        ({"output.labels": ["setosa"]}, ["output.labels", "at least 2"]),
        ({"output.labels": ["b", "a"]}, ["output.labels", "alphabetical"]),
        ({"output.labels": ["a", "a"]}, ["output.labels", "differ"]),
        ({"output.column": "petal_width_cm"}, ["an input and the output"]),
        ({"inputs.petal_width_cm.max": 0.0}, ["inputs.petal_width_cm", "min must be below max"]),
        ({"inputs.petal_width_cm.max": float("inf")}, ["inputs.petal_width_cm.max", "finite"]),
        ({"inputs.petal_width_cm.type": "number"}, ["inputs.petal_width_cm.type", "'number'", "'float', 'int' or 'text'"]),
        ({"inputs": {}}, ["inputs", "at least 1"]),
        ({"name": "Iris"}, ["name", "'Iris'"]),
        ({"name": "roses"}, ["name", "is not the folder's", "allowed: iris"]),
        ({"gates.minimum": {"precision": 0.5}}, ["gates.minimum.precision", "accuracy"]),
        ({"gates.minimum": {}, "gates.maximum": {}}, ["gates", "at least one threshold"]),
        ({"gates.minimum": {"log-loss": 0.5}}, ["gates.minimum", "of log-loss less is better: hold it under maximum"]),
        ({"gates.maximum": {"accuracy": 0.9}}, ["gates.maximum", "of accuracy more is better: hold it under minimum"]),
        ({"gates.minimum": {"accuracy": 85}}, ["gates.minimum", "accuracy is above 0 and at most 1, not 85"]),
        ({"gates.minimum": {"accuracy": 0}}, ["gates.minimum", "accuracy is above 0 and at most 1, not 0"]),
        ({"gates.minimum": {"macro-f1": -1}}, ["gates.minimum", "macro-f1 is above 0 and at most 1, not -1"]),
        ({"gates.comparison": {"metric": "accuracy", "margin": 1}}, ["gates.comparison", "a margin in accuracy is below 1, not 1"]),
        ({"gates.comparison.insufficient-evidence": "allow"}, ["gates.comparison", "allowed-because"]),
        ({"gates.comparison": {"metric": "accuracy"}}, ["'margin' is missing", "gates.comparison.margin"]),
        ({"search": SEARCH | {"trails": 5}}, ["model.yaml: search.trails", "unknown key 'trails'", "allowed:", "time-limit-seconds"]),
        ({"search": SEARCH | {"space": {"c": C}}}, ["search.space varies c", "it holds C, max-iterations"]),
        ({"search": SEARCH | {"space": {}}}, ["model.yaml: search.space", "at least 1"]),
        ({"search": SEARCH | {"space": {"C": {}}}}, ["model.yaml: search.space.C", "holds nothing to try"]),
        ({"search": SEARCH | {"space": {"C": {"choices": []}}}}, ["search.space.C.choices", "at least 2"]),
        ({"search": SEARCH | {"space": {"C": {"choices": [1.0]}}}}, ["search.space.C.choices", "at least 2"]),
        ({"search": SEARCH | {"space": {"C": {"min": 5}}}}, ["search.space.C", "min and max"]),
        ({"search": SEARCH | {"space": {"C": {"min": 5, "max": 5}}}}, ["search.space.C", "min below max"]),
        (
            {"search": SEARCH | {"space": {"C": {"min": 0, "max": 5, "scale": "log"}}}},
            ["search.space.C", "scale log needs min above 0, not 0"],
        ),
        ({"search": SEARCH | {"space": {"C": {"min": 0, "max": 0.5, "type": "int"}}}}, ["search.space.C", "whole numbers, not 0 and 0.5"]),
        ({"search": SEARCH | {"space": {"C": {"choices": [1, 2], "max": 5}}}}, ["search.space.C", "not both"]),
        ({"search": SEARCH | {"space": {"C": {"low": 1}}}}, ["search.space.C.low", "unknown key 'low'", "choices, type, min, max, scale"]),
        ({"search": SEARCH | {"metric": "mae"}}, ["search.metric is one of accuracy, macro-f1, log-loss, not mae"]),
        ({"search": SEARCH | {"direction": "minimise"}}, ["search.direction of accuracy is maximise, not minimise"]),
        ({"search": SEARCH | {"trials": 1}}, ["model.yaml: search.trials", "2"]),
        ({"search": {"trials": 3}}, ["is missing", "the keys of 'search'"]),
        ({"search": SEARCH | {"time-limit-seconds": 0}}, ["search.time-limit-seconds", "greater than 0", "For all trials"]),
        ({"data": {}}, ["data.minimum-rows", "is missing", "batches"]),
    ],
)
def test_what_is_wrong_is_named(model_folder: Callable[..., Path], change: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(model_folder(**change))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("- a\n- b\n", "no mapping"),
        ("name: iris\nname: roses\n", "'name' stands twice (line 2)"),
        ("name: iris\ninputs: {a: {type: float, min: 0, min: 1}}\n", "'min' stands twice (line 2)"),
        ("a: &a [1]\nb: *a\n", "aliases are not allowed"),
        ("a: [1, 2\n", "not plain YAML"),
        ("a: !!python/object/apply:os.system [ls]\n", "not plain YAML"),
        ("? [a]\n: 1\n", "plain text"),
        ("# " + "x" * 300_000, "far too large"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(model_folder: Callable[..., Path], text: str, words: str) -> None:
    folder = model_folder()
    (folder / "model.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"models/iris/model\.yaml") as caught:
        read(folder)
    assert words in str(caught.value)


def test_a_model_that_is_not_there_is_named_with_those_that_are(model_folder: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="no such model") as caught:
        read(model_folder().parent / "roses")
    assert "allowed: iris" in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "kind", "expected"),
    [
        ("1.5", "float", 1.5),
        ("3", "int", 3),
        ("3.0", "int", 3),
        ("3.5", "int", None),
        ("x", "float", None),
        ("nan", "float", None),
        ("1e999", "float", None),
        ("", "float", None),
        (None, "float", None),
    ],
)
def test_cells(cell: object, kind: str, expected: object) -> None:
    assert as_cell(cell, kind) == expected
