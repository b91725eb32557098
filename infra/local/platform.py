"""What every model of the local target stands on: the supervisor, the gateway and MLflow."""

from __future__ import annotations

import pulumi

from infra.config import PortsConfig
from infra.local import gateway
from infra.local.process import ServiceArgs
from infra.local.service import Daemon, Service


class Platform(pulumi.ComponentResource):
    """Supervisor, Traefik and MLflow on loopback. ``ready`` is what a model has to wait for; MLflow is not part of it."""

    def __init__(self, name: str, ports: PortsConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:local:Platform", name, None, opts)
        supervisor = Daemon("supervisor", pulumi.ResourceOptions(parent=self))
        child = pulumi.ResourceOptions(parent=self, depends_on=[supervisor])
        traefik = Service("gateway", gateway.service(gateway_port=ports.gateway, dashboard_port=ports.dashboard), child)
        Service("mlflow", _tracking(ports.mlflow), child)
        self.ready: list[pulumi.Resource] = [supervisor, traefik]
        self.register_outputs({})


def _tracking(port: int) -> ServiceArgs:
    """MLflow over the store's own database and folder, the same that the pipeline writes to."""
    argv = [
        "mlflow",
        "server",
        "--backend-store-uri=sqlite:///mlflow/mlflow.db",
        "--artifacts-destination=mlflow/artifacts",
        "--host=127.0.0.1",
        f"--port={port}",
        "--workers=1",
        f"--allowed-hosts=127.0.0.1:{port},localhost:{port}",
    ]
    return ServiceArgs(
        argv=argv,
        port=port,
        port_key="mlflow",
        ready_path="/health",
        ready_seconds=90,
        files={"mlflow/README": "MLflow's database and artifacts of the local stack.\n"},
        required=False,
    )
