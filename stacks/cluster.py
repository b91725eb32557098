"""The cluster stack: any Kubernetes cluster by kubeconfig, with Argo Rollouts, Traefik and Prometheus."""

from __future__ import annotations

from pathlib import Path

import pulumi

from infra.config import StackConfig, file_name
from infra.errors import ConfigError
from infra.kubernetes.objects import provider
from infra.kubernetes.platform import Platform, PlatformArgs
from stacks.models import Place, serve, track

ROOT = Path(__file__).resolve().parents[1]


def declare(config: StackConfig) -> None:
    """The cluster's platform, MLflow's server where config asks for it, and each model's Rollouts and route."""
    file = file_name("cluster")
    if config.kubernetes is None:
        raise ConfigError(
            "this stack runs in a cluster",
            where=f"{file}: mldelivery:target",
            got=config.target,
            allowed="kubernetes",
            act=f"git checkout -- {file}",
        )
    cluster = provider(config.kubernetes.kubeconfig, config.kubernetes.context)
    platform = Platform("platform", PlatformArgs(kubernetes=config.kubernetes, provider=cluster))
    place = Place(stack="cluster", root=ROOT, kubernetes=config.kubernetes, provider=cluster, platform=platform)
    track(config, place)
    serve(config, place)
    pulumi.export("gateway", config.kubernetes.gateway.url)
    pulumi.export("namespace", config.kubernetes.namespace)
