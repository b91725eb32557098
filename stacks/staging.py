"""The staging stack: like prod in kind, smaller in size; what dev served bakes here."""

from __future__ import annotations

from infra.config import StackConfig
from stacks import environment


def declare(config: StackConfig) -> None:
    """Keys, network, buckets, cluster, database, registry, access, budget; in the cluster its platform and the models."""
    environment.declare(config, "staging")
