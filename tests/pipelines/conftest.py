from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.laboratory import Laboratory, folders_for


@pytest.fixture(scope="session")
def first_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with release 1 of iris, made once for all tests."""
    place = tmp_path_factory.mktemp("first")
    laboratory = Laboratory(place / "store", folders_for(place / "models"))
    assert laboratory.release().release == 1
    laboratory.check_whole()
    return laboratory.store


@pytest.fixture
def laboratory(tmp_path: Path, first_store: Path) -> Iterator[Laboratory]:
    """A store that has release 1, and its model folder."""
    shutil.copytree(first_store, tmp_path / "store")
    made = Laboratory(tmp_path / "store", folders_for(tmp_path / "models"))
    yield made
    made.check_whole()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Laboratory]:
    """A store without any release, and the model folder."""
    made = Laboratory(tmp_path / "store", folders_for(tmp_path / "models"))
    yield made
    made.check_whole()
