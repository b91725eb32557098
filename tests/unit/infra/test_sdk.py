"""What the program puts in the place of the SDK's own ends the same way as the SDK's own."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import deque
from typing import Any

import pulumi
import pytest
from pulumi.runtime import resource, stack
from pulumi.runtime.rpc_manager import RPCManager
from pulumi.runtime.settings import SETTINGS

from stacks import sdk
from tests.unit.infra.recorded import Recorded

MANY = 1_000
PARENT = "urn:pulumi:prod::mldelivery::mldelivery:kubernetes:ModelServer::iris"


class Slow(Recorded):
    """An engine that answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = threading.Event()

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.may_answer.wait()
        return super().new_resource(args)


@pytest.fixture
def engine(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> Slow:
    """A slow engine; what `quicken` changes is put back after the test, and what other tests left behind is not waited for."""
    del recorded  # Its event loop, which it also closes.
    slow = Slow()
    pulumi.runtime.set_mocks(slow, project="mldelivery", stack="prod", preview=False)
    monkeypatch.setattr(SETTINGS, "outputs", deque())
    monkeypatch.setattr(SETTINGS, "rpc_manager", RPCManager())  # type: ignore[no-untyped-call]
    monkeypatch.setattr(stack, "wait_for_rpcs", stack.wait_for_rpcs)
    monkeypatch.setattr(resource, "create_urn", resource.create_urn)
    monkeypatch.setattr(gc, "disable", lambda: None)
    return slow


@pytest.fixture
def pauses(engine: Slow, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the program paused each time that it asked what is outstanding. The engine answers after three looks, or very many."""
    found: list[float] = []
    sleep = asyncio.sleep

    async def counted(delay: float, result: Any = None) -> Any:
        found.append(delay)
        if sum(each > 0 for each in found) >= 3 or len(found) >= MANY:
            engine.may_answer.set()
        return await sleep(delay, result)

    monkeypatch.setattr(asyncio, "sleep", counted)
    return found


def run(declare: Any) -> None:
    asyncio.get_event_loop().run_until_complete(stack.run_pulumi_func(declare))


def declare_two() -> None:
    component = pulumi.ComponentResource("test:index:Group", "group")
    pulumi.CustomResource("test:index:Thing", "thing", {"size": 1}, pulumi.ResourceOptions(parent=component))


def test_a_program_that_waits_for_the_engine_takes_no_processor(engine: Slow, pauses: list[float]) -> None:
    sdk.quicken()
    run(declare_two)
    assert [each.name for each in engine.resources] == ["group", "thing"]
    assert pauses.count(0) < 10


def test_the_sdks_own_wait_takes_one(engine: Slow, pauses: list[float]) -> None:
    run(declare_two)
    assert [each.name for each in engine.resources] == ["group", "thing"]
    assert pauses.count(0) >= MANY, "the SDK waits better than it did: stacks/sdk.py has nothing to mend there any more"


def test_what_fails_ends_a_program_at_once_though_the_engine_has_not_answered(engine: Slow) -> None:
    sdk.quicken()

    def declare() -> None:
        declare_two()

        def fail(_value: str) -> str:
            raise ValueError("the host has no name")

        pulumi.Output.from_input("host").apply(fail)

    with pytest.raises(ValueError, match="the host has no name"):
        run(declare)
    assert not engine.resources
    engine.may_answer.set()


def test_a_resource_that_cannot_be_made_ends_a_program_at_once(engine: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    sdk.quicken()

    def refuse(args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        if args.name == "refused":
            raise ValueError("the quota is used up")
        return Slow.new_resource(engine, args)

    monkeypatch.setattr(engine, "new_resource", refuse)

    def declare() -> None:
        pulumi.CustomResource("test:index:Thing", "refused")
        pulumi.CustomResource("test:index:Thing", "slow")

    with pytest.raises(ValueError, match="the quota is used up"):
        run(declare)
    assert not engine.resources
    engine.may_answer.set()


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("parent", [PARENT, ""])
def test_a_urn_of_plain_words_is_that_of_the_sdk(parent: str) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("not for plain words")

    given = ("rollout-iris", "kubernetes:argoproj.io/v1alpha1:Rollout", parent)
    loop = asyncio.get_event_loop()

    async def both() -> tuple[Any, Any]:
        return await sdk.urn_by(never)(*given).future(), await resource.create_urn(*given).future()

    ours, theirs = loop.run_until_complete(both())
    assert ours == theirs
    assert ours.endswith("$kubernetes:argoproj.io/v1alpha1:Rollout::rollout-iris")


def test_a_urn_of_what_is_not_known_yet_is_left_to_the_sdk() -> None:
    given: list[tuple[Any, ...]] = []

    def made(*args: Any) -> Any:
        given.append(args)

    sdk.urn_by(made)("iris", "a:b:C", None, "project", "prod")
    assert given == [("iris", "a:b:C", None, "project", "prod")]


@pytest.mark.usefixtures("engine")
def test_outstanding_outputs_are_kept_as_in_a_queue() -> None:
    first, second, third, stranger = (asyncio.get_event_loop().create_future() for _ in range(4))
    for queue in (deque([first]), sdk.Outstanding([first])):
        queue.append(second)
        queue.append(third)
        queue.remove(second)
        with pytest.raises(ValueError):
            queue.remove(stranger)
        assert list(queue) == [first, third]
        assert queue.popleft() is first
        assert len(queue) == 1
