"""Releases with images in a store, made once; a real registry for each test that wants one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.release import Release
from pipelines.release import release
from tests.images.registry import Registry
from tests.pipelines.laboratory import FIRST_UNTIL, ROOT, folders_for


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with release 1 of iris and its image."""
    place = tmp_path_factory.mktemp("made")
    folders = folders_for(place / "models")
    outcome = release(ROOT, "iris", store=place / "store", folders=folders, until=FIRST_UNTIL, champion="none", image=True)
    assert outcome.is_new and outcome.record.image
    return place / "store"


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy of it for one test to change; its blobs are hard links."""
    shutil.copytree(made, tmp_path / "store", copy_function=_link)
    return tmp_path / "store"


@pytest.fixture
def record(store: Path) -> Release:
    from infra.release import load

    return load(store, "iris", 1)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Callable[..., Registry]]:
    """Starts a registry that keeps its images in a folder; all are ended with the test."""
    started: list[Registry] = []

    def start(folder: Path | None = None) -> Registry:
        started.append(Registry.start(folder or tmp_path / "registry"))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def _link(source: str, target: str) -> None:
    if "/blobs/" in source:
        Path(target).hardlink_to(source)
    else:
        shutil.copy2(source, target)
