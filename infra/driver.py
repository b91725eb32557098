"""Whoever drives an update: the engine's process, a person's wish to stop, and the lines that the engine shows live."""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

INTERRUPT = Path(__file__).resolve().parents[1] / ".local" / "rollouts" / "interrupt"
"""Written by the command that drives the engine when a person presses Ctrl-C: the engine itself waits for a running update."""

LAST_WORDS_SECONDS = 5
"""A rollout notices by itself that its engine was killed, and puts things right: it gets so long."""


def say(model: str, text: str) -> None:
    """Print one line of progress; the engine shows it live."""
    print(f"{model}: {text}", flush=True)


def now() -> str:
    """The time, as written everywhere: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def engine_process() -> psutil.Process | None:
    """The nearest ancestor that is the Pulumi engine; None where this does not run under one."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for parent in psutil.Process(os.getpid()).parents():
            if parent.name() == "pulumi":
                return parent
    return None


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still runs; one that ended and waits for its parent does not."""
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def is_interrupted(engine: psutil.Process | None, *, since: float) -> bool:
    """Whether the engine was killed, or a person asked to stop after ``since`` (seconds of the epoch)."""
    if engine is not None and not is_alive(engine):
        return True
    with contextlib.suppress(OSError):
        return INTERRUPT.stat().st_mtime > since
    return False


def attend(engine: psutil.Process | None, modules: Sequence[str]) -> None:
    """Import in the background what a rollout will need, and end this process some time after its engine was killed.

    A plugin is not told of its engine's end, and would stay for ever.
    """

    def wait() -> None:
        for module in modules:
            importlib.import_module(module)
        if engine is None:
            return
        while is_alive(engine):
            time.sleep(0.5)
        time.sleep(LAST_WORDS_SECONDS)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
