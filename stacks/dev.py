"""The dev stack: the first environment on AWS; it makes the image registry that all share."""

from __future__ import annotations

from infra.config import StackConfig
from stacks import environment


def declare(config: StackConfig) -> None:
    """Keys, network, buckets, cluster, database, registry, access, budget; in the cluster its platform and the models."""
    environment.declare(config, "dev")
