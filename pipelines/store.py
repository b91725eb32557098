"""The store's files: written all or nothing, found again only when whole, one writer for each model."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra import files
from infra.errors import PlatformError
from infra.release import file_digest, tree_digest


def now() -> str:
    """The time as records give it: UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that its name only ever leads to the whole content, also after a crash. Raises OSError."""
    with files.written_whole(path) as partial, partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def place_folder(source: Path, target: Path) -> None:
    """Copy a folder to where it will stay, in one visible step; what a killed run left there is replaced. Raises OSError."""
    partial = files.partial_of(target)
    try:
        copy_folder(source, partial)
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder's files, bytecode aside. Unlike shutil's, raises the very OSError that the first file met."""
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)


@dataclass(frozen=True)
class Entry:
    """A step that was done: its artifact as plain JSON, and how long it took."""

    artifact: dict[str, Any]
    seconds: float


class Steps:
    """The results of a model's steps, each in a folder named by step and key, and believed only when every digest fits."""

    def __init__(self, store: Path, model: str) -> None:
        self._store = store
        self._folder = Path("steps") / model

    def place(self, step: str, key: str) -> str:
        """The folder of a step's result, relative to the store."""
        return (self._folder / step / key.removeprefix("sha256:")[:24]).as_posix()

    def find(self, step: str, key: str) -> Entry | None:
        """What a step gave for this key before; None when it was not done, or what it wrote is not whole any more."""
        try:
            entry = json.loads((self._store / self.place(step, key) / "entry.json").read_bytes())
            files: dict[str, str] = entry["files"]
            if entry["key"] == key and all(_digest(self._store / path) == digest for path, digest in files.items()):
                return Entry(artifact=entry["artifact"], seconds=entry["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None

    def made(self, step: str) -> Iterator[dict[str, Any]]:
        """The artifacts of a step, whatever its inputs were; unreadable ones are passed over."""
        for path in sorted((self._store / self._folder / step).glob("*/entry.json")):
            with contextlib.suppress(OSError, ValueError, KeyError):
                yield json.loads(path.read_bytes())["artifact"]

    @contextlib.contextmanager
    def opened(self, step: str, key: str) -> Iterator[Path]:
        """A new folder for a step to write into; gone afterwards unless it was kept. Raises OSError."""
        final = self._store / self.place(step, key)
        partial = final.parent / f".{final.name}.{uuid.uuid4().hex[:8]}.partial"
        try:
            partial.mkdir(parents=True)  # in here: Ctrl-C may come as soon as it is made
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def keep(self, step: str, key: str, partial: Path, artifact: dict[str, Any], seconds: float, outside: tuple[str, ...]) -> None:
        """Make a step's folder final. ``outside`` names files elsewhere in the store that the artifact needs. Raises OSError."""
        place = self.place(step, key)
        files = {f"{place}/{path.name}": _digest(path) for path in sorted(partial.iterdir())}
        files |= {path: _digest(self._store / path) for path in outside}
        entry = {"step": step, "key": key, "made-at": now(), "seconds": round(seconds, 3), "artifact": artifact, "files": files}
        write_whole(partial / "entry.json", json.dumps(entry, indent=1).encode())
        final = self._store / place
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)

    def sweep(self) -> None:
        """Remove what killed runs left half-written. Only for the holder of the model's lock."""
        folders = [self._store / kind / self._folder.name for kind in ("snapshots", "bentos", "images", "releases")]
        for folder in [*folders, *(self._store / self._folder).glob("*")]:
            for partial in folder.glob(".*.partial"):
                if partial.is_dir():
                    shutil.rmtree(partial, ignore_errors=True)
                else:
                    partial.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(store: Path, model: str) -> Iterator[None]:
    """Be the only one who makes a release of this model in this store. The lock ends with its process, however that ends.

    Raises PlatformError that names the holder when another run has it.
    """
    from filelock import FileLock, Timeout

    folder = store / "steps" / model
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "lock.holder"
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = holder.read_text(encoding="utf-8").strip() if holder.is_file() else "another process"
        raise PlatformError(
            f"a release of {model} is being made already",
            where=str(folder / "lock"),
            got=who,
            allowed="one run at a time for each model",
            act="wait for it, or end that process; the lock ends with it",
        ) from None
    try:
        write_whole(holder, f"process {os.getpid()} on {socket.gethostname()} since {now()}\n".encode())
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _digest(path: Path) -> str:
    return tree_digest(path) if path.is_dir() else file_digest(path)
