"""A model's manifests for tests, from the same config that people write."""

from __future__ import annotations

import dataclasses
from typing import Any

from infra.config import KubernetesConfig, ModelConfig
from infra.kubernetes import analysis, gateway, manifests
from infra.kubernetes.labels import Names, Role

IMAGE = "registry.test/models/iris@sha256:" + "a" * 64
Manifest = dict[str, Any]


def cluster(**gateway_config: Any) -> KubernetesConfig:
    """A cluster's config as its YAML would give it."""
    return KubernetesConfig.model_validate(
        {
            "registry": "registry.test/models",
            "prometheus": "http://prometheus.test:9090",
            "gateway": {"url": "https://models.test:8443", "internal-url": "http://traefik.test:8082", **gateway_config},
        }
    )


def model(**config: Any) -> ModelConfig:
    """A model's config as its YAML would give it."""
    return ModelConfig.model_validate({"champion": 5, **config})


def workload(config: ModelConfig, role: Role = "champion") -> manifests.Workload:
    """What is rolled out of a model in one role."""
    return manifests.Workload(
        names=Names("iris", role),
        namespace="mldelivery",
        release=5,
        image=IMAGE,
        replicas=config.replicas,
        resources=config.resources,
        ready_seconds=config.ready_seconds,
        policy=config.policy(),
        autoscale=config.autoscale,
    )


def watch(config: ModelConfig) -> analysis.Watch:
    """How its stages are measured."""
    place = cluster()
    return analysis.Watch(
        names=Names("iris"),
        namespace="mldelivery",
        policy=config.policy(),
        prometheus=place.prometheus,
        internal_url=place.gateway.internal_url,
    )


def entrance(config: ModelConfig, **gateway_config: Any) -> gateway.Entrance:
    """How it is reached."""
    return gateway.Entrance(
        model="iris", namespace="mldelivery", gateway=cluster(**gateway_config).gateway, strategy=config.rollout.strategy
    )


def everything(config: ModelConfig) -> list[Manifest]:
    """Every object of a model's champion and of its namespace."""
    work, seen, way = workload(config), watch(config), entrance(config)
    scaled = [manifests.autoscaler(work, config.autoscale)] if config.autoscale else []
    return [
        manifests.namespace("mldelivery"),
        manifests.service_account("mldelivery"),
        *manifests.network_policies("mldelivery", "existing"),
        *manifests.services(work),
        manifests.disruption_budget(work),
        *scaled,
        analysis.golden(work.names, "mldelivery"),
        analysis.traffic(seen),
        manifests.rollout(work),
        gateway.inner(way),
        *gateway.middlewares("mldelivery"),
        *gateway.internal_routes(way),
        *gateway.outer_services(way, config.challenger),
        gateway.user_route(way),
    ]


def challenger_rollout(config: ModelConfig) -> Manifest:
    """The Rollout of a challenger."""
    work = workload(config, "challenger")
    return manifests.rollout(dataclasses.replace(work, policy=dataclasses.replace(work.policy, strategy="blue-green", steps=())))
