"""Runs a stack's program with its typed config; the one place where the engine's world is entered."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Mapping

import pulumi

from infra.config import file_name, parse
from infra.errors import ConfigError, DeliveryError
from stacks import sdk

STACKS = ("local", "cluster", "dev", "staging", "prod")


def run() -> None:
    """Declare what exists in the chosen stack. A user's mistake ends as one clear error, without a traceback."""
    # The engine interrupts the program when an update fails; Python's traceback would bury the reason.
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))
    drop_debug_lines(os.environ)
    sdk.quicken()
    try:
        stack = pulumi.get_stack()
        if stack not in STACKS:
            raise ConfigError(
                "there is no program for this stack", where=file_name(stack), got=stack, allowed=", ".join(STACKS), act="choose: -s local"
            )
        config = pulumi.Config()
        values = {key: value for key in _KEYS if (value := _value(config, key)) is not None}
        importlib.import_module(f"stacks.{stack}").declare(parse(values, file=file_name(stack)))
    except DeliveryError as error:
        raise pulumi.RunError(str(error)) from None


def drop_debug_lines(environment: Mapping[str, str]) -> None:
    """Keep the SDK's debug lines from the engine, unless MLDELIVERY_DEBUG is set: ``MLDELIVERY_DEBUG=1 pulumi preview --debug``.

    There are four for each resource, and the program waits for the engine at each, whether anybody reads them or not.
    """
    if not environment.get("MLDELIVERY_DEBUG"):
        pulumi.log.debug = _unsaid


def _unsaid(msg: str, resource: pulumi.Resource | None = None, stream_id: int | None = None, ephemeral: bool | None = None) -> None:
    """In place of ``pulumi.log.debug``."""


_KEYS = ("target", "models", "ports", "kubernetes", "aws", "releases")


def _value(config: pulumi.Config, key: str) -> object:
    return config.get(key) if key in ("target", "releases") else config.get_object(key)
