"""How much memory a step may take, and how much it takes: its process and all that this started, measured from outside.

A limit inside of the process (``RLIMIT_DATA``) would count each process alone and what was only reserved, ends native code without a word,
and is not kept on macOS. So a step is watched and stopped: what it holds is its own, whatever it does.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import ConfigError
from pipelines.failures import StepFailed
from pipelines.model import Model

if TYPE_CHECKING:
    import psutil

VARIABLE = "MLDELIVERY_MEMORY_MIB"
"""Environment variable: what a step may take on this machine, whatever model.yaml says."""

SHARE = 0.75
"""Of the machine's memory, unless a model says otherwise: the rest keeps the machine and its other processes alive."""

LOOK_SECONDS, TREE_SECONDS = 0.05, 1.0
"""How often the step's own process is looked at, and how often all that it started."""

MIB = 1 << 20
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Of a container: version 2, and version 1."""


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What one step may take: ``because`` says where the number stands, ``key`` where to change it, ``of`` what the step works on."""

    mib: int
    because: str
    key: str
    of: str

    def exceeded(self, what: str, got: str) -> StepFailed:
        """The error of a step that took more: ``what`` it did, and how much it ``got``."""
        return StepFailed(
            what,
            where=self.of,
            got=got,
            allowed=f"{self.mib} MiB, {self.because}",
            act=f"give it more, as far as the machine has it ({self.key}; for one run {VARIABLE}=…), fewer rows, or a machine with more; "
            "then run the same command again: what was done stays done. No release was made",
        )


def allowed(model: Model, folder: Path, *, of: str) -> Allowed:
    """What each step of a model may take. ``of``: what this one works on. Raises ConfigError when the environment variable is no number."""
    shown = f"models/{folder.name}/model.yaml: memory-limit-mib"
    where = f"models/{folder.name}, {of}"
    told = os.environ.get(VARIABLE)
    if told is not None:
        if not re.fullmatch(r"[1-9][0-9]{0,8}", told):
            raise ConfigError(
                "is no number of MiB", where=VARIABLE, got=told, allowed="a whole number from 1 on", act="change it, or unset it"
            )
        return Allowed(mib=int(told), because=f"which {VARIABLE} says", key=shown, of=where)
    if model.memory_limit_mib is not None:
        return Allowed(mib=model.memory_limit_mib, because=f"which {shown} says", key=shown, of=where)
    has = machine_mib()
    return Allowed(mib=int(SHARE * has), because=f"{SHARE:.0%} of the {has} MiB that this machine has", key=shown, of=where)


def machine_mib() -> int:
    """The memory of this machine, or of the container that this is."""
    import psutil

    found = [psutil.virtual_memory().total]
    for path in CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path(path).read_text(encoding="ascii")))
    return min(found) // MIB


class Watch:
    """Looks at a process and all that it started."""

    def __init__(self, pid: int) -> None:
        import psutil

        self._root = psutil.Process(pid)
        self._others: list[psutil.Process] = []
        self._next_tree = 0.0

    def mib(self, limit: int) -> float:
        """What they hold that is their own; only found exactly when it may be above the limit. 0 when they have ended."""
        import psutil

        if time.monotonic() >= self._next_tree:
            with contextlib.suppress(psutil.Error):
                self._others = self._root.children(recursive=True)
            self._next_tree = time.monotonic() + TREE_SECONDS
        each = [self._root, *self._others]
        # What is resident counts files and what is shared too: more than is its own, and had for a fraction of the cost.
        most = sum(map(_resident, each)) / MIB
        return most if most <= limit else sum(map(_own, each)) / MIB


def _resident(process: psutil.Process) -> int:
    import psutil

    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _own(process: psutil.Process) -> int:
    """Bytes of a process that end with it; what several share is divided among them, files that are mapped do not count."""
    import psutil

    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            told = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
            kept = re.findall(r"^Pss_(?:Anon|Shmem): +(\d+) kB$", told, re.MULTILINE)
            if kept:
                return 1024 * sum(map(int, kept))
    with contextlib.suppress(psutil.Error):
        return int(process.memory_full_info().uss)
    return _resident(process)
