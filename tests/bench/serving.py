"""What a release's server costs, beside what cannot be beaten: ``python -m tests.bench.serving [--json FILE]``.

Ratios come from one interleaved run (median of 5), CPU per request first: the wall clock depends on what else this machine does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypedDict

from tests.bench import serving_load as load
from tests.serving.process import GOOD_BODY, Server, environment, running
from tests.serving.source import GOOD_ROW, build, estimator

ROUNDS = 5
HERE = Path(__file__).parent
FLOOR = "import socket, onnxruntime; s = socket.create_server(('127.0.0.1', 0)); print('listening', flush=True); input()"


class Row(TypedDict):
    """One line of the table; ``floor`` is what the same thing costs without us, ``reached`` None where there is no goal."""

    name: str
    value: float
    unit: str
    goal: str
    floor: float | None
    reached: bool | None


def measure(tell: Callable[[str], None] = lambda _: None, rounds: int = ROUNDS) -> list[Row]:
    """All rows; takes about a minute on an idle machine. ``tell`` hears of each part when it is done."""
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as folder:
        work = Path(folder)
        tell("making releases to serve")
        logistic, forest = build(work / "logistic"), build(work / "forest", kind="forest")
        rows: list[Row] = []
        parts: list[Callable[[], list[Row]]] = [
            lambda: cpu_per_request(logistic, rounds),
            lambda: against_stock(forest, work, rounds),
            lambda: start(logistic, rounds),
            lambda: memory(logistic, work),
        ]
        for part in parts:
            found = part()
            tell(f"{found[0]['name']}: {found[0]['value']:.3g} {found[0]['unit']}")
            rows += found
        return rows


def cpu_per_request(src: Path, rounds: int = ROUNDS) -> list[Row]:
    """CPU of a request with all checks, metrics and the request log, against a bare uvicorn and numpy handler."""
    with _bare() as bare, running(src, "--request-log", str(src / "requests.jsonl")) as ours:
        bare_us, our_us = _interleaved([lambda: _cpu_us(bare, GOOD_BODY, 2000), lambda: _cpu_us(ours, GOOD_BODY, 2000)], rounds)
    return [
        _row("CPU per request / bare uvicorn+numpy", our_us / bare_us, "x", 3, floor=1.0),
        _row("CPU per request", our_us, "us", None, floor=bare_us),
    ]


def against_stock(src: Path, work: Path, rounds: int = ROUNDS) -> list[Row]:
    """A forest of 100 trees: this server with onnxruntime against stock BentoML with scikit-learn."""
    stock_body = json.dumps({"rows": [list(GOOD_ROW.values())]}).encode()
    with _stock(work / "stock") as stock, running(src, "--request-log", str(src / "requests.jsonl")) as ours:
        measured = _interleaved(
            [
                lambda: 60 / load.run(stock.port, stock_body, 60),
                lambda: 2000 / load.run(ours.port, GOOD_BODY, 2000),
                lambda: _cpu_us(stock, stock_body, 60),
                lambda: _cpu_us(ours, GOOD_BODY, 1000),
            ],
            rounds,
        )
    stock_rate, our_rate, stock_us, our_us = measured
    return [
        _row("forest of 100 trees: CPU per request, stock BentoML / ours", stock_us / our_us, "x", None),
        _row("forest of 100 trees: requests per second / stock BentoML with scikit-learn", our_rate / stock_rate, "x", -30),
        _row("forest of 100 trees: requests per second", our_rate, "1/s", None, floor=stock_rate),
    ]


def start(src: Path, rounds: int = ROUNDS) -> list[Row]:
    """From the process' start to the first right prediction."""

    def ours() -> float:
        with running(src) as server:
            return server.seconds_to_ready

    floor, seconds = _interleaved([_seconds_of_floor, ours], rounds)
    return [_row("seconds to ready", seconds, "s", 1.5, floor=floor)]


def memory(src: Path, work: Path, servers: int = 4) -> list[Row]:
    """What the machine has less when one more model is served (proportional set size of all servers, after some requests)."""
    with contextlib.ExitStack() as stack:
        running_servers: list[Server] = []
        totals = []
        for number in range(servers + 1):
            copy = Path(shutil.copytree(src, work / f"copy-{number}"))
            running_servers.append(stack.enter_context(running(copy, "--request-log", str(copy / "requests.jsonl"))))
            load.run(running_servers[-1].port, GOOD_BODY, 300)
            totals.append(sum(server.pss_mib() for server in running_servers))
        floor = stack.enter_context(_process([sys.executable, "-c", FLOOR], HERE)).pss_mib()
    return [
        _row("memory of one more model served", totals[-1] - totals[-2], "MiB", 60, floor=floor),
        _row(f"memory of each of {servers + 1} servers", totals[-1] / len(totals), "MiB", None, floor=floor),
    ]


