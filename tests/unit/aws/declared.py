"""An environment as its program declares it, recorded without an engine: with what each resource hangs on and whether it is protected."""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
from dataclasses import dataclass
from typing import Any

import pulumi
import yaml
from pulumi.runtime.mocks import MockMonitor

from infra.config import StackConfig, file_name, parse
from toolchain import ROOT

CLOUD = ("dev", "staging", "prod")
_ANSWERED: dict[str, Declared] = {}


@dataclass(frozen=True)
class Registered:
    """One resource: inputs as the provider gets them, names of its parent and provider, and its options."""

    typ: str
    name: str
    urn: str
    inputs: dict[str, Any]
    parent: str
    provider: str
    is_protected: bool
    after: tuple[str, ...]
    ignored: tuple[str, ...]


class Declared(pulumi.runtime.Mocks):
    """Gives every resource the outputs that the program needs of it."""

    def __init__(self) -> None:
        self.resources: list[Registered] = []
        self.calls: list[pulumi.runtime.MockCallArgs] = []
        self.answers: dict[str, dict[str, Any]] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        outputs = {"arn": f"arn:aws:test:eu-central-1:111122223333:{args.name}", **args.inputs}
        if args.typ == "aws:eks/cluster:Cluster":
            outputs |= {"endpoint": "https://cluster.test", "certificateAuthority": {"data": "Q0E="}}
            outputs["vpcConfig"] = {**args.inputs["vpcConfig"], "clusterSecurityGroupId": "sg-cluster"}
        if args.typ == "aws:rds/instance:Instance":
            secrets = [{"secretArn": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:rds!db-1"}]
            outputs |= {"address": "database.test", "port": 5432, "masterUserSecrets": secrets}
        return f"{args.name}-id", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        self.calls.append(args)
        return self.answers[args.token], []

    def named(self, typ: str, name: str) -> dict[str, Any]:
        """The inputs of one resource; ``typ`` is the end of its type, such as ``Vpc``."""
        found = [each for each in self.of(typ) if each.name == name]
        assert len(found) == 1, [each.name for each in self.of(typ)]
        return found[0].inputs

    def of(self, typ: str) -> list[Registered]:
        """All resources of a type of somebody else's, by the end of its name; components of ours have such names too."""
        return [each for each in self.resources if each.typ.rpartition(":")[2] == typ and not each.typ.startswith("mldelivery:")]


class _Monitor(MockMonitor):
    """Keeps what the mocks are not told."""

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the engine's name
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if isinstance(self.mocks, Declared) and request.type != "pulumi:pulumi:Stack":
            self.mocks.resources.append(
                Registered(
                    typ=request.type,
                    name=request.name,
                    urn=response.urn,
                    inputs=pulumi.runtime.rpc.deserialize_properties(request.object),
                    parent=request.parent.rpartition("::")[2],
                    provider=request.provider.rpartition("::")[0].rpartition("::")[2],
                    is_protected=bool(request.protect),
                    after=tuple(each.rpartition("::")[2] for each in request.dependencies),
                    ignored=tuple(request.ignoreChanges),
                )
            )
        return response


def config_of(stack: str, **changes: Any) -> StackConfig:
    """The config of a stack's own file, with changes merged into it: ``aws={"network": {"nat": "none"}}``."""
    document = yaml.safe_load((ROOT / file_name(stack)).read_text(encoding="utf-8"))["config"]
    values = {key.removeprefix("mldelivery:"): value for key, value in document.items()}
    return parse(_merged(values, changes), file=file_name(stack))


def declared(stack: str, **changes: Any) -> Declared:
    """What a stack's program declares; the same question is answered once, as each answer takes a second."""
    key = f"{stack} {json.dumps(changes, sort_keys=True)}"
    if key not in _ANSWERED:
        _ANSWERED[key] = declare(Declared(), stack, **changes)
    return _ANSWERED[key]


def declare(mocks: Declared, stack: str, **changes: Any) -> Declared:
    """Run a stack's program to its end, in an event loop of its own."""
    config = config_of(stack, **changes)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        pulumi.runtime.set_mocks(mocks, project="mldelivery", stack=stack, preview=False, monitor=_Monitor(mocks))
        loop.run_until_complete(_run(config, stack))
    finally:
        asyncio.set_event_loop(None)
        # The engine's SDK makes event loops of its own and never closes them.
        for found in gc.get_objects():
            if isinstance(found, asyncio.BaseEventLoop) and not found.is_running():
                found.close()
    return mocks


async def _run(config: StackConfig, stack: str) -> None:
    importlib.import_module(f"stacks.{stack}").declare(config)
    for _ in range(400):
        await asyncio.sleep(0)
    while pending := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
        await asyncio.wait(pending)
    # A registration that failed says so here alone.
    if (error := pulumi.runtime.settings._get_rpc_manager().unhandled_exception) is not None:
        raise error


def _merged(values: Any, changes: Any) -> Any:
    if not isinstance(values, dict) or not isinstance(changes, dict):
        return changes
    return {**values, **{key: _merged(values.get(key, {}), value) for key, value in changes.items()}}
