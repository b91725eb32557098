"""A lock is cleared only when its owner is proven dead."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from infra import files
from infra.errors import PlatformError
from infra.local import daemon, place
from pipelines.engine import Engine, plain
from pipelines.recover import locks, recover


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    return Engine(tmp_path, "local")


def lock(engine: Engine, *, pid: int, host: str = platform.node(), at: datetime | None = None) -> Path:
    assert engine.state_folder is not None
    folder = engine.state_folder / "locks" / "organization" / "mldelivery" / engine.stack
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{pid}.json"
    stamp = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"
    file.write_text(json.dumps({"pid": pid, "username": "ada", "hostname": host, "timestamp": stamp}), encoding="utf-8")
    return file


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_lock_of_a_dead_process_is_cleared(engine: Engine) -> None:
    file = lock(engine, pid=dead_pid())
    assert recover(engine) == [f"cleared the lock of process {file.stem}, which is dead"]
    assert not file.exists()
    assert recover(engine) == []


def test_the_lock_of_a_process_whose_number_was_taken_over_is_cleared(engine: Engine) -> None:
    started = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    file = lock(engine, pid=os.getpid(), at=started - timedelta(minutes=1))
    recover(engine)
    assert not file.exists()


@pytest.mark.parametrize(("pid", "host"), [(os.getpid(), platform.node()), (dead_pid(), "another-host")])
def test_a_lock_that_may_be_alive_is_named_and_left(engine: Engine, pid: int, host: str) -> None:
    file = lock(engine, pid=pid, host=host)
    with pytest.raises(PlatformError, match=f"process {pid} of ada on {host}"):
        recover(engine)
    assert file.exists()


def test_a_damaged_lock_file_is_left_to_the_engine(engine: Engine) -> None:
    lock(engine, pid=1).write_text("{", encoding="utf-8")
    assert locks(engine) == []


def test_a_damaged_state_is_named_with_the_way_back(engine: Engine) -> None:
    assert engine.state_file is not None
    engine.state_file.parent.mkdir(parents=True)
    engine.state_file.write_text('{"checkpoint": ', encoding="utf-8")
    with pytest.raises(PlatformError, match="the state is damaged"):
        recover(engine)


WRITER = """
import os, sys
from pathlib import Path
from infra.files import written_whole
with written_whole(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("file", ["Pulumi.local.yaml", ".local/supervisor/serve-iris-2-0.conf", "releases/iris/served/dev/2.yaml"])
def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    # given
    monkeypatch.setattr(place, "STORE", engine.root / ".local")
    path = engine.root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("whole", encoding="utf-8")
    subprocess.run([sys.executable, "-c", WRITER, str(path)], check=False)
    assert len(list(path.parent.glob(".*.partial"))) == 1
    living = files.partial_of(path)
    living.write_text("half", encoding="utf-8")
    strange = path.with_name(".notes.partial")
    strange.write_text("a user's own", encoding="utf-8")
    # when
    recover(engine)
    # then
    assert set(path.parent.glob(".*.partial")) == {living, strange}
    assert path.read_text(encoding="utf-8") == "whole"


def test_an_engine_message_is_stripped_to_its_words() -> None:
    wrapped = "<{%reset%}>\x1b[31mrpc error: Exception calling application: iris 1 -> 2: did not pass\n  do: look<{%reset%}>\n"
    assert plain(wrapped) == "iris 1 -> 2: did not pass\n  do: look"


@pytest.mark.parametrize("stack", ["local", "dev"])
def test_only_the_own_stacks_unknown_servers_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: str) -> None:
    removed: list[str] = []
    monkeypatch.setattr(place, "STORE", tmp_path / ".local")
    monkeypatch.setattr(daemon, "PROGRAMS", tmp_path)
    monkeypatch.setattr(daemon, "remove", removed.append)
    monkeypatch.setattr(daemon, "end_strays", lambda: None)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    engine = Engine(tmp_path, stack)
    assert engine.state_file is not None
    urn = f"urn:pulumi:{stack}::mldelivery::pulumi-python:dynamic/mldelivery:ReleaseServer::serve-iris-1"
    known = {"type": "pulumi-python:dynamic/mldelivery:ReleaseServer", "urn": urn}
    engine.state_file.parent.mkdir(parents=True)
    engine.state_file.write_text(json.dumps({"checkpoint": {"latest": {"resources": [known]}}}), encoding="utf-8")
    for name in ("serve-iris-1-0", "serve-iris-2-0", "gateway"):
        (tmp_path / f"{name}.conf").write_text("", encoding="utf-8")
    lock(engine, pid=dead_pid())
    recover(engine)
    assert removed == (["serve-iris-2-0"] if stack == "local" else [])