def table(rows: list[Row]) -> str:
    """The rows for a person to read."""
    lines = [f"{'':76} {'value':>9}      {'goal':>7} {'floor':>9}"]
    for row in rows:
        floor = "" if row["floor"] is None else f"{row['floor']:.4g}"
        verdict = {True: "reached", False: "NOT REACHED", None: ""}[row["reached"]]
        lines.append(f"{row['name']:76} {row['value']:9.4g} {row['unit']:4} {row['goal']:>7} {floor:>9}  {verdict}".rstrip())
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.serving", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--quick", action="store_true", help="one round instead of the median of five")
    options = parser.parse_args()
    rows = measure(lambda text: print(f"... {text}", file=sys.stderr, flush=True), 1 if options.quick else ROUNDS)
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


def _row(name: str, value: float, unit: str, goal: float | None, *, floor: float | None = None) -> Row:
    """A goal below zero is one to exceed."""
    if goal is None:
        return Row(name=name, value=value, unit=unit, goal="", floor=floor, reached=None)
    reached = value >= -goal if goal < 0 else value <= goal
    return Row(name=name, value=value, unit=unit, goal=f"{'>=' if goal < 0 else '<='} {abs(goal):g}", floor=floor, reached=reached)


def _interleaved(measures: list[Callable[[], float]], rounds: int) -> list[float]:
    """The median of each measure; one round of all before the next, after one that warms up and is not counted."""
    measured = [[measure() for measure in measures] for _ in range(rounds + 1)][1:]
    return [statistics.median(values) for values in zip(*measured, strict=True)]


def _cpu_us(server: Server, body: bytes, requests: int) -> float:
    before = _tree_cpu_seconds(server.process.pid)
    load.run(server.port, body, requests)
    return (_tree_cpu_seconds(server.process.pid) - before) / requests * 1e6


def _tree_cpu_seconds(pid: int) -> float:
    """CPU of a process and its children: BentoML answers in one."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(_tree_cpu_seconds(int(child)) for child in children)


@contextlib.contextmanager
def _bare() -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "serving_bare:app", "--port", str(port), "--no-access-log", "--log-level", "warning"]
    with _process([*command, "--app-dir", str(HERE), "--lifespan", "off"], HERE, port) as server:
        yield server


@contextlib.contextmanager
def _stock(folder: Path) -> Iterator[Server]:
    import skops.io
    from sklearn.datasets import load_iris

    folder.mkdir()
    skops.io.dump(estimator("forest").fit(*load_iris(return_X_y=True)), folder / "model.skops")
    shutil.copy(HERE / "serving_stock.py", folder / "service.py")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    bentoml = str(Path(sys.executable).with_name("bentoml"))
    with _process([bentoml, "serve", "service:Stock", "--port", str(port), "--host", "127.0.0.1"], folder, port, path="/readyz") as server:
        yield server


@contextlib.contextmanager
def _process(command: list[str], folder: Path, port: int = 0, path: str = "") -> Iterator[Server]:
    """A process that is ready when its port answers, or without a port when it has printed a line."""
    started = time.perf_counter()
    environ = {**environment(), "BENTOML_HOME": str(folder / ".bentoml"), "BENTOML_DO_NOT_TRACK": "True"} if path else environment()
    output = subprocess.DEVNULL if port else subprocess.PIPE
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, cwd=folder, text=True, stdin=subprocess.PIPE, stdout=output, stderr=errors, env=environ)
        try:
            if process.stdout:
                process.stdout.readline()
            while port and not _answers(port, path):
                if process.poll() is not None or time.perf_counter() - started > 60:
                    errors.seek(0)
                    raise RuntimeError(f"{' '.join(command)} does not answer: {errors.read()[-2000:]}")
                time.sleep(0.02)
            yield Server(process, port, time.perf_counter() - started)
        finally:
            process.terminate()
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def _answers(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            if path:
                connection.sendall(f"GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n".encode())
                return connection.recv(100).startswith(b"HTTP/1.1 200")
            return True
    except OSError:
        return False


def _seconds_of_floor() -> float:
    with _process([sys.executable, "-c", FLOOR], HERE) as server:
        return server.seconds_to_ready


if __name__ == "__main__":
    sys.exit(main())
