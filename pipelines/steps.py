"""The list of steps that make a release. Whoever runs it (the command line here, an orchestrator elsewhere) runs this list."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Limit = typing.Literal["training", "tests", "fixed"]
Apart = typing.Literal["never", "when large", "always"]


@dataclass(frozen=True)
class Step:
    """One step: the function ``pipelines.<module>.<function>``, imported when it is run.

    Its first parameter is the ``Work``, its others are artifacts, each named like the step output that it needs; ``gives`` names its own.
    ``version`` goes up when the same inputs would give another result. ``apart``: runs in a process of its own, whose time and memory have
    limits, because it runs the model's code or changes its process, or when there is much data; ``limit`` says how long it may take.
    ``settings`` names what it depends on beside the artifacts.
    """

    name: str
    function: str
    gives: str
    version: int = 1
    apart: Apart = "never"
    limit: Limit = "fixed"
    settings: tuple[str, ...] = ("code",)

    def load(self) -> Callable[..., Any]:
        """The step's function."""
        module, _, name = self.function.rpartition(".")
        return typing.cast(Callable[..., Any], getattr(importlib.import_module(f"pipelines.{module}"), name))

    def needs(self) -> list[str]:
        """Names of the artifacts that the function takes."""
        return list(inspect.signature(self.load()).parameters)[1:]

    def result_type(self) -> type[Any]:
        """The type of the artifact that the function gives."""
        return typing.cast(type[Any], typing.get_type_hints(self.load())["return"])


STEPS = (
    Step("snapshot", "snapshot.take_snapshot", "snapshot", version=2, apart="when large", settings=("batches",)),
    Step("interface", "interface.check_interface", "interface", version=2, settings=("code", "champion")),
    Step("validate", "validate.validate", "validation", version=4, apart="when large"),
    Step("train", "train.train", "trained", version=2, apart="always", limit="training", settings=("code", "environment")),
    Step("test", "test.run_tests", "tested", apart="always", limit="tests", settings=("code", "environment")),
    Step("evaluate", "evaluate.evaluate", "evaluation", version=3, apart="always", settings=("code", "environment", "champion")),
    Step("package", "package.package", "packaged", version=2, apart="always", settings=("code", "environment", "number")),
    Step("verify", "verify.verify", "verified", apart="always", settings=("environment", "number")),
    Step("image", "image.make_image", "imaged", apart="always", settings=("environment", "number")),
    Step("register", "register.register", "registered", apart="always", settings=("code", "environment", "number", "tracking")),
    Step("card", "card.make_card", "carded", apart="always", settings=("code", "environment", "number", "champion", "reason", "stacks")),
    Step("record", "record.record", "recorded", settings=("code", "environment", "number", "reason")),
    Step("sign", "sign.sign", "signed", settings=()),
    Step("announce", "announce.announce", "announced", apart="always", settings=("tracking",)),
)
"""In the order in which they run. The first seven gates lie before ``register``: only what passed them all reaches the registry.

``image`` is run only for a release that a cluster may serve.
"""
