"""How things are timed: in turn, so that a busy moment of the machine hits each of them, and judged by the median."""

from __future__ import annotations

import math
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def seconds(act: Callable[[], object], spent: list[float] | None = None) -> float:
    """How long something takes, wall clock.

    Its processor seconds are added to ``spent``: those of all processes that it starts and waits for, and of nothing else on the machine.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    act()
    took = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if spent is not None:
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return took


def in_turn(acts: Mapping[str, Callable[[], float]], times: int) -> dict[str, list[float]]:
    """Measure each act ``times`` times, one after the other, every second round backwards; the acts say themselves what they measured."""
    found: dict[str, list[float]] = {name: [] for name in acts}
    for round_ in range(times):
        names = list(acts) if round_ % 2 == 0 else list(acts)[::-1]
        for name in names:
            found[name].append(acts[name]())
    return found


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the rounds' own ratios: what slowed a whole round down does not count."""
    return statistics.median(one / other for one, other in zip(above, below, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed. Raises ValueError for none."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def command(argv: Sequence[str], *, folder: Path, environment: Mapping[str, str], limit_seconds: float = 300) -> str:
    """Run a command that must succeed; returns what it printed. Raises AssertionError with its end where it fails or hangs."""
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env=dict(environment),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{' '.join(argv)} took more than {limit_seconds:g} s") from None
    if done.returncode:
        raise AssertionError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout
