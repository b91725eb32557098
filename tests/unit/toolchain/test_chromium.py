"""Chromium is taken from PATH, installed where that is possible, and named where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from toolchain import SetupError, chromium


def program(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", chromium.NAMES)
def test_the_one_on_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = program(tmp_path / "bin", name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(chromium, "run", None)
    assert chromium.prepare() == str(path)


def test_where_nothing_can_be_installed_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="Do: sudo apt-get install chromium"):
        chromium.prepare()


@pytest.mark.skipif(not Path("/etc/debian_version").exists(), reason="not Debian")
def test_debian_s_package_is_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "apt-get")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    said: list[list[str]] = []

    def run(command: list[str], what: str, **_: object) -> list[str]:
        said.append(command[1:])
        if "install" in command:
            program(tmp_path / "bin", "chromium")
        return [what]

    monkeypatch.setattr(chromium, "run", run)
    assert chromium.prepare() == chromium.prepare() == str(tmp_path / "bin" / "chromium")
    assert [command[0] for command in said] == ["update", "install"]
