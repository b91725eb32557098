"""A supervised process as a resource: running and ready after an update, ended after a delete."""

from __future__ import annotations

import errno
import http.client
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from infra.errors import PlatformError
from infra.local import daemon, place

HOST = "127.0.0.1"


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
            raise PlatformError(f"{how}. The end of {program.log}:\n{log}", where=program.name, act="mend the cause, then run the same command again")
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


class DaemonProvider(ResourceProvider):
    """supervisord itself: started by an update, ended by a delete."""

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=not daemon.is_running())

    def create(self, props: dict[str, Any]) -> CreateResult:
        daemon.start()
        return CreateResult("supervisor", props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        daemon.start()
        return UpdateResult(news)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        daemon.stop()


class Daemon(Resource, module="mldelivery", name="Supervisor"):
    """What keeps the local target's processes alive."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(DaemonProvider(), name, {}, opts)


class ServiceProvider(ResourceProvider):
    """Runs one service of the platform; see ServiceArgs."""

    serialize_as_secret_always = False

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        is_same = all(olds.get(key) == value for key, value in news.items())
        return DiffResult(changes=not (is_same and olds.get("status") == "running" and is_ready(int(news["port"]), news["ready_path"])))

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["name"], self._run(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._run(news))

    def delete(self, id_: str, _props: dict[str, Any]) -> None:
        daemon.remove(id_)

    def _run(self, props: dict[str, Any]) -> dict[str, Any]:
        for path, text in props["files"].items():
            place.write_whole(place.STORE / path, text)
        program = daemon.Program(
            name=props["name"],
            argv=[place.executable(props["argv"][0]), *props["argv"][1:]],
            directory=str(place.STORE),
            environment={"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true"},
        )
        act = f"stop that process, or set another port: mldelivery:ports {{{props['port_key']}: …}}"
        if daemon.state(program.name) not in ("RUNNING", "STARTING"):
            for port in props["also_listens_on"]:
                check_free(int(port), name=program.name, act=act)
        try:
            run(program, port=int(props["port"]), ready_path=props["ready_path"], ready_seconds=props["ready_seconds"], act=act)
        except PlatformError as error:
            if props["required"]:
                raise
            print(f"warning: {error}\n  Models are served without {props['name']}; `make up` tries it again.", flush=True)
            return {**props, "status": "down"}
        return {**props, "status": "running"}


class Service(Resource, module="mldelivery", name="Service"):
    """A service of the platform (the gateway, MLflow), supervised."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {
            "name": name,
            "argv": list(args.argv),
            "port": args.port,
            "port_key": args.port_key,
            "ready_path": args.ready_path,
            "ready_seconds": args.ready_seconds,
            "files": dict(args.files),
            "also_listens_on": list(args.also_listens_on),
            "required": args.required,
        }
        super().__init__(ServiceProvider(), name, props, opts)


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
    raise PlatformError("no free port for a model server", got=first, allowed=f"{first} to {first + 899}", act="set another range: mldelivery:ports {servers: …}")


def promised_ports(folder: Path) -> set[int]:
    """Ports that supervised programs were given, running or not: the word after ``--port`` in their files."""
    ports = set()
    for file in folder.glob("*.conf"):
        for line in file.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if line.startswith("command=") and "--port" in words:
                ports.add(int(words[words.index("--port") + 1]))
    return ports
