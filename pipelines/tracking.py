"""A stack's own MLflow server: its image, made here where config names none, and how the steps of a release reach it."""

from __future__ import annotations

import os
from pathlib import Path

from infra.config import StackConfig, file_name
from infra.errors import PlatformError
from infra.tracking import IMAGE, LAYOUT, client_environment

NAME = "mlflow"
LOCK = "requirements/tracking.txt"


def use(root: Path, stack: str, config: StackConfig) -> None:
    """Let this process, and the steps that it starts, track in the stack's server, unless the environment names another already."""
    if config.kubernetes is not None and not os.environ.get("MLFLOW_TRACKING_URI"):
        os.environ.update(client_environment(config.kubernetes, root, file=file_name(stack)))


def prepare_image(root: Path, config: StackConfig) -> None:
    """Make the server's image where config leaves that to us, and bring it into the registry where it is not there yet.

    A minute the first time. Raises StepFailed when no image can be made.
    """
    from pipelines.image import push_layout, tool
    from pipelines.store import write_whole

    cluster = config.kubernetes
    if cluster is None or cluster.tracking is None or cluster.tracking.image is not None:
        return
    layout = config.store(root) / LAYOUT
    digest = str(tool(root, ["packages", "--lock", str(root / LOCK), "--layout", str(layout), "--name", NAME])["digest"])
    write_whole(config.store(root) / IMAGE, f"{NAME}@{digest}\n".encode())
    try:
        if push_layout(layout, NAME, digest, cluster.registry, tag=digest.removeprefix("sha256:")[:12]):
            print(f"MLflow's server: image {NAME}@{digest} pushed to {cluster.registry}", flush=True)
    except PlatformError as error:
        # Models do not wait for it: a registry that is down must not stand in the way of a return.
        print(f"warning: {error}\nMLflow's server needs this image only where no node holds it yet: going on", flush=True)
