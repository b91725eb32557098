"""Step 8, verify: the packaged service is started as it will be, and must answer every golden request over HTTP as recorded."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pipelines.artifacts import Packaged, Verified
from pipelines.failures import GateFailed
from pipelines.work import Work

READY_SECONDS = 30.0
STOP_SECONDS = 5.0


def verify(work: Work, packaged: Packaged) -> Verified:
    """Start ``python -m serving`` in the Bento's ``src`` and replay. Raises GateFailed (``service``) with the first wrong answer."""
    from serving.replay import replay

    source = work.file(packaged.bento) / "src"
    log = work.output / "server.log"
    with _served(work, source, log) as port:
        seen = replay(
            f"http://127.0.0.1:{port}",
            source / "release" / "golden.jsonl",
            tolerance=work.model.tolerance,
            release=work.number,
        )
    if not seen.is_right:
        first = seen.mismatches[0] if seen.mismatches else "no golden request"
        raise GateFailed(
            "service",
            "the packaged service does not answer as the model did",
            where=f"golden.jsonl of release {work.number}",
            got=f"{seen.total - seen.matched} of {seen.total} answers differ; the first: {first}",
            allowed="every answer as recorded",
            act=f"mend serving/ or the model; the server's output: {work.trace('server.log')}",
        )
    return Verified(matched=seen.matched)


@contextlib.contextmanager
def _served(work: Work, source: Path, log: Path) -> Iterator[int]:
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with log.open("wb") as sink:
        command = [sys.executable, "-m", "serving", "--port", str(port)]
        server = subprocess.Popen(command, cwd=source, stdout=sink, stderr=sink, env=environment | {"PYTHONDONTWRITEBYTECODE": "1"})
    try:
        _wait_ready(work, server, port, log)
        yield port
    finally:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_ready(work: Work, server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and server.poll() is None:
        if _status(port) == 200:
            return
        time.sleep(0.03)
    raise GateFailed(
        "service",
        "the packaged service did not become ready" if server.poll() is None else "the packaged service ended by itself",
        got=log.read_text(encoding="utf-8", errors="replace")[-400:] or f"exit {server.poll()}",
        allowed=f"ready within {READY_SECONDS:g} s",
        act=f"mend serving/ or the model; the server's output: {work.trace('server.log')}",
    )


def _status(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
