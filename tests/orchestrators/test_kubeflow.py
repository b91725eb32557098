"""The list of steps as a Kubeflow pipeline: compiled by the real compiler, run by the real local runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.steps import STEPS
from tests.orchestrators.checkout import FIRST, Checkout

RUN = ("kubeflow", "run", "iris", "--until", FIRST)


@pytest.mark.timeout(600)
def test_bad_data_fails_the_run_and_what_was_done_is_not_done_again(checkout: Checkout, by_command: dict[str, Any]) -> None:
    good = checkout.batch.read_bytes()
    checkout.spoil()
    status, said = checkout.run(*RUN)
    assert status == 1, said
    assert "gate 'data': expect_column_values_to_be_of_type failed for column 'sepal_length_cm'" in said
    assert "Inner task failed: 'validate'." in said
    assert not (checkout.store / "steps" / "iris" / "train").exists()

    checkout.batch.write_bytes(good)
    said = checkout.kill_after("  evaluate ", *RUN)
    assert checkout.numbers() == []

    status, said = checkout.run(*RUN)
    assert status == 0, said
    for name in ("snapshot", "interface", "validate", "train", "test"):
        lines = [line for line in said.splitlines() if f"  {name:<10} " in line]
        assert lines and all(line.endswith("(done before)") for line in lines), said
    assert checkout.made(1) == by_command


def test_the_compiled_pipeline_is_the_list_of_steps(checkout: Checkout, tmp_path: Path) -> None:
    path = tmp_path / "release.yaml"
    status, said = checkout.run("kubeflow", "compile", str(path), "--image", "registry.example.org/ml@sha256:00", "--checkout", "/srv/ml")
    assert status == 0, said
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    tasks = document["root"]["dag"]["tasks"]
    names = [step.name for step in STEPS]
    assert set(tasks) == set(names)
    for name, before in zip(names, [None, *names], strict=False):
        assert tasks[name].get("dependentTasks") == ([before] if before else None)
        assert tasks[name]["inputs"]["parameters"]["step"]["runtimeValue"]["constant"] == name
        assert not tasks[name]["cachingOptions"].get("enableCache")
        assert tasks[name]["retryPolicy"]["maxRetryCount"] == 2
    executors = document["deploymentSpec"]["executors"].values()
    assert {executor["container"]["image"] for executor in executors} == {"registry.example.org/ml@sha256:00"}
    assert "pip install" not in path.read_text(encoding="utf-8")
