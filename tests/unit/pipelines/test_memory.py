"""A step may take so much memory: what it holds is measured with all that it started, and what is not its own does not count."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.errors import ConfigError
from pipelines import apart, memory
from pipelines.failures import StepFailed
from pipelines.memory import Allowed
from pipelines.model import read

HELD = 200 << 20
HOLD = f"import time; held = b'x' * {HELD}; time.sleep(2.5)"
LIMIT = Allowed(mib=300, because="a test says so", key="a key", of="models/iris, some rows")


def run(function: Callable[..., Any], *arguments: object, log: Path) -> Any:
    return apart.run(function, *arguments, seconds=60, log=log / "log.txt", what="step 'train'", memory=LIMIT)


def holds(count: int) -> int:
    held = [b"x" * (50 << 20) for _ in range(count)]
    time.sleep(0.3)
    return len(held)


def starts_others(count: int) -> int:
    started = [subprocess.Popen([sys.executable, "-c", HOLD]) for _ in range(count)]
    return sum(each.wait() for each in started)


def shares_with_others() -> int:
    held = b"x" * HELD
    for _ in range(3):
        if os.fork() == 0:
            time.sleep(2)
            os._exit(held[0] - ord("x"))
    return sum(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(3))


def reads_a_file(path: Path) -> int:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        found = sum(mapped[at] for at in range(0, len(mapped), 4096))
        time.sleep(0.3)
        return found


def asks_for_too_much() -> int:
    return len(bytearray(1 << 60))


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_takes_too_much_is_stopped_and_told_of(tmp_path: Path) -> None:
    assert run(holds, 2, log=tmp_path) == 2
    with pytest.raises(StepFailed, match="models/iris, some rows: step 'train' took more memory than it may and was stopped") as caught:
        run(holds, 40, log=tmp_path)
    assert "allowed: 300 MiB, a test says so" in str(caught.value)
    assert "a key" in caught.value.act
    assert "what was done stays done" in caught.value.act
    assert 300 < float(str(caught.value.got).removesuffix(" MiB")) < 1500


def test_what_it_starts_counts_and_is_ended_with_it(tmp_path: Path) -> None:
    assert run(starts_others, 1, log=tmp_path) == 0
    with pytest.raises(StepFailed, match="took more memory"):
        run(starts_others, 3, log=tmp_path)
    mine = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert HOLD not in mine


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells what is shared")
def test_what_is_shared_counts_once_and_files_do_not(tmp_path: Path) -> None:
    assert run(shares_with_others, log=tmp_path) == 0
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2 * HELD)
    assert run(reads_a_file, tmp_path / "file", log=tmp_path) == 0


def test_more_than_there_is_is_told_like_more_than_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="step 'train' asked for more memory than there is") as caught:
        run(asks_for_too_much, log=tmp_path)
    assert "test_memory.py" in str(caught.value.got)
    assert "a key" in caught.value.act


def test_a_process_that_the_machine_killed_may_have_taken_too_much(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="step 'train' was killed") as caught:
        run(is_killed, log=tmp_path)
    assert "if the machine ran out of memory" in caught.value.act


def test_the_machines_share_holds_unless_a_model_or_this_machine_says_otherwise(
    model_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    monkeypatch.setattr(memory, "machine_mib", lambda: 1000)

    def found(**changes: Any) -> Allowed:
        folder = model_folder(**changes)
        return memory.allowed(read(folder), folder, of="150 rows")

    assert (found().mib, found().because) == (750, "75% of the 1000 MiB that this machine has")
    assert found().of == "models/iris, 150 rows"
    asked = found(**{"memory-limit-mib": 400})
    assert (asked.mib, asked.because) == (400, "which models/iris/model.yaml: memory-limit-mib says")
    monkeypatch.setenv(memory.VARIABLE, "2500")
    assert (found(**{"memory-limit-mib": 400}).mib, found().because) == (2500, f"which {memory.VARIABLE} says")
    for wrong in ("much", "0", "-1", "", "1.5"):
        monkeypatch.setenv(memory.VARIABLE, wrong)
        with pytest.raises(ConfigError, match=f"{memory.VARIABLE}: is no number of MiB"):
            found()


def test_a_container_has_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = tuple(str(tmp_path / name) for name in ("none", "max", "limit"))
    monkeypatch.setattr(memory, "CGROUP_LIMITS", paths)
    (tmp_path / "max").write_text("max\n")
    whole = memory.machine_mib()
    assert whole > 300
    (tmp_path / "limit").write_text(f"{300 << 20}\n")
    assert memory.machine_mib() == 300


def test_a_log_that_cannot_be_written_is_raised_here_and_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As when a run was interrupted and its folder swept before the process had begun: a trace would stand after the last word."""
    with pytest.raises(FileNotFoundError):
        apart.run(len, "", seconds=60, log=tmp_path / "gone" / "log.txt", what="step 'train'", memory=LIMIT, how="spawn")
    assert capfd.readouterr().err == ""
