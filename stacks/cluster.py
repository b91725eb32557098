"""The cluster stack: any Kubernetes cluster by kubeconfig, with Argo Rollouts, Traefik and Prometheus."""

from __future__ import annotations

from pathlib import Path

import pulumi

from infra.config import StackConfig, file_name
from infra.errors import ConfigError
from infra.kubernetes.objects import provider
from infra.kubernetes.platform import Platform, PlatformArgs
from infra.kubernetes.tracking import Tracking, TrackingArgs
from infra.tracking import image_in_use
from stacks.models import Place, serve

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
    tracking = config.kubernetes.tracking
    if tracking is not None:
        image = image_in_use(config.kubernetes, config.store(ROOT), file=file)
        Tracking("tracking", TrackingArgs(kubernetes=config.kubernetes, tracking=tracking, image=image, provider=cluster))
        pulumi.export("mlflow", tracking.url)
    serve(config, Place(stack="cluster", root=ROOT, kubernetes=config.kubernetes, provider=cluster, platform=platform))
    pulumi.export("gateway", config.kubernetes.gateway.url)
    pulumi.export("namespace", config.kubernetes.namespace)
