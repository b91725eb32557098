"""What a cluster holds before any model: the stack's namespace, and Argo Rollouts, Traefik and Prometheus where they are not there yet."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from infra.config import KubernetesConfig
from infra.kubernetes import gateway
from infra.kubernetes.labels import PLATFORM_NAMESPACE
from infra.kubernetes.manifests import namespace, network_policies, service_account
from infra.kubernetes.objects import create

BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 10)
"""Upper bounds of the gateway's latency histogram, seconds; a percentile is exact at these and interpolated between."""

ARGO_ROLLOUTS = "v1.9.2"
"""What the tests run against."""


LEAVE_SECONDS = 30
"""A pod of the gateway that ends still answers so long, while load balancers learn that it is going. The chart gives it 60 s to end."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A Helm chart by repository and exact version, with its values; it brings its CRDs itself, and is ready before anything uses them."""

    name: str
    repository: str
    version: str
    values: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PlatformArgs:
    """The cluster's config, the provider that reaches it, and what the gateway's Service needs there (values of Traefik's chart)."""

    kubernetes: KubernetesConfig
    provider: pulumi.ProviderResource
    gateway_service: Mapping[str, Any] = field(default_factory=dict)


class Platform(pulumi.ComponentResource):
    """The stack's namespace with its rules, on a platform that stands (``existing``) or is installed (``charts``).

    ``ready`` is what a model depends on.
    """

    def __init__(self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:kubernetes:Platform", name, None, opts)
        child = pulumi.ResourceOptions(parent=self, provider=args.provider)
        place = create(namespace(args.kubernetes.namespace), child)
        inside = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[place]))
        self.ready: list[pulumi.Resource] = [place, create(service_account(args.kubernetes.namespace), inside)]
        self.ready += [create(policy, inside) for policy in network_policies(args.kubernetes.namespace, args.kubernetes.platform)]
        if args.kubernetes.platform == "charts":
            self.ready += _install(args, child)
        self.register_outputs({})


class Middlewares(pulumi.ComponentResource):
    """What the gateway does to requests on their way to a model, once for a namespace. ``ready`` is what a model depends on."""

    def __init__(self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:kubernetes:Middlewares", name, None, opts)
        child = pulumi.ResourceOptions(parent=self, provider=args.provider)
        self.ready = [create(each, child) for each in gateway.middlewares(args.kubernetes.namespace)]
        self.register_outputs({})


def charts(kubernetes: KubernetesConfig, gateway_service: Mapping[str, Any] | None = None) -> list[Chart]:
    """Argo Rollouts, Traefik and Prometheus, with what ``infra.kubernetes`` relies on and nothing else."""
    gateway, own = kubernetes.gateway, gateway_service or {}
    scrape = f"{max(1, math.ceil(kubernetes.scrape_seconds))}s"
    argo = {
        "installCRDs": True,
        "keepCRDs": True,
        "controller": {
            "replicas": 2,
            # By itself Argo Rollouts speaks to the group that Traefik had before its third version.
            "extraArgs": ["--traefik-api-group=traefik.io", "--traefik-api-version=traefik.io/v1alpha1"],
            "image": {"tag": ARGO_ROLLOUTS},
        },
    }
    traefik = {
        "deployment": {"replicas": 2},
        # Nodes come and go, by Auto Mode's own will too: never both pods at once, and each on a node of its own where there are two.
        "podDisruptionBudget": {"enabled": True, "maxUnavailable": 1},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "traefik"}},
            }
            for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        ],
        "providers": {
            "kubernetesCRD": {"enabled": True, "allowCrossNamespace": False, "allowEmptyServices": True},
            "kubernetesIngress": {"enabled": False},
        },
        "ports": {
            # By itself the chart opens a port without TLS, on which nothing answers.
            "web": {"expose": {"default": False}},
            gateway.entry_point: {"port": 8443, "expose": {"default": True}, "exposedPort": 443, "protocol": "TCP"},
            # Only pods of the cluster reach it, by a Service of its own, `traefik-internal`.
            gateway.internal_entry_point: {"port": 8082, "expose": {"default": False, "internal": True}, "protocol": "TCP"},
        },
        "service": {
            **own,
            "spec": {"type": "LoadBalancer", **own.get("spec", {})},
            "additionalServices": {"internal": {"spec": {"type": "ClusterIP"}}},
        },
        "metrics": {"prometheus": {"addServicesLabels": True, "buckets": ",".join(f"{bound:g}" for bound in BUCKETS)}},
        "additionalArguments": [
            "--providers.providersThrottleDuration=100ms",
            f"--entryPoints.{gateway.entry_point}.transport.lifeCycle.requestAcceptGraceTimeout={LEAVE_SECONDS}s",
        ],
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    }
    job = {
        "job_name": "gateway",
        "scrape_interval": scrape,
        "scrape_timeout": scrape,
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [PLATFORM_NAMESPACE]}}],
        "relabel_configs": [
            {"source_labels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name"], "regex": "traefik", "action": "keep"},
            {"source_labels": ["__meta_kubernetes_pod_container_port_name"], "regex": "metrics", "action": "keep"},
        ],
    }
    prometheus = {
        "alertmanager": {"enabled": False},
        "kube-state-metrics": {"enabled": False},
        "prometheus-node-exporter": {"enabled": False},
        "prometheus-pushgateway": {"enabled": False},
        # JSON is YAML, and a chart's value here is text.
        "extraScrapeConfigs": json.dumps([job]),
    }
    return [
        Chart(name="argo-rollouts", repository="https://argoproj.github.io/argo-helm", version="2.40.9", values=argo),
        Chart(name="traefik", repository="https://traefik.github.io/charts", version="40.2.0", values=traefik),
        Chart(name="prometheus", repository="https://prometheus-community.github.io/helm-charts", version="27.19.0", values=prometheus),
    ]


def _install(args: PlatformArgs, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    from pulumi_kubernetes.helm.v3 import Release, RepositoryOptsArgs

    # Baseline: what the charts bring asks for nothing of the node, and not all of it is as confined as a model's pods.
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    place = create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLATFORM_NAMESPACE, "labels": labels}}, opts, name=PLATFORM_NAMESPACE
    )
    inside = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[place]))
    return [
        Release(
            chart.name,
            chart=chart.name,
            name=chart.name,
            namespace=PLATFORM_NAMESPACE,
            version=chart.version,
            repository_opts=RepositoryOptsArgs(repo=chart.repository),
            values=chart.values,
            atomic=True,
            timeout=600,
            opts=inside,
        )
        for chart in charts(args.kubernetes, args.gateway_service)
    ]
