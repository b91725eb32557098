"""The kubeconfig of a cluster that a stack makes itself, as a file for commands that look into it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from infra.config import StackConfig
from infra.errors import PlatformError


def ensure_kubeconfig(root: Path, config: StackConfig) -> None:
    """Let the AWS command line write an EKS cluster's kubeconfig, unless it is there. Raises PlatformError where it can't."""
    aws, kubernetes = config.aws, config.kubernetes
    if aws is None or kubernetes is None or kubernetes.kubeconfig is None or aws.cluster.compute == "elsewhere":
        return
    path = root / kubernetes.kubeconfig
    if path.is_file():
        return
    program = shutil.which("aws")
    if program is None:
        raise PlatformError("aws is not on PATH", act="install the AWS command line, version 2")
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [program, "eks", "update-kubeconfig", "--region", aws.region, "--name", aws.cluster_name, "--kubeconfig", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PlatformError(
            f"the cluster's kubeconfig could not be written: {done.stderr.strip()}",
            where=aws.cluster_name,
            act="log in to the account (aws sso login), then run the same command again",
        )
