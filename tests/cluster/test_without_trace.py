"""Bringing the development cluster up and taking it down, through interruptions, and that nothing of it is left.

All of it in a network namespace of its own, with a copy of the toolchain: the cluster of this checkout is not touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.laptop import ROOT
from toolchain.cluster import LINK, Place

pytestmark = pytest.mark.timeout(900)


class Elsewhere:
    """Another checkout in a network where no cluster is."""

    def __init__(self, folder: Path, network: int) -> None:
        self.folder, self.network = folder, network
        self.place = Place(folder / ".cluster")

    def start(self, *command: str) -> subprocess.Popen[str]:
        # Entered by this process itself before it becomes the command, so that killing it kills the command.
        entered = ["nsenter", f"--target={self.network}", "--net", "--", *command]
        return subprocess.Popen(entered, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *command: str, expect: int = 0) -> str:
        child = self.start(*command)
        out, _ = child.communicate(timeout=240)
        assert child.returncode == expect, out
        return out

    def cluster(self, action: str, *, expect: int = 0) -> str:
        return self.run(sys.executable, "-m", "toolchain.cluster", action, expect=expect)

    def first_process(self) -> int:
        program = "from toolchain.cluster import Place, node; print(getattr(node.running(Place()), 'pid', 0))"
        return int(self.run(sys.executable, "-c", program))

    def kubectl(self, *arguments: str) -> str:
        return self.run(str(Path(sys.prefix) / "bin" / "kubectl"), f"--kubeconfig={self.place.kubeconfig}", *arguments)

    def traces(self) -> list[str]:
        """What of the cluster is on this machine."""
        found = [str(self.place.folder)] if self.place.folder.exists() else []
        found += [LINK] if LINK in self.run("ip", "link") else []
        found += ["a packet filter"] if "KUBE" in self.run("iptables-save") else []
        found += [f"route {line}" for line in self.run("ip", "route").splitlines()]
        # Not by a pattern, which fails where a folder goes meanwhile: those of another cluster's pods come and go.
        found += [str(Path(at) / self.place.cgroup) for at, folders, _ in os.walk("/sys/fs/cgroup") if self.place.cgroup in folders]
        found += [line for line in Path("/proc/mounts").read_text().splitlines() if str(self.folder) in line]
        return found + [words for words in map(_words, Path("/proc").iterdir()) if str(self.place.folder) in words]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    """The other checkout; its cluster is ended, however the test went."""
    shutil.copytree(ROOT / "toolchain", tmp_path / "checkout" / "toolchain", ignore=shutil.ignore_patterns("__pycache__"))
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && echo && exec sleep 600"], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline()
    made = Elsewhere(tmp_path / "checkout", holder.pid)
    try:
        yield made
    finally:
        made.cluster("down")
        holder.kill()
        holder.communicate()


def test_nothing_is_left_of_it(elsewhere: Elsewhere) -> None:
    before = elsewhere.traces()
    assert before == []
    assert "the cluster is up" in elsewhere.cluster("up")
    assert len(elsewhere.traces()) > 10
    assert "the cluster is gone" in elsewhere.cluster("down")
    assert elsewhere.traces() == []
    assert "there is no cluster" in elsewhere.cluster("down")


def test_a_killed_start_is_gone_on_from_and_a_killed_node_comes_back_with_what_it_held(elsewhere: Elsewhere) -> None:
    for moment in (0.6, 1.5):
        began = elsewhere.start(sys.executable, "-m", "toolchain.cluster", "up")
        time.sleep(moment)
        began.send_signal(signal.SIGKILL)
        began.communicate()
    elsewhere.cluster("up")
    elsewhere.kubectl("create", "namespace", "kept")
    first = elsewhere.first_process()
    os.kill(first, signal.SIGKILL)
    _wait(lambda: not Path(f"/proc/{first}").exists())
    assert "there is no cluster" in elsewhere.cluster("status", expect=1)
    elsewhere.cluster("up")
    assert elsewhere.first_process() not in (0, first)
    elsewhere.kubectl("get", "namespace", "kept")


def test_a_folder_that_was_removed_by_hand_does_not_hide_the_node(elsewhere: Elsewhere) -> None:
    elsewhere.cluster("up")
    with contextlib.suppress(OSError):
        # What the node writes meanwhile may stay.
        shutil.rmtree(elsewhere.place.folder)
    assert elsewhere.first_process() != 0
    assert "the cluster is gone" in elsewhere.cluster("down")
    assert elsewhere.traces() == []


def test_two_starts_at_once_make_one_node(elsewhere: Elsewhere) -> None:
    both = [elsewhere.start(sys.executable, "-m", "toolchain.cluster", "up") for _ in range(2)]
    said = [child.communicate(timeout=240)[0] for child in both]
    assert [child.returncode for child in both] == [0, 0], said
    assert all("the cluster is up" in words for words in said)
    assert any("another set-up is busy with the cluster" in words for words in said)


def test_another_network_with_the_same_addresses_is_left_alone(elsewhere: Elsewhere) -> None:
    elsewhere.run("ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1")
    for name in ("other0", "other1"):
        elsewhere.run("ip", "link", "set", name, "up")
    elsewhere.run("ip", "route", "add", "10.244.3.0/24", "dev", "other0")
    said = elsewhere.cluster("up", expect=1)
    assert "10.244.3.0/24 by other0" in said and "Do: end what has that network" in said
    assert "10.244.3.0/24 dev other0" in elsewhere.run("ip", "route")
    assert elsewhere.first_process() == 0
    elsewhere.cluster("down")
    elsewhere.run("ip", "link", "delete", "other0")
    assert elsewhere.traces() == []


def _wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _words(process: Path) -> str:
    try:
        return os.fsdecode((process / "cmdline").read_bytes()).replace("\0", " ")
    except OSError:
        return ""
