"""A stack's own MLflow server: its image, made here where config names none, and how the steps of a release reach it."""

from __future__ import annotations

import os
from pathlib import Path

from infra.config import StackConfig, file_name
from infra.errors import ConfigError
from infra.tracking import IMAGE, LAYOUT, client_environment, image_in_use

NAME = "mlflow"
LOCK = "requirements/tracking.txt"


def use(root: Path, stack: str, config: StackConfig) -> None:
    """Let this process, and the steps that it starts, track in the stack's server, unless the environment names another already."""
    if config.kubernetes is not None and not os.environ.get("MLFLOW_TRACKING_URI"):
        os.environ.update(client_environment(config.kubernetes, root, file=file_name(stack)))


def prepare_image(root: Path, stack: str, config: StackConfig) -> None:
    """Make the server's image where config leaves that to us, and bring it into the registry where it is not there yet.

    Half a minute the first time. Raises DeliveryError.
    """
    from pipelines.image import push_layout, tool
    from pipelines.store import write_whole

    cluster = config.kubernetes
    if cluster is None or cluster.tracking is None or cluster.tracking.image is not None:
        return
    store = config.store(root)
    made = tool(root, ["packages", "--lock", str(root / LOCK), "--layout", str(store / LAYOUT), "--name", NAME])
    write_whole(store / IMAGE, f"{NAME}@{made['digest']}\n".encode())
    image = image_in_use(cluster, store, file=file_name(stack))
    try:
        if push_layout(store / LAYOUT, NAME, made["digest"], cluster.registry, tag=made["digest"].removeprefix("sha256:")[:12]):
            print(f"MLflow's server: image {image[:26]} pushed to {cluster.registry}", flush=True)
    except FileNotFoundError as error:
        raise ConfigError("the image of MLflow's server is not whole", where=str(error.filename), act=f"rm -r {store / LAYOUT}") from None
