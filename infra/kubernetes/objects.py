"""Plain manifests as Pulumi resources, each under the name it has in the cluster."""

from __future__ import annotations

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


def create(manifest: Manifest, opts: pulumi.ResourceOptions, *, ignored: tuple[str, ...] = (), name: str | None = None) -> pulumi.Resource:
    """Declare one object, under ``name`` or one of its own. ``ignored`` are fields that something else owns from its creation on."""
    kind = manifest["kind"]
    name = name or _resource_name(kind, manifest["metadata"]["name"])
    options = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=list(ignored))) if ignored else opts
    # By its type token and as it stands: pulumi_kubernetes' classes declare the same, but rename each key and back again, and read the
    # types of all their properties anew for every object.
    group, _, version = manifest["apiVersion"].rpartition("/")
    return pulumi.CustomResource(f"kubernetes:{group or 'core'}/{version}:{kind}", name, manifest, options)


def _resource_name(kind: str, name: str) -> str:
    """Names of Pulumi are unique by type; custom resources of several kinds share one, and are told apart in its output too."""
    return f"{name}-{kind.lower()}"
