"""From an edited number to all traffic on the new release, against a bare start of its server and the replay of its golden requests."""

from __future__ import annotations

import os
import re
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

from infra.local.process import is_ready
from serving.replay import replay
from tests.bench.ground import UNWATCHED, Ground
from tests.bench.measure import in_turn, ratio, seconds
from tests.bench.row import Row
from tests.invariants import TOLERANCE
from tests.laptop import Laptop, wait_until


@dataclass(frozen=True)
class Promotion:
    """One promotion, seconds: the whole command, from its start and from that of the server's work to the end of the rollout, stages."""

    command: float
    from_command: float
    from_server: float
    server: float
    stages: tuple[float, ...]


def measure(ground: Ground) -> list[Row]:
    """Rows: from the start of the server's work, and from the start of the command; both to the rollout's end, not just to 100 %."""
    home, empty = ground.home, ground.empty
    home.champion(1, rollout=UNWATCHED)
    home.up()
    done: list[Promotion] = []

    def promoted() -> float:
        done.append(promote(home, ground.fresh(2)))
        return done[-1].from_server

    found = in_turn(
        {"promotion": promoted, "bare": lambda: bare_start(home, 2), "empty up": lambda: seconds(empty.up)}, ground.size.repetitions
    )
    bare, empty_up = statistics.median(found["bare"]), statistics.median(found["empty up"])
    parts = {
        "bare start and replay, s": bare,
        "from the server's start to the rollout's end, s": statistics.median(found["promotion"]),
        "from the server's start to the route's update, s": statistics.median(each.server for each in done),
        "golden replay stage, s": statistics.median(each.stages[0] for each in done),
        "bake stage with its minimum sample, s": statistics.median(each.stages[-1] for each in done),
        "from the command's start to the rollout's end, s": statistics.median(each.from_command for each in done),
        "whole command, s": statistics.median(each.command for each in done),
        "empty program's up, s": empty_up,
    }
    why = "medians of this run: " + "; ".join(f"{name.removesuffix(', s')} {value:.2f} s" for name, value in parts.items())
    return [
        Row(
            name="edited number to 100 %, from its server's start / bare start + replay",
            value=ratio(found["promotion"], found["bare"]),
            most=2,
            floor=f"1 x: start and replay, {bare:.2f} s",
            why=why,
            parts=parts,
        ),
        Row(
            name="edited number to 100 %, from the command's start / bare start + replay",
            value=ratio([each.from_command for each in done], found["bare"]),
            most=2,
            floor=f"{(bare + empty_up) / bare:.1f} x: an empty program's up comes first",
            why=why,
            parts=parts,
        ),
    ]


def promote(home: Laptop, number: int) -> Promotion:
    """Edit the number and bring the stack up. Locks are written when their holder begins, the ledger when the rollout has ended."""
    home.champion(number)
    began = time.time()
    out = home.up()
    ended = time.time()
    server = _written(home, "supervisor/ports.lock")
    route = _written(home, "rollouts/iris.lock")
    done = _written(home, "rollouts/iris.json")
    assert began < server < route < done < ended, (began, server, route, done, ended)
    stages = [
        float(text) for text in re.findall(rf"-> {number} \| \d/\d .*\((\d+\.\d) s\)$", out.split("Diagnostics")[0], flags=re.MULTILINE)
    ]
    assert len(stages) == 2, out
    return Promotion(ended - began, done - began, done - server, route - server, tuple(stages))


def bare_start(home: Laptop, number: int) -> float:
    """Seconds from the start of a release's server, supervised by nobody, to the last golden answer."""
    folder = home.store / "bentos" / "iris" / str(number) / "src"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    began = time.monotonic()
    server = subprocess.Popen(
        [sys.executable, "-m", "serving", "--port", str(port)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: is_ready(port, "/readyz"), what="a bare server is ready")
        found = replay(f"http://127.0.0.1:{port}", folder / "release" / "golden.jsonl", tolerance=TOLERANCE, release=number)
        took = time.monotonic() - began
        assert found.is_right, found.mismatches[:1]
    finally:
        server.terminate()
        server.wait(timeout=20)
    return took


def _written(home: Laptop, name: str) -> float:
    return (home.store / name).stat().st_mtime
