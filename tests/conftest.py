"""What all tests share: Ctrl-C as a terminal gives it, and one laptop with two real releases."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.laptop import Laptop, laptop


def pytest_configure() -> None:
    """Take Ctrl-C as a terminal would give it: started in the background, this process and all that tests start would ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A laptop that serves iris 1, with release 2 made and not served yet."""
    with laptop(tmp_path_factory.mktemp("laptop")) as made:
        made.up()
        made.ok("release", "iris")
        yield made
