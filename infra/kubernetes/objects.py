"""Plain manifests as Pulumi resources, each under the name it has in the cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi

Manifest = dict[str, Any]


def provider(
    kubeconfig: pulumi.Input[str] | None, context: str | None, opts: pulumi.ResourceOptions | None = None
) -> pulumi.ProviderResource:
    """The one way from the program to a cluster, by a kubeconfig's path or content.

    Paths are those of the stack's file, so that no machine's own get into the state.
    """
    from pulumi_kubernetes import Provider

    # An object that somebody else has made is taken over, not refused: what a killed update left behind is one.
    return Provider(
        "cluster", kubeconfig=kubeconfig, context=context, enable_server_side_apply=True, upsert_existing_objects=True, opts=opts
    )


def create(manifest: Manifest, opts: pulumi.ResourceOptions, *, ignored: tuple[str, ...] = ()) -> pulumi.Resource:
    """Declare one object. ``ignored`` are fields that something else owns from its creation on."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    options = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=list(ignored))) if ignored else opts
    make = _classes().get((manifest["apiVersion"], kind))
    rest = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind", "metadata")}
    if make is None:
        from pulumi_kubernetes.apiextensions import CustomResource

        return CustomResource(
            _resource_name(kind, name),
            api_version=manifest["apiVersion"],
            kind=kind,
            metadata=manifest["metadata"],
            opts=options,
            **rest,
        )
    found: pulumi.Resource = make(
        _resource_name(kind, name), metadata=manifest["metadata"], opts=options, **{_snake(key): value for key, value in rest.items()}
    )
    return found


def _resource_name(kind: str, name: str) -> str:
    """Names of Pulumi are unique by type; custom resources of several kinds share one, and are told apart in its output too."""
    return f"{name}-{kind.lower()}"


def _snake(key: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)


def _classes() -> dict[tuple[str, str], Callable[..., Any]]:
    from pulumi_kubernetes.apps.v1 import Deployment
    from pulumi_kubernetes.autoscaling.v2 import HorizontalPodAutoscaler
    from pulumi_kubernetes.core.v1 import ConfigMap, Namespace, Service, ServiceAccount
    from pulumi_kubernetes.networking.v1 import NetworkPolicy
    from pulumi_kubernetes.policy.v1 import PodDisruptionBudget
    from pulumi_kubernetes.storage.v1 import StorageClass

    return {
        ("v1", "ConfigMap"): ConfigMap,
        ("v1", "Namespace"): Namespace,
        ("v1", "Service"): Service,
        ("v1", "ServiceAccount"): ServiceAccount,
        ("apps/v1", "Deployment"): Deployment,
        ("networking.k8s.io/v1", "NetworkPolicy"): NetworkPolicy,
        ("policy/v1", "PodDisruptionBudget"): PodDisruptionBudget,
        ("autoscaling/v2", "HorizontalPodAutoscaler"): HorizontalPodAutoscaler,
        ("storage.k8s.io/v1", "StorageClass"): StorageClass,
    }
