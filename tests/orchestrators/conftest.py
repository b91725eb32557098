from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.orchestrators.checkout import FIRST, Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A checkout without any release; nothing may run in it afterwards."""
    made = Checkout.make(tmp_path / "checkout")
    yield made
    left = [process.cmdline() for process in made.processes()]
    made.end()
    assert left == []


@pytest.fixture(scope="session")
def by_command(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command line makes of the same model and data: the record of release 1."""
    place = tmp_path_factory.mktemp("by-command")
    made = Checkout.make(place / "checkout")
    made.by_command(FIRST, place / "store")
    return made.made(1, place / "store")
