"""The platform's processes as resources: running and ready after an update, ended after a delete."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from infra.errors import PlatformError
from infra.local import daemon, place
from infra.local.process import PATIENCE_SECONDS, ServiceArgs, check_free, is_ready, run


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
        if not is_same or olds.get("status") != "running":
            return DiffResult(changes=True)
        return DiffResult(changes=not is_ready(int(news["port"]), news["ready_path"], timeout_seconds=PATIENCE_SECONDS))

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
            # Nothing is lost when it ends at once: MLflow's server alone would take what it is given.
            stop_seconds=3,
            # MLflow: no telemetry, and no workers for jobs that nothing here asks for.
            environment={"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
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
