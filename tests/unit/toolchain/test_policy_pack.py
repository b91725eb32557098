"""How the pack is handed to the engine: a copy under another runtime name, and its environment apart from the project's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from toolchain import ROOT, environment, policy_pack


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose path needs quotes, with a pack and an environment that is there already."""
    root = tmp_path / "it's here"
    (root / "policy").mkdir(parents=True)
    (root / "policy" / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 1.0.0\n")
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").write_text('#!/bin/sh\nfor argument; do echo "<$argument>"; done\n')
    (venv / "bin" / "python").chmod(0o755)
    monkeypatch.setattr(environment, "apart", lambda _root, name: venv if name == "policy" else None)
    return root


def test_the_copy_has_another_runtime_and_its_starter_runs_the_pack_itself(checkout: Path) -> None:
    folder = policy_pack.prepare(checkout)
    assert yaml.safe_load((folder / "PulumiPolicy.yaml").read_text()) == {"runtime": policy_pack.RUNTIME, "version": "1.0.0"}
    starter = folder / "bin" / f"pulumi-analyzer-policy-{policy_pack.RUNTIME}"
    said = subprocess.run([starter, "127.0.0.1:1", "."], capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:-1] == ["<-E>", "<-u>", "<-m>", "<pulumi.policy>", "<127.0.0.1:1>", f"<{checkout / 'policy'}>"]


def test_a_second_time_changes_nothing_and_a_changed_pack_is_seen(checkout: Path) -> None:
    file = policy_pack.prepare(checkout) / "PulumiPolicy.yaml"
    before = file.stat().st_mtime_ns
    policy_pack.prepare(checkout)
    assert file.stat().st_mtime_ns == before
    (checkout / "policy" / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 2.0.0\n")
    policy_pack.prepare(checkout)
    assert "2.0.0" in file.read_text()


def test_the_real_pack_is_one_of_python() -> None:
    text = (ROOT / "policy" / "PulumiPolicy.yaml").read_text()
    assert yaml.safe_load(text)["runtime"] == "python"
    assert yaml.safe_load(policy_pack.renamed(text))["runtime"] == policy_pack.RUNTIME


def test_without_a_command_it_says_how() -> None:
    done = subprocess.run([sys.executable, "-m", "toolchain.policy_pack"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: python -m toolchain.policy_pack" in done.stderr


def test_the_command_gets_the_pack(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(policy_pack, "ROOT", checkout)
    monkeypatch.setattr(os, "execvpe", lambda *given: became.append(given))
    policy_pack.main(["--", "pulumi", "preview"])
    ((program, words, environ),) = became
    folder = str(checkout / ".cache" / "policy")
    assert (program, words) == ("pulumi", ["pulumi", "preview", "--policy-pack", folder])
    assert environ["PATH"].split(os.pathsep)[0] == f"{folder}/bin"
