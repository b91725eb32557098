"""What orchestrators are told: which models there are, when each is due, and the command that runs a step."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import orchestrated
from pipelines.model import read
from pipelines.orchestrated import command, cron_of, models, schedule_of
from pipelines.release import _read
from pipelines.steps import STEPS

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("schedule", "cron"),
    [
        ("weekly", "0 5 * * 1"),
        ("never", None),
        ("*/15 * * * *", "*/15 * * * *"),
        ("0 6 1-7,15 * 1-5", "0 6 1-7,15 * 1-5"),
    ],
)
def test_a_schedule_is_a_word_or_cron(schedule: str, cron: str | None) -> None:
    assert cron_of(schedule) == cron


@pytest.mark.parametrize("schedule", ["", "yearly", "0 5 * *", "60 * * * *", "0 24 * * *", "0 5 * * 7", "0 5 9-3 * *", "0  5 * * 1"])
def test_what_is_neither_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match="hourly, daily, weekly, monthly, never"):
        cron_of(schedule)


@pytest.mark.parametrize("text", ["schedule: sometimes", "schedule: 7", "schedule: [daily]", "- a", ": :", "", "name: x"])
def test_a_file_that_cannot_be_read_hurts_no_other_model(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.yaml").write_text(text)
    assert schedule_of(tmp_path) == cron_of("weekly")
    assert schedule_of(tmp_path / "gone") == cron_of("weekly")


def test_the_same_models_with_the_same_schedules_as_the_pipeline_sees(tmp_path: Path) -> None:
    found = models(ROOT)
    assert "docs-router" in found
    for name, folder in found.items():
        model = read(folder)
        assert (model.name, cron_of(model.schedule)) == (name, schedule_of(folder))
    (tmp_path / "model.yaml").write_text("schedule: daily\n")
    assert schedule_of(tmp_path) == cron_of("daily")


@pytest.mark.parametrize("step", [step.name for step in STEPS])
def test_the_command_is_one_that_the_pipeline_takes(step: str) -> None:
    _, is_apart, _, package, name, *arguments = command("/srv/ml", "docs-router", step, "2026-10-31", "local")
    assert (is_apart, package, name) == ("-E", "pipelines", "release")
    options = _read(arguments)
    assert (options.models, options.through, str(options.until), options.as_json) == (["docs-router"], step, "2026-10-31", True)


def test_an_orchestrator_needs_none_of_the_project_s_packages() -> None:
    """``-S``: without any site-packages. PyYAML comes with every orchestrator, and is loaded when a schedule is read."""
    code = "import pipelines.steps, pipelines.orchestrated as o, pathlib; print(sorted(o.models(pathlib.Path())))"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sorted(orchestrated.models(ROOT)))
