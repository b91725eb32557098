"""Killed at any step, two at once, a full disk, a registry that is down: nothing half-written, and the next run goes on."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import release
from pipelines.failures import StepFailed
from pipelines.release import main
from pipelines.steps import STEPS
from tests.pipelines.laboratory import FIRST_UNTIL, LATER, ROOT, Laboratory, folders_for, processes_naming

KILLS = [("snapshot", 1.0), ("validate", 0.2), ("evaluate", 0.5), ("verify", 1.5), ("register", 0.0)]
"""After which step's line, and how many seconds later, so that the kill falls into the next step."""


def kill_after(laboratory: Laboratory, step: str, seconds: float, *more: str) -> str:
    """Start a run and kill it with SIGKILL some time after it said that a step was done; what it said."""
    with subprocess.Popen(laboratory.command(*more), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if line.split()[0] == step:
                time.sleep(seconds)
                process.kill()
                break
        process.wait(60)
    assert process.returncode == -signal.SIGKILL, said
    until = time.monotonic() + 20
    while processes_naming(str(laboratory.store)) and time.monotonic() < until:
        time.sleep(0.1)
    assert processes_naming(str(laboratory.store)) == []
    return said


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_never_was(empty: Laboratory) -> None:
    names = [step.name for step in STEPS]
    done: list[str] = []
    for step, seconds in [
        ("snapshot", 1.0),
        ("validate", 0.2),
        ("train", 0.1),
        ("evaluate", 0.5),
        ("package", 0.3),
        ("verify", 1.5),
        ("register", 0),
    ]:
        said = kill_after(empty, step, seconds)
        found = {line.split()[0] for line in said.splitlines() if line.endswith("(done before)")}
        assert found >= set(done), said
        done = names[: names.index(step) + 1]
    record = empty.release()
    assert record.release == 1
    release.check_may_serve(record, empty.store, where="a test")
    assert empty.numbers() == [1]
    released = [version for version in empty.versions() if version["state"] == "released"]
    assert [version["record"] for version in released] == [record.digest]
    assert empty.release().release == 1


def test_a_run_that_is_killed_after_its_record_is_finished_by_the_next(laboratory: Laboratory) -> None:
    """The registry still says candidate; the next run, which makes nothing, tells it."""
    import shutil
    import sqlite3

    connection = sqlite3.connect(laboratory.store / "mlflow" / "mlflow.db")
    with connection:
        connection.execute("update model_version_tags set value = 'candidate' where key = 'mldelivery.state'")
    connection.close()
    shutil.rmtree(laboratory.store / "steps" / "iris" / "announce")
    assert laboratory.release().release == 1
    assert laboratory.versions()[0]["state"] == "released"


def test_a_bento_without_a_record_is_replaced(laboratory: Laboratory) -> None:
    left = laboratory.store / "bentos" / "iris" / "2" / "src"
    left.mkdir(parents=True)
    (left / "left").touch()
    record = laboratory.release(until=LATER, champion="1")
    release.check_may_serve(record, laboratory.store, where="a test")


def test_of_two_at_once_one_makes_it_and_the_other_says_who(empty: Laboratory) -> None:
    first = subprocess.Popen(empty.command(), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert first.stderr is not None
    first.stderr.readline()
    second = empty.run()
    assert second.returncode == 1
    assert "a release of iris is being made already" in second.stderr
    assert f"process {first.pid} on" in second.stderr
    assert first.communicate(timeout=100) and first.returncode == 0
    assert empty.numbers() == [1]


def test_an_interrupt_ends_the_run_quietly(empty: Laboratory) -> None:
    with subprocess.Popen(empty.command(), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        # 130 for a shell either way: CPython ends by the signal itself where that met code made from text, as dataclasses' is.
        assert process.wait(30) in (130, -signal.SIGINT)
    assert "goes on where this one was" in said
    assert "Traceback" not in said
    time.sleep(0.5)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Laboratory]:
    """A store on a disk of its own, which each test fills."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        yield Laboratory(disk / "store", folders_for(tmp_path / "models"))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_said_at_every_step_and_the_next_run_goes_on(small: Laboratory) -> None:
    disk = small.store.parent
    refused = []
    for kilobytes in (24, 64, 120, 260, 700, 1250, 1500, 20_000):
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(disk)], check=True)
        try:
            record = small.release()
        except StepFailed as error:
            text = str(error)
            assert "free some space" in text, text
            refused.append(error.__notes__[0] if hasattr(error, "__notes__") else text.split("'")[1])
            assert small.numbers() == []
            assert list(small.store.rglob("*.partial")) == []
        else:
            break
    assert record.release == 1
    assert len(set(refused)) >= 3, refused
    release.check_may_serve(record, small.store, where="a test")
    assert [version["state"] for version in small.versions() if version["release"] == "1"].count("released") == 1


def test_a_store_that_cannot_be_written_is_said(empty: Laboratory) -> None:
    empty.store.write_text("a file where the folder should be")
    done = empty.run()
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    empty.store.unlink()


def test_a_registry_that_is_down_stops_the_run_and_the_next_goes_on(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    laboratory.change("model.yaml", "C: 1.0", "C: 2.0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(StepFailed, match="MLflow refused") as caught:
        laboratory.release(champion="1")
    assert "http://127.0.0.1:9" in str(caught.value)
    assert laboratory.numbers() == [1]
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    capfd.readouterr()
    assert laboratory.main("--champion", "1") == 0
    assert capfd.readouterr().err.count("(done before)") == 8
    assert laboratory.numbers() == [1, 2]


def test_first_makes_one_release_and_then_nothing(empty: Laboratory, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--first", "--store", str(empty.store), "--models", str(empty.folders)]
    assert main(arguments) == 0
    assert release.load(empty.store, "iris", 1).snapshot.last <= str(FIRST_UNTIL)
    assert main(arguments) == 0
    assert "iris has release 1 already" in capfd.readouterr().err
    assert empty.numbers() == [1]
