"""The demo as a person runs it: to its end, interrupted, and where something that it says is not so."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.errors import DeliveryError
from pipelines import demo
from tests.laptop import ROOT, read_until

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files with a short path: sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="d-") as folder:
        yield Path(folder)


@pytest.fixture
def started(temporary: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo, under way, with a folder for temporary files of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        yield process
        if process.poll() is None:
            process.kill()


def nothing_is_left(folder: Path) -> None:
    """Assert that no file and no process of a demo is left that kept its copy in ``folder``."""
    assert list(folder.iterdir()) == []
    deadline = time.monotonic() + 20
    while left := [found for found in psutil.process_iter(["cmdline", "environ"]) if _is_of(found, folder)]:
        assert time.monotonic() < deadline, [found.info["cmdline"] for found in left]
        time.sleep(0.1)


def _is_of(process: psutil.Process, folder: Path) -> bool:
    store = (process.info["environ"] or {}).get("MLDELIVERY_STORE", "")
    return store.startswith(str(folder)) and bool(process.info["cmdline"])


def test_each_claim_holds_and_nothing_is_left(started: subprocess.Popen[str], temporary: Path) -> None:
    out, _ = started.communicate()
    assert started.returncode == 0, out
    assert re.search(r"Each of \d\d claims held, in \d+ s\.", out), out
    assert len(re.findall(r"^  ok: ", out, re.MULTILINE)) == int(re.search(r"Each of (\d+) claims", out)[1])  # type: ignore[index]
    for words in ("1 -> 2 | 2/4 10 % | pass", "did not pass at 'golden replay'", "did not pass at '10 %'", "8 unchanged", "proven before"):
        assert words in out, out
    nothing_is_left(temporary)


def test_ctrl_c_leaves_nothing(started: subprocess.Popen[str], temporary: Path) -> None:
    read_until(started, "ok: it is right: a setosa")
    assert any(_is_of(found, temporary) for found in psutil.process_iter(["cmdline", "environ"])), "nothing runs that could be left"
    started.send_signal(signal.SIGINT)
    said = read_until(started, "the copy is removed")
    # And again, while what runs is ended.
    time.sleep(0.2)
    started.send_signal(signal.SIGINT)
    rest, _ = started.communicate()
    assert started.returncode == 130, said + rest
    assert "Traceback" not in said + rest, said + rest
    nothing_is_left(temporary)


def test_a_command_that_fails_ends_the_demo(temporary: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "`up` ended with 1" in done.stderr and "pulumi is not on PATH" in done.stderr, done.stderr
    assert "claims held" not in done.stdout
    nothing_is_left(temporary)


def test_a_claim_that_is_not_so_is_an_error(tmp_path: Path) -> None:
    stage = demo.Stage(tmp_path, 1)
    stage.claim(True, "so it is")
    with pytest.raises(DeliveryError, match="this is not so: pigs fly"):
        stage.claim(False, "pigs fly")
    assert stage.claims == 1


INTERRUPTED = """
import subprocess, sys, threading
from pathlib import Path
from pipelines import demo

class Interrupted(threading.Timer):
    def start(self):
        super().start()
        raise KeyboardInterrupt

threading.Timer = Interrupted
stage = demo.Stage(Path(sys.argv[1]), 1)
stage._start = lambda *_: subprocess.Popen(["true"], stdout=subprocess.PIPE)
stage.run("up", show="")
"""


def test_an_interruption_while_a_command_starts_keeps_nobody_waiting(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr.strip().endswith("KeyboardInterrupt")
