"""An environment to be declared, with nothing recorded yet."""

from __future__ import annotations

import pytest

from tests.unit.aws.declared import Declared


@pytest.fixture
def cloud() -> Declared:
    return Declared()
