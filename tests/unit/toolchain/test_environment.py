"""When `.venv` is kept, brought up to date, or made anew; and how uv is had."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from toolchain import SetupError, environment

# Stands for uv: notes how it was called, makes what `uv venv` makes, and fails while the file `fail` is there.
FAKE_UV = """#!/bin/sh
echo "$1 $2" >> {root}/calls
if [ "$1" = venv ]; then
    for last; do :; done
    mkdir -p "$last/bin" && touch "$last/bin/python"
elif [ -e {root}/fail ]; then
    echo "hash mismatch"; exit 1
fi
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with requirements and a uv on PATH that only notes its calls."""
    for name in environment.REQUIREMENTS:
        (tmp_path / name).write_text(f"{name}==1\n")
    uv = tmp_path / "tools" / "uv"
    uv.parent.mkdir()
    uv.write_text(FAKE_UV.format(root=tmp_path))
    uv.chmod(uv.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(uv.parent), prepend=":")
    return tmp_path


def calls(root: Path) -> list[str]:
    """What uv was called with since the last look."""
    log = root / "calls"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def test_a_second_call_does_nothing(root: Path) -> None:
    environment.prepare(root)
    assert calls(root) == ["venv --quiet", "pip sync"]
    environment.prepare(root)
    assert calls(root) == []


def test_changed_requirements_are_brought_in_without_starting_anew(root: Path) -> None:
    environment.prepare(root)
    calls(root)
    (root / "requirements-dev.txt").write_text("other==2\n")
    environment.prepare(root)
    assert calls(root) == ["pip sync"]


def test_an_interrupted_install_is_made_anew(root: Path) -> None:
    (root / "fail").touch()
    with pytest.raises(SetupError, match="hash mismatch"):
        environment.prepare(root)
    (root / "fail").unlink()
    (root / ".venv" / "half").touch()
    calls(root)
    environment.prepare(root)
    assert calls(root) == ["venv --quiet", "pip sync"]
    assert not (root / ".venv" / "half").exists()


def test_an_interrupted_update_is_made_anew(root: Path) -> None:
    environment.prepare(root)
    (root / "requirements.txt").write_text("other==2\n")
    (root / "fail").touch()
    with pytest.raises(SetupError):
        environment.prepare(root)
    (root / "fail").unlink()
    calls(root)
    environment.prepare(root)
    assert calls(root) == ["venv --quiet", "pip sync"]


def test_a_vanished_interpreter_is_noticed(root: Path) -> None:
    environment.prepare(root)
    (root / ".venv" / "bin" / "python").unlink()
    calls(root)
    environment.prepare(root)
    assert calls(root) == ["venv --quiet", "pip sync"]


def test_a_moved_clone_is_noticed(root: Path, tmp_path: Path) -> None:
    before = environment.fingerprint(root)
    other = tmp_path / "moved"
    other.mkdir()
    for name in environment.REQUIREMENTS:
        (other / name).write_bytes((root / name).read_bytes())
    assert environment.fingerprint(other) != before


def test_uv_is_fetched_only_where_none_is_on_path(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.find_uv(root) == str(root / "tools" / "uv")
    monkeypatch.setenv("PATH", "")
    fetched = root / ".cache" / "uv" / "bin" / "uv"
    fetched.parent.mkdir(parents=True)
    fetched.touch()
    assert environment.find_uv(root) == str(fetched)


def test_both_ways_to_fetch_uv_are_named_when_neither_works(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(SetupError, match=r"(?s)pip install uv.*python -m venv.*Install uv"):
        environment.find_uv(root)
    assert not (root / ".cache" / "uv").exists()


def test_what_conflicts_has_an_environment_of_its_own(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
    pinned = root / "requirements" / "kubeflow.txt"
    pinned.parent.mkdir()
    pinned.write_text("kfp==1\n")
    first = environment.apart(root, "kubeflow")
    assert first.parent == root / "cache" / "mldelivery" / "environments"
    assert calls(root) == ["venv --quiet", "pip sync"]
    assert environment.apart(root, "kubeflow") == first
    assert calls(root) == []
    pinned.write_text("kfp==2\n")
    assert environment.apart(root, "kubeflow") != first
    assert calls(root) == ["venv --quiet", "pip sync"]
    (first / environment.STAMP).unlink()
    pinned.write_text("kfp==1\n")
    assert environment.apart(root, "kubeflow") == first
    assert calls(root) == ["venv --quiet", "pip sync"], "what was interrupted is made anew"
