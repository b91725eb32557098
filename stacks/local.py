"""The local stack: everything on this machine, on loopback."""

from __future__ import annotations

import pulumi

from infra.config import StackConfig, file_name
from infra.errors import ConfigError
from infra.local import place
from infra.local.model_server import ModelServer, ModelServerArgs
from infra.local.platform import Platform
from infra.records import records_in_use


def declare(config: StackConfig) -> None:
    """Supervisor, gateway, MLflow, and each model's servers and route."""
    file = file_name("local")
    if config.target != "local":
        raise ConfigError(
            "this stack runs on your machine",
            where=f"{file}: mldelivery:target",
            got=config.target,
            allowed="local",
            act=f"git checkout -- {file}",
        )
    platform = Platform("platform", config.ports)
    for name, model in config.models.items():
        champion, challenger = records_in_use(place.STORE, name, model, file=file)
        if champion is not None:
            args = ModelServerArgs(config=model, champion=champion, challenger=challenger, ports=config.ports, config_file=file)
            ModelServer(name, args, pulumi.ResourceOptions(depends_on=platform.ready))
    pulumi.export("gateway", f"http://127.0.0.1:{config.ports.gateway}")
    pulumi.export("mlflow", f"http://127.0.0.1:{config.ports.mlflow}")
    pulumi.export("dashboard", f"http://127.0.0.1:{config.ports.dashboard}/dashboard/")
