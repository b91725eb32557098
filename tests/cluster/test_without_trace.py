"""The end of the development cluster. The last file of this folder: no cluster is left for a test after it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.laptop import ROOT
from toolchain.cluster import LINK, Place
from toolchain.cluster.node import Node


def test_its_end_leaves_nothing(cluster: Node, is_own_cluster: bool) -> None:
    if not is_own_cluster:
        pytest.skip("this cluster was up before the tests, and may be in use")
    assert cluster.programs()
    _down()
    assert not Place().folder.exists()
    assert not Path(f"/sys/class/net/{LINK}").exists()
    assert not list(Path("/sys/fs/cgroup").glob("*/mldelivery")) and not Path("/sys/fs/cgroup/mldelivery").exists()
    assert str(Place().folder) not in Path("/proc/mounts").read_text()
    left = [words for words in map(_words, Path("/proc").iterdir()) if any(str(Place().folder) in word for word in words)]
    assert not left, left
    assert "there is no cluster" in _down()


def _down() -> str:
    done = subprocess.run([sys.executable, "-m", "toolchain.cluster", "down"], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _words(process: Path) -> list[str]:
    try:
        return os.fsdecode((process / "cmdline").read_bytes()).split("\0")
    except OSError:
        return []
