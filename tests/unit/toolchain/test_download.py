"""The official download, from a server of the test's own on loopback."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import platform
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain import SetupError
from toolchain.engine import download, find

VERSION = "3.250.0"
NAME = download.archive_name(VERSION, platform.system(), platform.machine()) or ""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which it is served."""
    root = tmp_path / "site"
    (root / f"v{VERSION}").mkdir(parents=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield root, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def publish(root: Path, names: tuple[str, ...] = find.FILES, digest: str = "") -> None:
    """Put an archive and its checksum file where the release's would be."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as bundle:
        for name in (*(f"pulumi/{name}" for name in names), "../outside", "pulumi/other"):
            member = tarfile.TarInfo(name)
            member.size = len(name)
            bundle.addfile(member, io.BytesIO(name.encode()))
    (root / NAME).write_bytes(buffer.getvalue())
    shown = digest or hashlib.sha256(buffer.getvalue()).hexdigest()
    (root / f"v{VERSION}" / f"pulumi-{VERSION}-checksums.txt").write_text(f"{'0' * 64}  other.tar.gz\n{shown}  {NAME}\n")


def fetch(site: tuple[Path, str], into: Path) -> str:
    """Download from the test's own server."""
    into.mkdir(exist_ok=True)
    return download.engine(into, VERSION, into, archives=site[1], checksums=site[1])


def test_the_needed_files_are_taken_and_nothing_else(site: tuple[Path, str], tmp_path: Path) -> None:
    publish(site[0])
    assert "published checksum file" in fetch(site, tmp_path / "bin")
    assert {path.name for path in (tmp_path / "bin").iterdir()} == set(find.FILES)
    assert (tmp_path / "bin" / "pulumi").stat().st_mode & 0o111
    assert not (tmp_path / "outside").exists()


def test_an_archive_with_another_digest_is_refused(site: tuple[Path, str], tmp_path: Path) -> None:
    publish(site[0], digest="a" * 64)
    with pytest.raises(SetupError, match=r"checksum file says a{64}: refused"):
        fetch(site, tmp_path / "bin")
    assert list((tmp_path / "bin").iterdir()) == []


def test_an_archive_without_the_language_host_is_refused(site: tuple[Path, str], tmp_path: Path) -> None:
    publish(site[0], names=("pulumi",))
    with pytest.raises(SetupError, match="holds no pulumi-language-python"):
        fetch(site, tmp_path / "bin")


def test_a_release_that_is_not_there_is_said(site: tuple[Path, str], tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="404"):
        fetch(site, tmp_path / "bin")


def test_a_checksum_file_without_this_archive_is_refused(site: tuple[Path, str], tmp_path: Path) -> None:
    publish(site[0])
    (site[0] / f"v{VERSION}" / f"pulumi-{VERSION}-checksums.txt").write_text("<html>sign in</html>")
    with pytest.raises(SetupError, match="has no line for"):
        fetch(site, tmp_path / "bin")


def test_an_unreachable_host_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="refused"):
        download.engine(tmp_path, VERSION, tmp_path, archives="http://127.0.0.1:9", checksums="http://127.0.0.1:9")


def test_an_archive_that_does_not_end_is_given_up(site: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(site[0])
    monkeypatch.setattr(download, "MOST_BYTES", 10)
    with pytest.raises(SetupError, match="does not end"):
        fetch(site, tmp_path / "bin")


@pytest.mark.parametrize(("system", "machine", "name"), [
    ("Linux", "x86_64", "pulumi-v3.250.0-linux-x64.tar.gz"),
    ("Linux", "aarch64", "pulumi-v3.250.0-linux-arm64.tar.gz"),
    ("Darwin", "arm64", "pulumi-v3.250.0-darwin-arm64.tar.gz"),
    ("Linux", "riscv64", None),
    ("SunOS", "x86_64", None),
])  # fmt: skip
def test_the_archive_of_a_platform(system: str, machine: str, name: str | None) -> None:
    assert download.archive_name(VERSION, system, machine) == name


def test_a_checksum_file_is_read_by_the_whole_name() -> None:
    text = f"{'a' * 64}  x.tar.gz.sig\n{'B' * 64} *x.tar.gz\nshort  y\n"
    assert download.expected_digest(text, "x.tar.gz") == "b" * 64
    assert download.expected_digest(text, "y") is None
