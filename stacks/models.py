"""What a stack runs in its cluster: MLflow's server, and the models, each with its Rollouts and its route."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pulumi

from infra.config import KubernetesConfig, StackConfig, file_name
from infra.errors import ConfigError
from infra.kubernetes.model_server import ModelServer, ModelServerArgs
from infra.kubernetes.platform import Middlewares, Platform, PlatformArgs
from infra.kubernetes.tracking import Tracking, TrackingArgs
from infra.ladder import climbed
from infra.records import records_in_use
from infra.tracking import image_in_use


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where models are served: the stack, the checkout's root, the cluster with its provider and platform.

    ``kubeconfig`` is the content of a kubeconfig that is not known yet; without it ``kubernetes`` names a file.
    """

    stack: str
    root: Path
    kubernetes: KubernetesConfig
    provider: pulumi.ProviderResource
    platform: Platform
    kubeconfig: pulumi.Input[str] | None = None


def track(config: StackConfig, place: Place) -> None:
    """Declare MLflow's server where config asks for one. Raises ConfigError where an update has no image for it."""
    tracking = place.kubernetes.tracking
    if tracking is not None:
        args = TrackingArgs(kubernetes=place.kubernetes, tracking=tracking, image=_image(config, place), provider=place.provider)
        # Its way in is an object of a kind that the gateway brings.
        Tracking("tracking", args, pulumi.ResourceOptions(depends_on=place.platform.ready))
        pulumi.export("mlflow", tracking.url)


def serve(config: StackConfig, place: Place) -> None:
    """Declare every model that has a champion. Raises ReleaseError where a record, or what the stack below served, forbids it."""
    file = file_name(place.stack)
    ready: list[pulumi.Resource] = []
    if any(model.champion is not None for model in config.models.values()):
        args = PlatformArgs(kubernetes=place.kubernetes, provider=place.provider)
        ready = Middlewares("middlewares", args, pulumi.ResourceOptions(depends_on=place.platform.ready)).ready
    for name, model in config.models.items():
        champion, challenger = records_in_use(
            config.store(place.root), name, model, file=file, root=place.root, kubernetes=place.kubernetes
        )
        below = {
            role: words
            for role, record in (("champion", champion), ("challenger", challenger))
            if (words := climbed(record, config.store(place.root), place.stack)) is not None
        }
        if champion is not None:
            served = ModelServerArgs(
                config=model,
                champion=champion,
                challenger=challenger,
                kubernetes=place.kubernetes,
                config_file=file,
                provider=place.provider,
                kubeconfig=place.kubeconfig,
                below=below,
            )
            ModelServer(name, served, pulumi.ResourceOptions(depends_on=ready))


def _image(config: StackConfig, place: Place) -> pulumi.Input[str]:
    try:
        return image_in_use(place.kubernetes, config.store(place.root), file=file_name(place.stack))
    except ConfigError:
        # An update makes it first. A preview makes nothing, and shows that it is not known where this checkout never made it.
        if not pulumi.runtime.is_dry_run():
            raise
        unknown: pulumi.Output[str] = pulumi.Output.from_input(cast(str, pulumi.UNKNOWN))
        return unknown
