"""One recording engine, which owns its event loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pulumi
import pytest

from tests.unit.infra.recorded import Recorded


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    mocks = Recorded()
    pulumi.runtime.set_mocks(mocks, project="mldelivery", stack="local", preview=False)
    yield mocks
    asyncio.set_event_loop(None)
    # The engine's SDK makes event loops of its own and never closes them.
    for found in gc.get_objects():
        if isinstance(found, asyncio.BaseEventLoop) and not found.is_running():
            found.close()
