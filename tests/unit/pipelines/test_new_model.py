"""A new model's folder: of each kind, its own tests pass, its code is clean; bad input leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from infra.errors import ConfigError, PlatformError
from pipelines import new_model
from pipelines.new_model import kinds, main, make

ROOT = Path(__file__).resolve().parents[3]
TODAY = date(2026, 11, 24)


@pytest.mark.parametrize("kind", kinds())
def test_its_own_tests_pass_and_its_code_is_clean(tmp_path: Path, kind: str) -> None:
    folder = make(tmp_path, "churn-rate", kind, today=TODAY)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLDELIVERY_")} | {"PYTHONPATH": str(ROOT)}
    pytest_, ruff = (
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")],
        [sys.executable, "-m", "ruff"],
    )
    for command in (
        [*pytest_, f"--rootdir={tmp_path}", str(folder / "tests")],
        [*ruff, "check", f"--config={ROOT / 'pyproject.toml'}", str(folder)],
        [*ruff, "format", "--check", f"--config={ROOT / 'pyproject.toml'}", str(folder)],
    ):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", kinds())
def test_the_same_day_gives_the_same_folder(tmp_path: Path, kind: str) -> None:
    one, other = (make(tmp_path / place, "churn", kind, today=TODAY) for place in ("one", "other"))
    assert {path.relative_to(one): path.read_bytes() for path in one.rglob("*") if path.is_file()} == {
        path.relative_to(other): path.read_bytes() for path in other.rglob("*") if path.is_file()
    }
    assert sorted(path.name for path in (one / "data" / "batches").iterdir())[-1] == "2026-11-24.csv"


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("Churn Rate", "tabular", "do:      such as NAME=churn-rate"),
        ("churn_rate", "tabular", "do:      such as NAME=churn-rate"),
        ("../churn", "tabular", "is no name for a model"),
        ("", "tabular", "is no name for a model"),
        ("c" * 40, "tabular", "at most 39 in all"),
        ("7-days", "tabular", "a letter, then"),
        ("taken-name", "tabular", "allowed: a name other than taken-name"),
        ("churn", "image", "allowed: regression, tabular, text"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_made(tmp_path: Path, name: str, kind: str, said: str) -> None:
    make(tmp_path, "taken-name", "tabular", today=TODAY)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError) as refusal:
        make(tmp_path, name, kind, today=TODAY)
    assert said in str(refusal.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_disk_that_refuses_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(draft: Path) -> None:
        raise OSError(28, "No space left on device", str(draft))

    monkeypatch.setattr(new_model, "_write_expectations", refuse)
    with pytest.raises(PlatformError, match="No space left on device"):
        make(tmp_path, "churn", "tabular", today=TODAY)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_swept_up(tmp_path: Path) -> None:
    (tmp_path / ".churn.1.partial" / "churn").mkdir(parents=True)
    make(tmp_path, "churn", "tabular", today=TODAY)
    assert [path.name for path in tmp_path.iterdir()] == ["churn"]


def test_the_command_says_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["churn", "--models", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for words in ("15 lines that end in '# yours'", "make release MODEL=churn", "churn: {champion: 1}", "make up", "/churn/predict"):
        assert words in said
