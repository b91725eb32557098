"""Run a slow command with progress; let two set-ups wait for each other; explain what the system refuses."""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from toolchain import SetupError

_Main = Callable[[list[str]], int]

PROGRESS_SECONDS = 5.0
NO_SPACE = "no space left on device"


def say(line: str) -> None:
    """Write one line for the person who waits; standard output stays free for results."""
    print(line, file=sys.stderr, flush=True)


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder outside Git that all clones of one user share."""
    base = environ.get("XDG_CACHE_HOME") or ""
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "mldelivery"


def explain(error: OSError) -> str:
    """A system error in words, with what to do about a full disk or a folder that may not be written."""
    where = error.filename or "a file"
    if error.errno == errno.ENOSPC:
        return f"the disk is full: {where} could not be written. Free some space and run the same command again; it goes on from here."
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"{where} may not be written ({error.strerror}). Make it writable, or set XDG_CACHE_HOME to a folder that is."
    return f"{where}: {error.strerror}"


def plain_errors(stopped: str = "stopped; the next call goes on from here") -> Callable[[_Main], _Main]:
    """A decorator of a command's ``main``: what it refuses and what the system refuses it become one line and exit code 1, Ctrl-C 130."""

    def decorate(main: _Main) -> _Main:
        @functools.wraps(main)
        def plain(arguments: list[str]) -> int:
            try:
                return main(arguments)
            except SetupError as error:
                say(f"error: {error}")
            except OSError as error:
                say(f"error: {explain(error)}")
            except KeyboardInterrupt:
                say(stopped)
                return 130
            return 1

        return plain

    return decorate


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the lock of ``path``: a second set-up waits here, and says so, until the first has ended or died."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another set-up is busy with {what}: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run(
    command: Sequence[str],
    what: str,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    note: Callable[[str], str | None] = lambda _line: None,
) -> list[str]:
    """Run ``command`` to its end and return the lines it wrote; every few seconds say what is going on and for how long.

    ``note`` turns a line of output into what the next progress line says beside the time. Raises `SetupError` with the last lines when the
    command fails or is missing. An interruption ends the command too.
    """
    started = time.monotonic()
    lines: list[str] = []
    latest = ""
    try:
        child = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise SetupError(f"{what}: {command[0]} is not there") from error

    def read() -> None:
        nonlocal latest
        for line in child.stdout or ():
            lines.append(line.rstrip())
            latest = note(lines[-1]) or latest

    reader = threading.Thread(target=read, daemon=True)
    with child:
        reader.start()
        try:
            while True:
                reader.join(PROGRESS_SECONDS)
                if not reader.is_alive():
                    break
                say(f"  {what}: {time.monotonic() - started:.0f} s{', ' + latest if latest else ''}")
            status = child.wait()
        except BaseException:
            child.terminate()
            reader.join(10)
            raise
    if status:
        raise SetupError(_failure(what, status, lines))
    return lines


def _failure(what: str, status: int, lines: list[str]) -> str:
    tail = "\n".join(f"    {line}" for line in deque((line for line in lines if line), maxlen=12))
    full = any(NO_SPACE in line.lower() for line in lines)
    act = "\n  The disk is full: free some space and run the same command again; it goes on from here." if full else ""
    return f"{what} failed (exit code {status}):\n{tail}{act}"
