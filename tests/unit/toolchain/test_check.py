"""What `make check` runs, and that one failed check is enough."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from toolchain import check


def test_only_folders_with_python_in_them_are_typed(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "x.py").touch()
    (tmp_path / "serving").mkdir()
    command = check.commands(tmp_path)["mypy --strict"]
    assert command[-1] == "infra"


@pytest.mark.parametrize(("codes", "status", "last"), [([0, 0], 0, "make check: all good"), ([1, 0], 1, "make check: failed: check 0")])
def test_all_checks_run_and_a_failed_one_is_named(
    codes: list[int], status: int, last: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = {f"check {number}": [sys.executable, "-c", f"raise SystemExit({code})"] for number, code in enumerate(codes)}
    monkeypatch.setattr(check, "commands", lambda _root: commands)
    assert check.main() == status
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == last
    assert "check 1: good" in "\n".join(shown)
