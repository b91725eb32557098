"""The official release: fetched with a short patience, its SHA-256 compared with the release's own published checksum file.

Archive and checksum file come from two different hosts, so one altered place is not enough to get past the comparison.
"""

from __future__ import annotations

import hashlib
import http.client
import platform
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from toolchain import SetupError
from toolchain.engine.find import FILES
from toolchain.process import PROGRESS_SECONDS, say

ARCHIVES = "https://get.pulumi.com/releases/sdk"
CHECKSUMS = "https://github.com/pulumi/pulumi/releases/download"
# Short, for the many machines that reach neither host and must go on to the build; it also bounds each wait for more bytes.
TIMEOUT_SECONDS = 5.0
MOST_BYTES = 1 << 30


def engine(root: Path, version: str, into: Path, *, archives: str = ARCHIVES, checksums: str = CHECKSUMS) -> str:
    """Put the release's Python parts into ``into`` and say where they are from.

    Raises `SetupError` when it can't be reached or is not what was published.
    """
    del root
    name = archive_name(version, platform.system(), platform.machine())
    if name is None:
        raise SetupError(f"download: there is no official build for {platform.system()} on {platform.machine()}")
    published = f"{checksums}/v{version}/pulumi-{version}-checksums.txt"
    try:
        expected = expected_digest(_read(published), name)
        if expected is None:
            raise SetupError(f"download: {published} has no line for {name}")
        with tempfile.TemporaryFile() as archive:
            got = _fetch(f"{archives}/{name}", archive)
            if got != expected:
                raise SetupError(f"download: {name} has SHA-256 {got}, but the release's checksum file says {expected}: refused")
            archive.seek(0)
            _extract(archive, into)
    except (http.client.HTTPException, ValueError) as error:
        raise SetupError(f"download: {error}") from error
    except tarfile.TarError as error:
        raise SetupError(f"download: {name} is not a readable archive: {error}") from error
    return f"the official download, SHA-256 as in the release's published checksum file ({published})"


def archive_name(version: str, system: str, machine: str) -> str | None:
    """File name of the official archive for a platform, or None where there is none."""
    systems = {"linux": "linux", "darwin": "darwin"}
    machines = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    os_name, arch = systems.get(system.lower()), machines.get(machine.lower())
    return f"pulumi-v{version}-{os_name}-{arch}.tar.gz" if os_name and arch else None


def expected_digest(text: str, name: str) -> str | None:
    """The SHA-256 that a checksum file (``<digest>  <file>`` a line) gives for ``name``."""
    for line in text.splitlines():
        digest, _, file = line.strip().partition(" ")
        if file.strip().lstrip("*") == name and len(digest) == 64:
            return digest.lower()
    return None


def _read(url: str) -> str:
    with _open(url) as answer:
        return bytes(answer.read(1 << 20)).decode("utf-8", "replace")


def _fetch(url: str, into: IO[bytes]) -> str:
    digest = hashlib.sha256()
    total, told = 0, time.monotonic()
    with _open(url) as answer:
        for block in iter(lambda: _block(answer, url), b""):
            total += len(block)
            if total > MOST_BYTES:
                raise SetupError(f"download: {url} does not end")
            digest.update(block)
            into.write(block)
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                say(f"  downloading Pulumi: {total >> 20} MiB")
    return digest.hexdigest()


def _open(url: str) -> IO[bytes]:
    try:
        opened: IO[bytes] = urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        raise SetupError(f"download: {url}: {error.code} {error.reason}") from error
    except OSError as error:
        raise SetupError(f"download: {url}: {getattr(error, 'reason', error)}") from error
    return opened


def _block(answer: IO[bytes], url: str) -> bytes:
    try:
        return answer.read(1 << 20)
    except OSError as error:
        raise SetupError(f"download: {url}: {error}") from error


def _extract(archive: IO[bytes], into: Path) -> None:
    """Take the plain files that are needed, by name: nothing in the archive decides where something is written."""
    with tarfile.open(fileobj=archive, mode="r:gz") as bundle:
        for member in bundle:
            name = Path(member.name).name
            stream = bundle.extractfile(member) if member.isfile() and (name in FILES or name == "pulumi-analyzer-policy-python") else None
            if stream:
                target = into / name
                with stream, target.open("wb") as file:
                    shutil.copyfileobj(stream, file)
                target.chmod(0o755)
    missing = [name for name in FILES if not (into / name).exists()]
    if missing:
        raise SetupError(f"download: the archive holds no {', no '.join(missing)}")
