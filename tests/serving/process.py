"""A real server process, and a client that sends exactly the bytes that a test wants."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.serving.source import GOOD_ROW

GOOD_BODY = json.dumps({"rows": [GOOD_ROW]}).encode()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    process: subprocess.Popen[str]
    port: int
    seconds_to_ready: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rss_mib(self) -> float:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pss_mib(self) -> float:
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(rollup.split("Pss:")[1].split()[0]) / 1024


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "serving", *arguments]


@contextlib.contextmanager
def running(src: Path, *arguments: str) -> Iterator[Server]:
    """``python -m serving`` on a free port, ready; it is stopped afterwards and must then have exited 0 without a word on stderr."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command("--port", "0", *arguments), cwd=src, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
        if " is ready on http://" not in line:
            raise AssertionError(f"not ready: {line} {process.communicate(timeout=10)}")
        yield Server(process, int(line.rsplit(":", 1)[1]), seconds)
        if process.poll() is None:
            process.terminate()
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def environment() -> dict[str, str]:
    """The environment of a server: without the test's import path, so that it runs the copy of ``serving`` in its own folder."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def request(
    method: str = "POST", path: str = "/predict", body: bytes | None = None, *, headers: Sequence[str] = (), version: str = "1.1"
) -> bytes:
    """A request's bytes: content type and length are those of JSON unless the headers give others."""
    given = {header.partition(":")[0].lower() for header in headers}
    lines = [f"{method} {path} HTTP/{version}", "host: test", *headers]
    if body is not None and "content-type" not in given:
        lines.append("content-type: application/json")
    if body is not None and not given & {"content-length", "transfer-encoding"}:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def ask(port: int, data: bytes, *, answers: int = 1, seconds: float = 10, hang_up: bool = False) -> list[Answer]:
    """Send bytes and read up to so many answers; fewer when the server closes the connection first."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        sender = threading.Thread(target=_send, args=(connection, data, hang_up))
        sender.start()
        received = []
        # One buffered reader for the connection: a reader for each answer would swallow the start of the next.
        with contextlib.suppress(http.client.BadStatusLine, ConnectionResetError), connection.makefile("rb") as reader:
            for _ in range(answers):
                received.append(_read(reader))
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        sender.join()
    return received


def predict(port: int, body: bytes = GOOD_BODY, **headers: str) -> Answer:
    """A usual client's POST /predict."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(
            "POST", "/predict", body, {"content-type": "application/json", **{name.replace("_", "-"): headers[name] for name in headers}}
        )
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def get(port: int, path: str) -> Answer:
    return ask(port, request("GET", path))[0]


def _send(connection: socket.socket, data: bytes, hang_up: bool) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(data)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)


def _read(reader: Any) -> Answer:
    status = reader.readline().split()
    if len(status) < 2:
        raise http.client.BadStatusLine("closed")
    headers = {}
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.decode("latin-1").partition(": ")
        headers[name.lower()] = value
    if int(status[1]) == 100:
        return _read(reader)
    return Answer(int(status[1]), headers, reader.read(int(headers["content-length"])))
