"""The servers of one release as a resource with a URN of its own: created before traffic, deleted after it, never replaced."""

from __future__ import annotations

import time
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from infra.driver import attend, engine_process
from infra.errors import ReleaseError
from infra.local import daemon, place
from infra.local.place import HOST
from infra.local.process import PATIENCE_SECONDS, free_port, is_ready, promised_ports, run
from infra.local.walker import WARM
from infra.release import tree_digest

DRAIN_SECONDS = 0.3
"""Between the last request that the gateway may still hand over and the end of a server."""


def program_name(model: str, release: int, replica: int) -> str:
    """Name of one server process, its log and its supervised program."""
    return f"serve-{model}-{release}-{replica}"


class ReleaseServerProvider(ResourceProvider):
    """Runs ``replicas`` servers of a release from its own Bento.

    Inputs: model, release, replicas, bento (path from the store), digest, ready_seconds, first_port. Outputs: the same and ``urls``.
    """

    serialize_as_secret_always = False

    def configure(self, _req: Any) -> None:
        attend(engine_process(), WARM)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        is_same = all(olds.get(key) == value for key, value in news.items() if value is not None)
        if not is_same or not olds.get("urls"):
            return DiffResult(changes=True)
        ready = (is_ready(_port(url), "/readyz", timeout_seconds=PATIENCE_SECONDS) for url in olds["urls"])
        return DiffResult(changes=not all(ready))

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(f"{props['model']}-{int(props['release'])}", self._run(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._run(news))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        time.sleep(DRAIN_SECONDS)
        for replica in range(int(props["replicas"])):
            daemon.remove(program_name(props["model"], int(props["release"]), replica))

    def _run(self, props: dict[str, Any]) -> dict[str, Any]:
        model, release, replicas = props["model"], int(props["release"]), int(props["replicas"])
        bento = place.STORE / props["bento"]
        if tree_digest(bento) != props["digest"]:
            raise ReleaseError(
                f"what release {release} of {model} would run is not what was recorded",
                where=str(bento),
                got=tree_digest(bento),
                allowed=props["digest"],
                act=f"make it again: make release MODEL={model} FORCE=1",
            )
        ports = _ports(model, release, replicas, int(props["first_port"]))
        for replica, port in enumerate(ports):
            run(
                _program(model, release, replica, port, str(bento)),
                port=port,
                ready_path="/readyz",
                ready_seconds=float(props["ready_seconds"]),
                act="stop that process; the next run takes another port",
            )
        replica = replicas
        while daemon.state(program_name(model, release, replica)) != "MISSING":
            daemon.remove(program_name(model, release, replica))
            replica += 1
        return {**props, "urls": [f"http://{HOST}:{port}" for port in ports]}


class ReleaseServer(Resource, module="mldelivery", name="ReleaseServer"):
    """The servers of one release."""

    urls: pulumi.Output[list[str]]

    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(ReleaseServerProvider(), name, {**props, "urls": None}, opts)


def _program(model: str, release: int, replica: int, port: int, bento: str) -> daemon.Program:
    name = program_name(model, release, replica)
    return daemon.Program(
        name=name,
        argv=[place.executable("python"), "-m", "serving", "--port", str(port), "--request-log", str(place.REQUESTS / f"{name}.jsonl")],
        directory=bento,
        environment={"PYTHONPATH": bento, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
    )


def _ports(model: str, release: int, replicas: int, first: int) -> list[int]:
    """A port for each replica: the one that it was given before, if a killed run left it, else a free one."""
    given = {replica: _given_port(program_name(model, release, replica)) for replica in range(replicas)}
    with place.locked(place.SUPERVISOR / "ports.lock", wait_seconds=30):
        taken = promised_ports(daemon.PROGRAMS)
        for replica, port in given.items():
            if port is None:
                port = free_port(first, taken)
                # Promise it at once: others look for ports while this server still starts.
                program = _program(model, release, replica, port, "")
                place.write_whole(daemon.PROGRAMS / f"{program.name}.conf", program.section())
            given[replica] = port
            taken.add(port)
    return [port for port in given.values() if port is not None]


def _given_port(name: str) -> int | None:
    file = daemon.PROGRAMS / f"{name}.conf"
    if not file.is_file():
        return None
    words = file.read_text(encoding="utf-8").split()
    return int(words[words.index("--port") + 1])


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1])
