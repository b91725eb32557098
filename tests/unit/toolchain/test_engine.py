"""The order in which an engine is looked for, and what is said when none is to be had."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain import ROOT, SetupError, engine, golang, process
from toolchain.engine import build, download, find

Way = Callable[[Path, str, Path], str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and a PATH without an engine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    return tmp_path / "mldelivery" / "engine"


def gives(source: str, calls: list[str]) -> Way:
    """A way that works and notes that it was asked."""

    def way(_root: Path, _version: str, into: Path) -> str:
        calls.append(source)
        for name in find.FILES:
            (into / name).write_text(source)
            (into / name).chmod(0o755)
        return source

    return way


def fails(reason: str) -> Way:
    """A way that gets half of the files and then gives up."""

    def way(_root: Path, _version: str, into: Path) -> str:
        (into / "pulumi").write_text("half")
        raise SetupError(reason)

    return way


def test_the_download_comes_before_the_build_and_once_is_enough(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(download, "engine", gives("downloaded", calls))
    monkeypatch.setattr(build, "engine", gives("built", calls))
    folder = engine.prepare(ROOT)
    assert folder.is_relative_to(home)
    assert engine.prepare(ROOT) == folder
    assert calls == ["downloaded"]


def test_the_build_follows_a_download_that_fails_and_takes_nothing_of_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "engine", fails("download: unreachable"))
    monkeypatch.setattr(build, "engine", gives("built", []))
    folder = engine.prepare(ROOT)
    assert (folder / "pulumi").read_text() == "built"
    assert [path.name for path in home.iterdir() if path.name.startswith(".new")] == []


def test_every_way_tried_is_named_when_none_works(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "engine", fails("download: unreachable"))
    monkeypatch.setattr(build, "engine", fails("build: no proxy"))
    with pytest.raises(SetupError) as caught:
        engine.prepare(ROOT)
    for text in ("there is no pulumi on PATH", "download: unreachable", "build: no proxy", "Do: install Pulumi"):
        assert text in str(caught.value)
    assert not (home / f"{find.pinned_version(ROOT)}-{find.platform_name()}").exists()


def test_an_altered_engine_is_made_anew_and_what_a_killed_run_left_is_removed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(download, "engine", gives("downloaded", calls))
    folder = engine.prepare(ROOT)
    (folder / "pulumi").write_text("altered")
    (home / ".new-1").mkdir()
    assert (engine.prepare(ROOT) / "pulumi").read_text() == "downloaded"
    assert calls == ["downloaded", "downloaded"]
    assert not (home / ".new-1").exists()


def test_two_calls_at_once_make_one_engine(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    del home
    calls: list[str] = []
    quick = gives("downloaded", calls)

    def slow(root: Path, version: str, into: Path) -> str:
        time.sleep(0.3)
        return quick(root, version, into)

    monkeypatch.setattr(download, "engine", slow)
    threads = [threading.Thread(target=engine.prepare, args=(ROOT,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == ["downloaded"]
    assert "another set-up is busy with the Pulumi engine" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "version"), [
    ("go version go1.26.8 linux/amd64", (1, 26, 8)),
    ("go version go1.22 darwin/arm64", (1, 22, 0)),
    ("module x\n\ngo 1.25.11\n", (1, 25, 11)),
    ("", None),
])  # fmt: skip
def test_a_go_version_is_read(text: str, version: tuple[int, int, int] | None) -> None:
    assert golang.go_version(text) == version


def test_a_go_that_is_too_old_fetches_exactly_the_one_needed() -> None:
    assert golang.toolchain_setting((1, 26, 8), (1, 25, 11)) == "local"
    assert golang.toolchain_setting((1, 25, 11), (1, 25, 11)) == "local"
    assert golang.toolchain_setting((1, 22, 0), (1, 25, 11)) == "go1.25.11"


def test_a_failed_build_shows_the_commands_own_words(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"(?s)compiling failed \(exit code 3\).*no such module"):
        process.run(["sh", "-c", "echo no such module; exit 3"], "compiling", cwd=tmp_path)


def test_a_full_disk_is_named_as_such() -> None:
    with pytest.raises(SetupError, match="The disk is full: free some space and run the same command again"):
        process.run(["sh", "-c", "echo 'write /x: no space left on device' >&2; exit 1"], "compiling")
    assert "the disk is full: /x" in process.explain(OSError(28, "No space left on device", "/x"))
    assert "XDG_CACHE_HOME" in process.explain(PermissionError(13, "Permission denied", "/x"))
    assert process.explain(OSError(5, "Input/output error", "/x")) == "/x: Input/output error"


def test_progress_is_said_while_a_command_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(process, "PROGRESS_SECONDS", 0.1)
    lines = process.run(["sh", "-c", "echo one; sleep 0.4; echo two"], "compiling", note=lambda line: f"at {line}")
    assert lines == ["one", "two"]
    assert "  compiling: 0 s, at one" in capsys.readouterr().err


def test_a_missing_command_is_named() -> None:
    with pytest.raises(SetupError, match="no-such-command is not there"):
        process.run(["no-such-command"], "looking")


def test_the_cache_is_where_the_user_says(tmp_path: Path) -> None:
    assert process.cache_dir({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "mldelivery"
    assert process.cache_dir({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache" / "mldelivery"
    assert process.cache_dir({}) == Path.home() / ".cache" / "mldelivery"
