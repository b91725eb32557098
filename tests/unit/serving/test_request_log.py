from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serving.release_file import CannotServe
from serving.request_log import Entry, RequestLog


class OneFeature(msgspec.Struct):
    value: float


class Dropped:
    def __init__(self) -> None:
        self.total = 0

    def __call__(self, number: int) -> None:
        self.total += number


def entry(number: int, rows: int = 1) -> Entry:
    return Entry(1e9 + number, f"id-{number}", False, [OneFeature(number)] * rows, ["a"] * rows, 0.1234)


def open_log(path: Path, dropped: Callable[[int], None], **options: Any) -> RequestLog:
    return RequestLog(path, model="iris", release=7, count_dropped=dropped, **{"flush_seconds": 60.0, **options})


def ids(path: Path) -> list[str]:
    return [json.loads(line)["request_id"] for line in path.read_text().splitlines()]


def test_entries_are_written_in_order_and_appended_to_what_is_there(tmp_path: Path) -> None:
    path, dropped = tmp_path / "deep" / "log.jsonl", Dropped()
    for numbers in (range(3), range(3, 5)):
        log = open_log(path, dropped)
        for number in numbers:
            log.put(entry(number))
        log.close()
    assert ids(path) == [f"id-{number}" for number in range(5)]
    assert json.loads(path.read_text().splitlines()[4]) == {
        "at": "2001-09-09T01:46:44.000+00:00",
        "request_id": "id-4",
        "model": "iris",
        "release": 7,
        "probe": False,
        "rows": [[4.0]],
        "predictions": ["a"],
        "ms": 0.123,
    }
    assert dropped.total == 0


def test_a_full_queue_drops_and_counts(tmp_path: Path) -> None:
    dropped = Dropped()
    log = open_log(tmp_path / "log.jsonl", dropped, max_queued_rows=10)
    for number in range(5):
        log.put(entry(number, rows=4))
    log.close()
    assert ids(tmp_path / "log.jsonl") == ["id-0", "id-1"]
    assert dropped.total == 3


def test_the_queue_takes_entries_again_after_it_was_written(tmp_path: Path) -> None:
    dropped = Dropped()
    log = open_log(tmp_path / "log.jsonl", dropped, max_queued_rows=2, flush_seconds=0.01)
    for number in range(40):
        log.put(entry(number))
        while len(log._queue):
            pass
    log.close()
    assert len(ids(tmp_path / "log.jsonl")) + dropped.total == 40
    assert dropped.total < 40


def test_files_are_rotated_by_size_and_the_oldest_go(tmp_path: Path) -> None:
    path, dropped = tmp_path / "log.jsonl", Dropped()
    for number in range(8):
        log = open_log(path, dropped, max_bytes=200, kept_files=2)
        log.put(entry(number))
        log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["log.jsonl", "log.jsonl.1", "log.jsonl.2"]
    assert all(file.stat().st_size <= 200 for file in files)
    assert [ids(file) for file in files] == [["id-7"], ["id-6"], ["id-5"]]


def test_half_a_line_of_a_killed_process_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"at": "20')
    log = open_log(path, Dropped())
    log.put(entry(1))
    log.close()
    broken, whole = path.read_text().splitlines()
    assert (broken, json.loads(whole)["request_id"]) == ('{"at": "20', "id-1")


def test_a_disk_that_fills_up_leaves_whole_lines_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, dropped = tmp_path / "log.jsonl", Dropped()
    log = open_log(path, dropped)
    log.put(entry(0))
    log._flush()
    write = os.write
    room = [30]

    def full(file: int, data: bytes) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return write(file, data[: room.pop()])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        log.put(entry(1))
        log.put(entry(2))
        log._flush()
    assert dropped.total == 2
    log.put(entry(3))
    log.close()
    assert ids(path) == ["id-0", "id-3"]


def test_a_full_disk_at_the_start_is_no_reason_not_to_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    dropped = Dropped()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        log = open_log(tmp_path / "log.jsonl", dropped)
        log.put(entry(0))
        log._flush()
    assert dropped.total == 1
    log.put(entry(1))
    log.close()
    assert ids(tmp_path / "log.jsonl") == ["id-1"]


def test_a_path_that_can_never_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotServe, match="cannot be written: Is a directory"):
        open_log(tmp_path, Dropped())
