"""Where Pulumi's SDK spends more time than its work takes, and what this program does instead.

What is declared, and how an error ends, stays as it is. It saves more than half of the program's processor time with fifty models, and a
whole processor while an update waits for a rollout.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, cast

import pulumi
from pulumi.runtime import resource, stack
from pulumi.runtime.settings import SETTINGS

LOOK_SECONDS = 0.02
"""How often the program looks whether all is done: seldom beside what a look costs, often beside what a preview takes."""


def quicken() -> None:
    """Put what is below in the place of the SDK's own, in this process. To be called once, before anything is declared."""
    # What a resource is made of lives until the program ends: the collector would look through all of it again and again, and find nothing.
    gc.disable()
    SETTINGS.outputs = cast("deque[asyncio.Task[Any]]", Outstanding(SETTINGS.outputs))
    stack.wait_for_rpcs = waiting_for(stack.wait_for_rpcs)
    resource.create_urn = urn_by(resource.create_urn)


class Outstanding:
    """The outputs that are not there yet, as the SDK's queue keeps them, but one is taken out without a walk past all before it."""

    def __init__(self, futures: Iterable[asyncio.Future[Any]] = ()) -> None:
        # No subclass of dict: the SDK would take its settings to be that mapping.
        self._futures = dict.fromkeys(futures)

    def __len__(self) -> int:
        return len(self._futures)

    def __iter__(self) -> Iterator[asyncio.Future[Any]]:
        return iter(self._futures)

    def append(self, future: asyncio.Future[Any]) -> None:
        """Put one behind all others."""
        self._futures[future] = None

    def popleft(self) -> asyncio.Future[Any]:
        """Take the first one."""
        future = next(iter(self._futures))
        del self._futures[future]
        return future

    def remove(self, future: asyncio.Future[Any]) -> None:
        """Take one out. Raises ValueError where it is not there."""
        if future not in self._futures:
            raise ValueError(future)
        del self._futures[future]


Wait = Callable[..., Coroutine[Any, Any, None]]


def waiting_for(ends: Wait) -> Wait:
    """The SDK's wait for the end of a program, which sees to it that all went well, but begun when all is done or something has failed.

    Before, it asks whether everything is there without a pause, and takes a whole processor for it.
    """

    async def wait(await_all_outstanding_tasks: bool = True) -> None:
        while await_all_outstanding_tasks:
            error = SETTINGS.rpc_manager.unhandled_exception
            if error is not None:
                # At once, as the SDK does: nobody shall wait for a rollout of minutes to be told that something else has failed.
                raise error.with_traceback(SETTINGS.rpc_manager.exception_traceback)
            with SETTINGS.lock:
                failed = next(filter(_has_failed, SETTINGS.outputs), None)
                # What was there before this program's own queue is never taken out of it; it is enough that it is done.
                is_pending = any(not future.done() for future in SETTINGS.outputs)
            if failed is not None:
                await failed
            if not is_pending:
                break
            await asyncio.sleep(LOOK_SECONDS)
        await ends(await_all_outstanding_tasks)

    return wait


def _has_failed(future: asyncio.Future[Any]) -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)


Urn = Callable[..., pulumi.Output[str]]


def urn_by(made: Urn) -> Urn:
    """The SDK's way to make a URN, but of plain words at once: the SDK makes one for each resource, from ten outputs, and drops it."""

    def urn(name: Any, type_: Any, parent: Any = None, project: str | None = None, stack: str | None = None) -> pulumi.Output[str]:
        if isinstance(name, str) and isinstance(type_, str) and isinstance(parent, str):
            return pulumi.Output.from_input(f"{parent[: parent.rfind('::')]}${type_}::{name}")
        return made(name, type_, parent, project, stack)

    return urn
