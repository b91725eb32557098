"""Which engine may be used: on PATH, in the cache, or none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from toolchain import ROOT
from toolchain.engine import find

PINNED = "3.250.0"


def engine(folder: Path, version: str = f"v{PINNED}", without: str = "") -> Path:
    """A folder with scripts that look like an engine and answer ``pulumi version``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in find.FILES:
        if name != without:
            (folder / name).write_text(f"#!/bin/sh\necho {version}\n")
            (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(("version", "is_fit"), [
    ("3.250.0", True), ("v3.250.0", True), ("3.250.1", True), ("3.259.0", True), ("3.1000.0", True), ("3.250.0+dirty", True),
    ("3.249.9", False), ("3.99.0", False), ("4.0.0", False), ("2.250.0", False), ("", False), ("3.251.0-alpha.1", False), ("no", False),
])  # fmt: skip
def test_a_version_fits_from_the_pinned_one_to_the_next_major(version: str, is_fit: bool) -> None:
    assert find.fits(version, PINNED) is is_fit


def test_the_pin_is_the_one_of_go_mod() -> None:
    assert find.fits(find.pinned_version(ROOT), PINNED)


def test_a_module_that_is_not_required_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module x\n\nrequire example.org/y v1.2.3\n")
    assert find.module_version(tmp_path / "go.mod", "example.org/y") == "1.2.3"
    with pytest.raises(ValueError, match="not required"):
        find.module_version(tmp_path / "go.mod", "example.org/z")


def test_a_fitting_engine_on_path_is_taken(tmp_path: Path) -> None:
    home = engine(tmp_path / "bin")
    tried: list[str] = []
    assert find.on_path(f"{tmp_path / 'none'}:{home}", PINNED, ours=tmp_path / "cache", tried=tried) == home
    assert tried == []


def test_an_old_engine_is_passed_over_for_a_later_fitting_one(tmp_path: Path) -> None:
    old, new = engine(tmp_path / "old", "v3.100.0"), engine(tmp_path / "new", "v3.251.2")
    tried: list[str] = []
    assert find.on_path(f"{old}:{new}", PINNED, ours=tmp_path / "cache", tried=tried) == new
    assert "is version 3.100.0; needed: 3.250.0 or newer, below 4" in tried[0]


@pytest.mark.parametrize("missing", find.FILES[1:])
def test_an_engine_without_all_its_parts_is_refused_with_their_names(tmp_path: Path, missing: str) -> None:
    home = engine(tmp_path / "bin", without=missing)
    tried: list[str] = []
    assert find.on_path(str(home), PINNED, ours=tmp_path / "cache", tried=tried) is None
    assert f"no {missing}" in tried[0]


def test_a_link_to_an_engine_finds_the_parts_beside_the_real_one(tmp_path: Path) -> None:
    home = engine(tmp_path / "cellar")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pulumi").symlink_to(home / "pulumi")
    assert find.on_path(str(tmp_path / "bin"), PINNED, ours=tmp_path / "cache", tried=[]) == home


def test_our_own_engine_on_path_is_not_mistaken_for_the_users(tmp_path: Path) -> None:
    home = engine(tmp_path / "cache" / "3.250.0" / "bin")
    tried: list[str] = []
    assert find.on_path(str(home), PINNED, ours=tmp_path / "cache", tried=tried) is None
    assert tried == ["there is no pulumi on PATH"]


def test_a_pulumi_that_does_not_run_has_no_version(tmp_path: Path) -> None:
    home = engine(tmp_path / "bin")
    (home / "pulumi").write_text("#!/bin/sh\nexit 3\n")
    assert find.version_of(home / "pulumi", tmp_path / "memory.json") == ""


def test_a_script_is_asked_each_time_and_a_binary_once(tmp_path: Path) -> None:
    home, memory = engine(tmp_path / "bin"), tmp_path / "memory.json"
    assert find.version_of(home / "pulumi", memory) == PINNED
    assert not memory.exists()
    status = (home / "pulumi").stat()
    memory.write_text(json.dumps({"key": [str(home / "pulumi"), status.st_size, status.st_mtime_ns], "version": "3.255.0"}))
    assert find.version_of(home / "pulumi", memory) == "3.255.0"
    os.utime(home / "pulumi", ns=(1, 1))
    assert find.version_of(home / "pulumi", memory) == PINNED


def test_a_sealed_engine_is_intact_until_a_file_changes(tmp_path: Path) -> None:
    engine(tmp_path / "bin")
    find.seal(tmp_path, "a test", "pins")
    assert find.is_intact(tmp_path, "pins")
    (tmp_path / "bin" / "pulumi").write_text("#!/bin/sh\necho other\n")
    assert not find.is_intact(tmp_path, "pins")


def test_an_engine_copied_with_other_times_is_still_intact(tmp_path: Path) -> None:
    engine(tmp_path / "bin")
    find.seal(tmp_path, "a test", "pins")
    os.utime(tmp_path / "bin" / "pulumi", ns=(1, 1))
    assert find.is_intact(tmp_path, "pins")
    recorded = json.loads((tmp_path / find.MANIFEST).read_text())["files"]["pulumi"]["mtime_ns"]
    assert recorded == 1


def test_other_pins_a_missing_file_or_a_torn_manifest_make_it_anew(tmp_path: Path) -> None:
    engine(tmp_path / "bin")
    find.seal(tmp_path, "a test", "pins")
    assert not find.is_intact(tmp_path, "other pins")
    (tmp_path / "bin" / "pulumi-language-python").unlink()
    assert not find.is_intact(tmp_path, "pins")
    engine(tmp_path / "bin")
    (tmp_path / find.MANIFEST).write_text('{"source": ')
    assert not find.is_intact(tmp_path, "pins")
    assert not find.is_intact(tmp_path / "nothing", "pins")


def test_half_an_engine_is_not_one(tmp_path: Path) -> None:
    engine(tmp_path / "bin", without="pulumi-resource-pulumi-python")
    find.seal(tmp_path, "a test", "pins")
    assert not find.is_intact(tmp_path, "pins")
