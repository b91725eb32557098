"""Contract of the list of steps: any runner can run it, and no step knows which one does."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import subprocess
import sys
import time
import typing
from pathlib import Path

import msgspec
import pytest

from pipelines import artifacts
from pipelines.record import GATES
from pipelines.steps import STEPS, Step
from pipelines.words import describe
from pipelines.work import Work

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"pulumi", "pandas", "numpy", "sklearn", "mlflow", "great_expectations", "bentoml"}
EXAMPLES: dict[type, typing.Any] = {str: "x", int: 3, float: 0.5}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_needs_only_what_steps_before_it_give(step: Step) -> None:
    before = {each.gives: each.result_type() for each in STEPS[: STEPS.index(step)]}
    hints = typing.get_type_hints(step.load())
    first, *others = inspect.signature(step.load()).parameters
    assert hints[first] is Work
    for name in others:
        assert hints[name] is before[name]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_an_artifact_is_frozen_goes_through_json_and_has_words(step: Step) -> None:
    kind = step.result_type()
    assert kind.__dataclass_params__.frozen
    sample = _sample(kind)
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(sample)), kind) == sample
    assert describe(sample) != str(sample)


def test_steps_have_names_of_their_own() -> None:
    assert len({step.name for step in STEPS}) == len({step.gives for step in STEPS}) == len(STEPS)


def test_each_gate_of_a_record_is_raised_somewhere() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "pipelines").glob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "GateFailed"]
    raised = {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
    assert raised == set(GATES)


def test_the_steps_load_neither_the_engine_nor_heavy_packages() -> None:
    modules = ", ".join(f"pipelines.{step.function.split('.')[0]}" for step in STEPS)
    code = f"import sys, {modules}, pipelines.run; print(sorted(set(sys.modules) & {HEAVY}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["release", "--help"], ["changed", "--help"]])
def test_help_is_instant(arguments: list[str]) -> None:
    """0.3 s is the goal; the best of three, against the bare start of Python, so that a busy machine does not decide."""
    bare = min(_seconds(["-c", "pass"]) for _ in range(3))
    assert min(_seconds(["-m", "pipelines", *arguments]) for _ in range(3)) < 0.3 + bare


def _seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - started


def _sample(kind: typing.Any) -> typing.Any:
    values = {}
    for name, hint in typing.get_type_hints(kind).items():
        parts = typing.get_args(hint)
        if dataclasses.is_dataclass(hint):
            values[name] = _sample(hint)
        elif typing.get_origin(hint) is tuple:
            values[name] = ("x",)
        elif typing.get_origin(hint) is dict:
            values[name] = {"accuracy": _sample(artifacts.Interval) if parts[1] is artifacts.Interval else 0.5}
        elif parts and type(None) in parts:
            values[name] = _sample(parts[0]) if dataclasses.is_dataclass(parts[0]) else EXAMPLES[parts[0]]
        else:
            values[name] = EXAMPLES[hint]
    return kind(**values)
