"""Where the local target keeps its things. Computed from this file, never from state, so that a checkout can be moved."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from infra import files
from infra.errors import PlatformError

HOST = "127.0.0.1"
"""Everything listens on loopback only."""

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / ".local"
GATEWAY = STORE / "gateway"
ROLLOUTS = STORE / "rollouts"
SUPERVISOR = STORE / "supervisor"
LOGS = STORE / "logs"
REQUESTS = STORE / "requests"

STORE_VARIABLE = "MLDELIVERY_STORE"
"""Set in the environment of every process that a checkout starts: what carries this checkout's value is its own, all else is a stranger."""


def executable(name: str) -> str:
    """Path of a program of the Python environment that this code runs in."""
    return str(Path(sys.prefix) / "bin" / name)


def runtime_folder() -> Path:
    """A private folder for sockets: their paths may have 107 bytes at most, and a checkout can lie deeper than that."""
    key = hashlib.sha256(str(STORE).encode()).hexdigest()[:12]
    parents = [folder for folder in (tempfile.gettempdir(), "/tmp") if len(folder) <= 50]
    folder = Path(parents[0]) / f"mldelivery-{os.getuid()}-{key}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PlatformError(
            "this folder belongs to another user", where=str(folder), act="remove it, or set TMPDIR to a folder of your own"
        )
    return folder


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader, and a crash, sees the old text or the new one and nothing between."""
    try:
        # Not beside the target: the gateway watches that folder.
        with files.written_whole(path, folder=path.parent.parent) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PlatformError(
            f"cannot be written: {error.strerror}", where=str(path), act="free some space and run the same command again"
        ) from error


@contextlib.contextmanager
def locked(path: Path, *, wait_seconds: float, act: str = "wait for it to end, then run the same command again") -> Iterator[None]:
    """Hold a lock on a file for the length of a block; the kernel drops it with the process, so that it is never stale.

    Raises PlatformError that names the holder after ``wait_seconds``.
    """
    import time

    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    with path.open("a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    holder = file.read().strip() or "another process"
                    raise PlatformError(f"is held by {holder}", where=str(path), act=act) from None
                time.sleep(0.02)
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield
