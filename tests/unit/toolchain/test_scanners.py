"""The command that is told where the scanners are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from toolchain import SetupError, scanners
from toolchain.scanners import __main__ as command


def test_a_command_gets_the_tools_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = scanners.Scanners(Path("/e/bin/python"), Path("/c/kube-score"))
    monkeypatch.setattr(scanners, "prepare", lambda _root: found)
    became: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execvp", lambda file, words: became.append((file, words)))
    command.main(["--", "scan", "it"])
    assert became == [("scan", ["scan", "it", "--python", "/e/bin/python", "--kube-score", "/c/kube-score"])]


def test_without_a_command_it_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 2 and command.main(["--"]) == 2
    assert "python -m toolchain.scanners -- COMMAND" in capsys.readouterr().err


def test_tools_that_can_t_be_had_end_it_in_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def prepare(_root: Path) -> scanners.Scanners:
        raise SetupError("build: no module proxy can be reached")

    monkeypatch.setattr(scanners, "prepare", prepare)
    assert command.main(["--", "scan"]) == 1
    assert capsys.readouterr().err == "error: build: no module proxy can be reached\n"
