"""What make says to a mistake, and that nothing given to it is ever run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from toolchain import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the real Makefile and checks, one model, one stack, and a `toolchain/run` that prints its arguments one a line."""
    (tmp_path / "toolchain").mkdir()
    for name in ("Makefile", "toolchain/require"):
        shutil.copy(ROOT / name, tmp_path / name)
    run = tmp_path / "toolchain" / "run"
    run.write_text('#!/bin/sh\nfor argument; do echo "<$argument>"; done\n')
    run.chmod(0o755)
    (tmp_path / "models" / "iris").mkdir(parents=True)
    (tmp_path / "models" / "iris" / "model.yaml").touch()
    (tmp_path / "Pulumi.local.yaml").touch()
    (tmp_path / "Pulumi.dev.yaml").touch()
    return tmp_path


def make(clone: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run make in ``clone`` with a clean set of variables."""
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME")}
    return subprocess.run(["make", *arguments], cwd=clone, env={**kept, **environ}, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize(("arguments", "said"), [
    (["promote"], "MODEL is missing; allowed: a model of models/ with a model.yaml (iris); example: make promote MODEL=iris RELEASE=2"),
    (["promote", "MODEL=iris"], "RELEASE is missing; allowed: a release's number, 1 or more; example: make promote MODEL=iris RELEASE=2"),
    (["promote", "MODEL=iris", "RELEASE=abc"], "RELEASE=abc is not allowed"),
    (["promote", "MODEL=iris", "RELEASE=0"], "RELEASE=0 is not allowed"),
    (["promote", "MODEL=iris", "RELEASE=-1"], "RELEASE=-1 is not allowed"),
    (["promote", "MODEL=iris", "RELEASE=2", "COMMIT=yes"], "COMMIT=yes is not allowed; allowed: 1, or leave it out"),
    (["promote", "MODEL=rose", "RELEASE=2"], "MODEL=rose is not allowed"),
    (["release", "MODEL=../iris"], "MODEL=../iris is not allowed"),
    (["release", "MODEL=iris", "UNTIL=tomorrow"], "UNTIL=tomorrow is not allowed; allowed: a date, YYYY-MM-DD"),
    (["release", "MODEL=iris", "FORCE=2"], "FORCE=2 is not allowed"),
    (["preview", "OFFLINE=yes"], "OFFLINE=yes is not allowed; allowed: 1, or leave it out; example: make preview STACK=prod OFFLINE=1"),
    (["up", "STACK=moon"], "STACK=moon is not allowed; allowed: a stack with a Pulumi.<stack>.yaml (dev, local); example: make up STACK="),
    (["up", "STACK="], "STACK is missing"),
    (["status", "STACK=moon"], "make status: STACK=moon"),
    (["card", "MODEL=iris"], "RELEASE is missing; allowed: a release's number, 1 or more; example: make card MODEL=iris RELEASE=2"),
    (["new-model"], "NAME is missing; allowed: a letter, then lower-case letters, digits and dashes"),
    (["new-model", "NAME=Churn"], "NAME=Churn is not allowed"),
    (["new-model", "NAME=../x"], "NAME=../x is not allowed"),
    (["new-model", f"NAME={40 * 'x'}"], "at most 39 in all; example: make new-model NAME=churn KIND=tabular"),
    (["new-model", "NAME=churn", "KIND=image"], "KIND=image is not allowed; allowed: tabular, text or regression"),
    (["logs", "MODEL=rose"], "make logs: MODEL=rose"),
])  # fmt: skip
def test_a_mistake_is_one_line_with_the_way_out(clone: Path, arguments: list[str], said: str) -> None:
    ended = make(clone, *arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    lines = [line for line in ended.stderr.splitlines() if "***" not in line]
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize(
    "hostile",
    ["$(shell touch pwned)", "$$(touch pwned)", "`touch pwned`", '"; touch pwned; "', "';touch pwned;'", "x\ntouch pwned", "-", "$(HOME)"],
)
@pytest.mark.parametrize("variable", ["MODEL", "RELEASE", "STACK", "COMMIT", "UNTIL", "FORCE", "NAME", "KIND", "OFFLINE"])
def test_nothing_given_is_run(clone: Path, hostile: str, variable: str) -> None:
    targets = {"UNTIL": "release", "FORCE": "release", "OFFLINE": "preview", "NAME": "new-model", "KIND": "new-model"}
    target = targets.get(variable, "promote")
    given = {"MODEL": "iris", "RELEASE": "2", "NAME": "churn", variable: hostile}
    for ended in (make(clone, target, *(f"{key}={value}" for key, value in given.items())), make(clone, target, **given)):
        assert ended.returncode == 2
        assert f"{variable}=" in ended.stderr
        assert "<python>" not in ended.stdout
    assert not (clone / "pwned").exists()


@pytest.mark.parametrize(("arguments", "command"), [
    (["up"], "python -m pipelines up --stack local"),
    (["up", "STACK=dev"], "python -m pipelines up --stack dev"),
    (["card", "MODEL=iris", "RELEASE=2"], "--without-engine python -m pipelines card iris 2 --stack local"),
    (["preview", "STACK=dev", "OFFLINE=1"], "python -m pipelines preview --stack dev --offline"),
    (["policy", "STACK=dev", "OFFLINE=1"], "python -m pipelines preview --policy --stack dev --offline"),
    (["new-model", "NAME=churn"], "--without-engine python -m pipelines new-model churn"),
    (["new-model", "NAME=churn-rate", "KIND=text"], "--without-engine python -m pipelines new-model churn-rate text"),
    (["preview"], "python -m pipelines preview --stack local"),
    (["promote", "MODEL=iris", "RELEASE=2"], "python -m pipelines promote iris 2 --stack local"),
    (["promote", "MODEL=iris", "RELEASE=12", "COMMIT=1"], "python -m pipelines promote iris 12 --stack local --commit"),
    (["release", "MODEL=iris"], "--without-engine python -m pipelines release iris --stack local"),
    (["release", "MODEL=iris", "FORCE=1"], "--without-engine python -m pipelines release iris --stack local --force"),
    (["release", "MODEL=iris", "UNTIL=2026-02-01"], "--without-engine python -m pipelines release iris --stack local --until 2026-02-01"),
    (["status"], "--without-engine python -m pipelines status --stack local"),
    (["logs"], "--without-engine python -m pipelines logs --stack local"),
    (["logs", "MODEL=iris"], "--without-engine python -m pipelines logs --stack local iris"),
    (["down"], "python -m pipelines down --stack local"),
    (["test"], "python -m toolchain.phases"),
    (["check"], "--without-engine python -m toolchain.check"),
    (["bench"], "python -m tests.bench"),
    (["demo"], "python -m pipelines demo"),
    (["lock"], "--without-engine python -m toolchain.pins"),
])  # fmt: skip
def test_a_target_runs_one_command_in_the_environment(clone: Path, arguments: list[str], command: str) -> None:
    ended = make(clone, *arguments)
    assert ended.stdout == "".join(f"<{word}>\n" for word in command.split())
    assert ended.returncode == 0


def test_clean_takes_everything_down_first_and_leaves_the_sources(clone: Path) -> None:
    (clone / ".local" / "releases").mkdir(parents=True)
    (clone / ".venv").mkdir()
    ended = make(clone, "clean")
    assert ended.stdout == "".join(f"<{word}>\n" for word in ["python", "-m", "pipelines", "down", "--stack", "local"])
    assert not (clone / ".local").exists()
    assert not (clone / ".venv").exists()
    assert (clone / "models" / "iris" / "model.yaml").exists()
    assert make(clone, "clean").stdout == ""


def test_make_alone_is_help(clone: Path) -> None:
    ended = make(clone)
    assert ended.returncode == 0
    assert "make up" in ended.stdout
    assert ended.stdout == make(clone, "help").stdout


def test_activation_gives_a_plain_shell_what_it_needs(tmp_path: Path) -> None:
    source = f'source "{ROOT}/toolchain/activate"'
    script = f'{source} && {source} && echo "$PATH|$PULUMI_BACKEND_URL|$DO_NOT_TRACK|$(command -v python)"'
    environ = {**os.environ, "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "PULUMI_BACKEND_URL": ""}
    ended = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True, timeout=60)
    path, backend, tracking, python = ended.stdout.strip().split("|")
    assert path.count(f"{ROOT}/.venv/bin") == 1
    assert backend == f"file://{ROOT}/.local/state"
    assert tracking == "1"
    assert python == f"{ROOT}/.venv/bin/python"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("s3://mldelivery-state-111122223333-eu-central-1?region=eu-central-1", True),
        ("file:///elsewhere/.local/state", False),
    ],
    ids=["a shared place", "another checkout"],
)
def test_activation_keeps_the_place_of_an_environments_state(said: str, kept: bool) -> None:
    ended = subprocess.run(
        [str(ROOT / "toolchain" / "run"), "--without-engine", "printenv", "PULUMI_BACKEND_URL"],
        env={**os.environ, "PULUMI_BACKEND_URL": said},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ended.stdout.strip() == (said if kept else f"file://{ROOT}/.local/state")
