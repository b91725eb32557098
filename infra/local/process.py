"""Runs a supervised program until it is ready, and says in plain words why it is not."""

from __future__ import annotations

import errno
import http.client
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.errors import PlatformError
from infra.local import daemon
from infra.local.place import HOST

PATIENCE_SECONDS = 5
"""So long what runs already may take to say that it is ready: on a busy machine a slow answer is no change that a preview should show."""


def is_ready(port: int, path: str, *, timeout_seconds: float = 2) -> bool:
    """Whether a GET of ``path`` is answered with 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_seconds)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_free(port: int) -> bool:
    """Whether a server could listen on a loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def check_free(port: int, *, name: str, act: str) -> None:
    """Raise PlatformError that names who listens on a port, where it is not free."""
    if not is_free(port):
        raise PlatformError(
            f"port {port} is taken by {_listener(port)}",
            where=name,
            got=port,
            allowed="a free port; a stranger's process is never ended",
            act=act,
        )


def run(program: daemon.Program, *, port: int, ready_path: str, ready_seconds: float, act: str) -> None:
    """Run a program and wait until it is ready; where it does not get there, remove it again.

    Raises PlatformError with the end of its log: at once when it exits, else after ``ready_seconds``.
    """
    if daemon.state(program.name) not in ("RUNNING", "STARTING"):
        check_free(port, name=program.name, act=act)
    daemon.put(program)
    deadline = time.monotonic() + ready_seconds
    while True:
        if is_ready(port, ready_path):
            return
        state = daemon.state(program.name)
        has_ended = state in ("BACKOFF", "FATAL", "EXITED", "STOPPED", "MISSING")
        if has_ended or time.monotonic() > deadline:
            how = "exited while starting" if has_ended else f"was not ready within {ready_seconds:g} s"
            log = daemon.last_lines(program)
            daemon.remove(program.name)
            raise PlatformError(
                f"{how}. The end of {program.log}:\n{log}", where=program.name, act="mend the cause, then run the same command again"
            )
        time.sleep(0.02)


@dataclass(frozen=True, kw_only=True)
class ServiceArgs:
    """A service of the platform on a fixed port.

    ``files`` are written before it starts (path from the store, text). A service that is not ``required`` warns instead of failing: nothing
    that serves predictions may wait for it.
    """

    argv: Sequence[str]
    port: int
    port_key: str
    ready_path: str
    ready_seconds: float
    files: Mapping[str, str]
    also_listens_on: Sequence[int] = ()
    required: bool = True


def _listener(port: int) -> str:
    for process in psutil.process_iter(["pid", "name"]):
        try:
            listens = any(found.status == psutil.CONN_LISTEN and found.laddr.port == port for found in process.net_connections(kind="tcp"))
        except psutil.Error:
            continue
        if listens:
            command = " ".join(process.cmdline())[:80]
            return f"process {process.pid} ({command or process.name()})"
    return "a process of another user"


def free_port(first: int, taken: set[int]) -> int:
    """The first port from ``first`` on, of 900, that nobody listens on and nobody was promised. Raises PlatformError when there is none."""
    for port in range(first, first + 900):
        if port not in taken and is_free(port):
            return port
    raise PlatformError(
        "no free port for a model server",
        got=first,
        allowed=f"{first} to {first + 899}",
        act="set another range: mldelivery:ports {servers: …}",
    )


def promised_ports(folder: Path) -> set[int]:
    """Ports that supervised programs were given, running or not: the word after ``--port`` in their files."""
    ports = set()
    for file in folder.glob("*.conf"):
        for line in file.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if line.startswith("command=") and "--port" in words:
                ports.add(int(words[words.index("--port") + 1]))
    return ports
