"""Which provider a run gets: the official plugin, or a stand-in that ends with the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toolchain import ROOT
from toolchain.providers import attach

KUBERNETES = attach.PLUGINS["kubernetes"]


def plugin(home: Path, version: str) -> Path:
    folder = home / "plugins" / f"resource-kubernetes-v{version}"
    folder.mkdir(parents=True)
    (folder / KUBERNETES.file).write_text("", encoding="utf-8")
    return folder


@pytest.mark.parametrize(("version", "serves"), [("4.30.0", True), ("4.31.2", True), ("4.29.9", False), ("5.0.0", False)])
def test_the_official_plugin_is_found_if_it_serves(tmp_path: Path, version: str, serves: bool) -> None:
    folder = plugin(tmp_path, version)
    assert attach.official(KUBERNETES, {"PULUMI_HOME": str(tmp_path), "PATH": ""}, "4.30.0") == (str(folder) if serves else None)


def test_where_it_is_installed_nothing_is_attached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin(tmp_path, "4.30.0")
    with attach.attached({"PULUMI_HOME": str(tmp_path), "PATH": ""}, "kubernetes") as environment:
        assert attach.VARIABLE not in environment
    assert "the official plugin" in capsys.readouterr().err


def out_of_reach(folder: Path) -> dict[str, str]:
    """An environment in which the plugin is not installed and was found out of reach a moment ago."""
    (folder / "mldelivery").mkdir(exist_ok=True)
    (folder / "mldelivery" / "provider-plugins-out-of-reach").touch()
    return {**os.environ, "PULUMI_HOME": str(folder / "pulumi"), "XDG_CACHE_HOME": str(folder), attach.VARIABLE: "random:1"}


def test_the_stand_in_is_attached_beside_others_and_ends_with_the_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with attach.attached(out_of_reach(tmp_path), "kubernetes", "aws") as environment:
        first, *own = environment[attach.VARIABLE].split(",")
        assert first == "random:1" and [each.split(":")[0] for each in own] == ["kubernetes", "aws"]
        assert any(f"--parent {os.getpid()}" in line for line in _commands())
    assert "stand-in" in capsys.readouterr().err
    assert not any(f"--parent {os.getpid()}" in line for line in _commands())


def test_one_that_is_attached_already_is_left() -> None:
    with attach.attached({**os.environ, attach.VARIABLE: "kubernetes:1"}, "kubernetes") as environment:
        assert environment[attach.VARIABLE] == "kubernetes:1"


def test_offline_an_installed_plugin_is_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin(tmp_path, "4.30.0")
    assert attach.needed({"PULUMI_HOME": str(tmp_path), "PATH": ""}, ["kubernetes"], is_offline=True) == ["kubernetes"]
    assert "offline: no plugin, no account, no cluster and no network" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("endpoint", "words"), [("", "it previews and never calls AWS"), ("http://127.0.0.1:5000", "its calls go to http://")]
)
def test_it_is_said_where_calls_go(tmp_path: Path, capsys: pytest.CaptureFixture[str], endpoint: str, words: str) -> None:
    assert attach.needed({**out_of_reach(tmp_path), attach.ENDPOINT: endpoint}, ["aws"]) == ["aws"]
    assert words in capsys.readouterr().err


def entry(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "toolchain.providers", *command],
        cwd=ROOT,
        env=out_of_reach(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_runs_with_it_keeps_its_exit_code_and_leaves_nothing(tmp_path: Path) -> None:
    script = "import json, os; print(json.dumps([os.environ['PULUMI_DEBUG_PROVIDERS'], os.getpid()])); raise SystemExit(7)"
    done = entry(tmp_path, "kubernetes", "--", sys.executable, "-c", script)
    assert done.returncode == 7, done.stderr
    variable, pid = json.loads(done.stdout)
    assert variable.startswith("random:1,kubernetes:")
    deadline = time.monotonic() + 5
    while any(f"--parent {pid}" in line for line in _commands()):
        assert time.monotonic() < deadline, "the stand-in outlives its command"
        time.sleep(0.05)


def _commands() -> list[str]:
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = entry(tmp_path, "kubernetes", "--", "no-such-command")
    assert done.returncode == 127 and "error: no-such-command: No such file or directory" in done.stderr


def test_without_a_command_it_says_how(tmp_path: Path) -> None:
    for arguments in ((), ("kubernetes",), ("azure", "--", "true")):
        done = entry(tmp_path, *arguments)
        assert done.returncode == 2 and "usage:" in done.stderr
