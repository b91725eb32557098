"""Files that are whole or not there: written under a name of their own first, whatever kills the writer."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_LEFT = re.compile(r"\..+\.(?P<pid>\d+)\.partial")


@contextlib.contextmanager
def written_whole(path: Path, *, folder: Path | None = None) -> Iterator[Path]:
    """Give a name to write to; at the end of the block it takes the place of ``path``, of which a reader, and a crash, sees all or nothing.

    ``folder`` is where the file is written until then (on the same disk), by default beside ``path``. Raises OSError.
    """
    partial = partial_of(path, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(path)
    finally:
        discard(partial)


@contextlib.contextmanager
def written_once(path: Path) -> Iterator[Path]:
    """The same for a file that never changes: raises FileExistsError where there is one already, besides other OSErrors."""
    partial = partial_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        os.link(partial, path)  # unlike a rename, a link fails when the name is taken
    finally:
        discard(partial)


def partial_of(path: Path, folder: Path | None = None) -> Path:
    """The name under which this process writes a file until it is whole; ``sweep`` knows it again."""
    return (folder or path.parent) / f".{path.name}.{os.getpid()}.partial"


def discard(partial: Path) -> None:
    """Remove a half-written file, if it is there; a disk that refuses even that is told of by what failed before."""
    with contextlib.suppress(OSError):
        partial.unlink()


def sweep(folders: Iterable[Path]) -> list[Path]:
    """Remove what killed processes left half-written in these folders (not below them), and only theirs; returns what was removed."""
    import psutil

    removed = []
    for folder in folders:
        for partial in folder.glob(".*.partial"):
            found = _LEFT.fullmatch(partial.name)
            if found and partial.is_file() and not psutil.pid_exists(int(found["pid"])):
                discard(partial)
                removed.append(partial)
    return removed
