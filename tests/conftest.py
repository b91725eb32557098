"""One laptop for all end-to-end tests, with two real releases: what `make up` and `make release` make on a fresh checkout."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.laptop import Laptop, laptop


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A laptop that serves iris 1, with release 2 made and not served yet."""
    with laptop(tmp_path_factory.mktemp("laptop")) as made:
        made.up()
        made.ok("release", "iris")
        yield made
