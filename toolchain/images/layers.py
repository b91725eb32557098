"""Layers: a tar whose bytes depend on nothing but the names, contents and execute bits of what goes in."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
PLAIN = "application/vnd.oci.image.layer.v1.tar"
# Magic, deflate, no flags, time 0, no hint, unknown system.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass(frozen=True)
class Layer:
    """A finished layer file: what a manifest says of it, and the digest of the tar inside."""

    path: Path
    media_type: str
    digest: str
    size: int
    diff_id: str
    unpacked: int


@dataclass(frozen=True)
class Entry:
    """One thing in an image: a file (``source`` or ``content``), a link, or else a folder. ``name`` has no leading slash."""

    name: str
    source: Path | None = None
    content: bytes | None = None
    link: str | None = None
    is_executable: bool = False
    mode: int | None = None


def folder(source: Path, inside: str) -> Iterator[Entry]:
    """Everything below ``source``, placed below ``inside``; bytecode that Python left behind is not taken along."""
    for path in sorted(source.rglob("*")):
        name = f"{inside}/{path.relative_to(source).as_posix()}"
        if path.is_symlink():
            yield Entry(name, link=str(path.readlink()))
        elif path.is_dir():
            yield Entry(name)
        elif path.is_file():
            yield Entry(name, source=path, is_executable=bool(path.stat().st_mode & 0o100))


def write(entries: Iterable[Entry], target: Path, *, is_compressed: bool) -> Layer:
    """Write a layer of entries, and the folders above them, into the file ``target``. Raises OSError."""
    with target.open("wb") as file, _Sink(file, is_compressed) as sink:
        with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as archive:  # type: ignore[call-overload]
            for entry in _with_parents(entries):
                _add(archive, entry)
        sink.close()
    return Layer(
        path=target,
        media_type=GZIP if is_compressed else PLAIN,
        digest=f"sha256:{sink.outer.hexdigest()}",
        size=sink.written,
        diff_id=f"sha256:{sink.inner.hexdigest()}",
        unpacked=sink.read,
    )


def from_tar(archive: IO[bytes], target: Path, *, drop: tuple[str, ...]) -> Layer:
    """A compressed layer of another tar's files, without devices, set-id bits, owners and times, and without what lies below ``drop``."""
    with tarfile.open(fileobj=archive, mode="r|*") as source, target.open("wb") as file, _Sink(file, True) as sink:
        with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as result:  # type: ignore[call-overload]
            for member in source:
                member.name = member.name.lstrip("./")
                is_dropped = any(member.name == name or member.name.startswith(f"{name}/") for name in drop)
                if not member.name or is_dropped or member.isdev():
                    continue
                _forget(member)
                member.mode &= 0o1777
                if member.islnk():
                    member.linkname = member.linkname.lstrip("./")
                result.addfile(member, source.extractfile(member) if member.isreg() else None)
        sink.close()
    return Layer(target, GZIP, f"sha256:{sink.outer.hexdigest()}", sink.written, f"sha256:{sink.inner.hexdigest()}", sink.read)


def _with_parents(entries: Iterable[Entry]) -> Iterator[Entry]:
    seen = {""}
    for entry in sorted(entries, key=lambda entry: entry.name):
        parts = entry.name.split("/")
        for length in range(1, len(parts)):
            parent = "/".join(parts[:length])
            if parent not in seen:
                seen.add(parent)
                yield Entry(parent)
        if entry.name not in seen:
            seen.add(entry.name)
            yield entry


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    member = tarfile.TarInfo(entry.name)
    member.mode = entry.mode or 0o755
    if entry.link is not None:
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, entry.link, 0o777
        archive.addfile(member)
    elif entry.content is not None:
        member.size, member.mode = len(entry.content), entry.mode or (0o755 if entry.is_executable else 0o644)
        archive.addfile(member, io.BytesIO(entry.content))
    elif entry.source is not None:
        member.mode = entry.mode or (0o755 if entry.is_executable else 0o644)
        member.size = entry.source.stat().st_size
        with entry.source.open("rb") as file:
            archive.addfile(member, file)
    else:
        member.type = tarfile.DIRTYPE
        archive.addfile(member)


def _forget(member: tarfile.TarInfo) -> None:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.pax_headers = {}


class _Sink:
    """A file to write a tar into, which keeps the digests of what came in and of what went out."""

    def __init__(self, file: IO[bytes], is_compressed: bool) -> None:
        self.inner, self.outer = hashlib.sha256(), hashlib.sha256()
        self.read = self.written = 0
        self._file = file
        # Level 6 with zlib's own framing left out: Python's gzip module writes a time and a name.
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS) if is_compressed else None
        self._check = 0
        if self._deflate:
            self._out(_GZIP_HEADER)

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, data: bytes) -> int:
        self.inner.update(data)
        self.read += len(data)
        if self._deflate:
            self._check = zlib.crc32(data, self._check)
            self._out(self._deflate.compress(data))
        else:
            self._out(data)
        return len(data)

    def close(self) -> None:
        if self._deflate:
            self._out(self._deflate.flush())
            self._out(self._check.to_bytes(4, "little") + (self.read & 0xFFFFFFFF).to_bytes(4, "little"))
        self._file.flush()

    def _out(self, data: bytes) -> None:
        self.outer.update(data)
        self.written += len(data)
        self._file.write(data)
