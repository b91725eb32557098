"""The request log: what was asked and answered, one JSON object a line, written off the hot path."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from serving.body import Row
from serving.release_file import CannotServe

FLUSH_SECONDS = 0.25
MAX_QUEUED_ROWS = 50_000
MAX_BYTES = 64 * 1024 * 1024
KEPT_FILES = 4


class Entry(msgspec.Struct, gc=False):
    """One answered request. ``at`` is seconds since the epoch; ``predictions`` are labels or values; ``ms`` is how long the answer took."""

    at: float
    request_id: str
    probe: bool
    rows: Sequence[Row]
    predictions: Sequence[str | float]
    ms: float


class RequestLog:
    """A bounded queue that a thread of its own writes to a file in batches; the file is rotated by size (``FILE.1`` is the youngest).

    Nothing that happens to the file reaches a request: what can't be written or queued is dropped and ``count_dropped`` is told.
    """

    def __init__(
        self,
        path: Path,
        *,
        model: str,
        release: int,
        count_dropped: Callable[[int], None],
        max_bytes: int = MAX_BYTES,
        kept_files: int = KEPT_FILES,
        max_queued_rows: int = MAX_QUEUED_ROWS,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        """Raises CannotServe when the file can't be opened for another reason than a full disk."""
        self._path, self._model, self._release, self._count_dropped = path, model, release, count_dropped
        self._max_bytes, self._kept_files, self._max_queued_rows = max_bytes, kept_files, max_queued_rows
        self._flush_seconds = flush_seconds
        self._queue: deque[Entry] = deque()
        # Two counters with one writer each, because the difference is read without a lock.
        self._rows_in = self._rows_out = 0
        self._file: int | None = None
        self._size = 0
        self._stopped = threading.Event()
        try:
            self._open()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise CannotServe(f"the request log {path} cannot be written: {error.strerror}") from None
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Queue an entry, or drop it when the queue is full. Never waits."""
        rows = len(entry.rows)
        if self._rows_in - self._rows_out + rows > self._max_queued_rows:
            self._count_dropped(1)
            return
        self._rows_in += rows
        self._queue.append(entry)

    def close(self) -> None:
        """Write what is queued and stop."""
        self._stopped.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped.wait(self._flush_seconds):
            self._flush()
        self._flush()
        if self._file is not None:
            os.close(self._file)

    def _flush(self) -> None:
        batch = bytearray()
        entries = 0
        while self._queue:
            entry = self._queue.popleft()
            batch += self._line(entry)
            entries += 1
            self._rows_out += len(entry.rows)
            if len(batch) >= 1024 * 1024:
                self._write(batch, entries)
                batch, entries = bytearray(), 0
        if entries:
            self._write(batch, entries)

    def _line(self, entry: Entry) -> bytes:
        return (
            msgspec.json.encode(
                {
                    "at": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds"),
                    "request_id": entry.request_id,
                    "model": self._model,
                    "release": self._release,
                    "probe": entry.probe,
                    "rows": [msgspec.structs.astuple(row) for row in entry.rows],
                    "predictions": entry.predictions,
                    "ms": round(entry.ms, 3),
                }
            )
            + b"\n"
        )

    def _write(self, batch: bytes | bytearray, entries: int) -> None:
        try:
            if self._size and self._size + len(batch) > self._max_bytes:
                self._rotate()
            file = self._open()
            written = 0
            while written < len(batch):
                written += os.write(file, batch[written:])
            self._size += written
        except OSError:
            self._count_dropped(entries)
            self._close_at_last_whole_line()

    def _open(self) -> int:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
            self._size = os.fstat(self._file).st_size
            # A process that was killed while it wrote left half a line, which would swallow the next one.
            if self._size and os.pread(self._file, 1, self._size - 1) != b"\n":
                self._size += os.write(self._file, b"\n")
        return self._file

    def _rotate(self) -> None:
        self._close()
        for number in range(self._kept_files - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._numbered(number).replace(self._numbered(number + 1))
        with contextlib.suppress(FileNotFoundError):
            self._path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _close_at_last_whole_line(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
        self._file, self._size = None, 0
