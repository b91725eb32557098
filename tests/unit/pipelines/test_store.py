"""What was written by half is never believed, and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.errors import PlatformError
from pipelines.store import Steps, locked, place_folder, write_whole

KEY = "sha256:" + "a" * 64


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return Steps(tmp_path, "iris")


def done(steps: Steps, tmp_path: Path) -> Path:
    (tmp_path / "outside.bin").write_bytes(b"outside")
    with steps.opened("train", KEY) as folder:
        (folder / "model.bin").write_bytes(b"model")
        (folder / "tree").mkdir()
        (folder / "tree" / "leaf").write_bytes(b"leaf")
        steps.keep("train", KEY, folder, {"rows": 3}, 1.5, ("outside.bin",))
    return tmp_path / steps.place("train", KEY)


def test_a_step_that_was_done_is_found(steps: Steps, tmp_path: Path) -> None:
    done(steps, tmp_path)
    found = steps.find("train", KEY)
    assert found is not None
    assert (found.artifact, found.seconds) == ({"rows": 3}, 1.5)


def test_another_key_is_another_step(steps: Steps, tmp_path: Path) -> None:
    done(steps, tmp_path)
    assert steps.find("train", KEY.replace("a", "b")) is None
    assert steps.find("test", KEY) is None


@pytest.mark.parametrize("file", ["model.bin", "tree/leaf"])
def test_an_altered_or_missing_file_is_not_believed(steps: Steps, tmp_path: Path, file: str) -> None:
    (done(steps, tmp_path) / file).write_bytes(b"altered")
    assert steps.find("train", KEY) is None
    (done(steps, tmp_path) / file).unlink()
    assert steps.find("train", KEY) is None


def test_an_altered_file_outside_is_not_believed(steps: Steps, tmp_path: Path) -> None:
    done(steps, tmp_path)
    (tmp_path / "outside.bin").write_bytes(b"altered")
    assert steps.find("train", KEY) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"key": "x", "files": {}}', b"\xff\xfe"])
def test_a_damaged_entry_is_not_believed(steps: Steps, tmp_path: Path, content: bytes) -> None:
    (done(steps, tmp_path) / "entry.json").write_bytes(content)
    assert steps.find("train", KEY) is None


def test_an_entry_of_another_key_in_this_folder_is_not_believed(steps: Steps, tmp_path: Path) -> None:
    entry = done(steps, tmp_path) / "entry.json"
    entry.write_text(json.dumps({**json.loads(entry.read_text()), "key": "sha256:other"}))
    assert steps.find("train", KEY) is None


def test_a_step_that_fails_leaves_nothing(steps: Steps, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), steps.opened("train", KEY) as folder:
        (folder / "half").write_bytes(b"half")
        raise RuntimeError
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_interrupt_while_the_folder_is_made_leaves_nothing(steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Path.mkdir

    def interrupted(path: Path, *arguments: Any, **options: Any) -> None:
        made(path, *arguments, **options)
        if path.name.endswith(".partial"):
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt), steps.opened("train", "sha256:" + "a" * 64):
        pass
    assert list(tmp_path.rglob("*.partial")) == []


def test_what_a_killed_run_left_is_swept(steps: Steps, tmp_path: Path) -> None:
    kept = done(steps, tmp_path)
    left = kept.parent / ".abc.123.partial"
    left.mkdir()
    steps.sweep()
    assert not left.exists()
    assert steps.find("train", KEY) is not None


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_placed_folder_replaces_what_a_killed_run_left(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "new").touch()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "left").touch()
    place_folder(tmp_path / "source", tmp_path / "target")
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_the_second_one_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    import os

    with locked(tmp_path, "iris"):
        with pytest.raises(PlatformError, match=f"process {os.getpid()} on"), locked(tmp_path, "iris"):
            pass
        with locked(tmp_path, "roses"):
            pass
    with locked(tmp_path, "iris"):
        pass
