"""What an EKS cluster lacks from its beginning: a class of encrypted disks, and, with Auto Mode, that network policies are obeyed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from infra.aws_config import AwsConfig
from infra.kubernetes.objects import create

Manifest = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ClusterDefaultsArgs:
    """The environment's config, and the provider that reaches its cluster."""

    aws: AwsConfig
    provider: pulumi.ProviderResource


class ClusterDefaults(pulumi.ComponentResource):
    """Objects of the whole cluster, before any pod of ours."""

    def __init__(self, name: str, args: ClusterDefaultsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:ClusterDefaults", name, None, opts)
        child = pulumi.ResourceOptions(parent=self, provider=args.provider)
        for manifest in manifests(is_auto=args.aws.cluster.compute == "auto"):
            create(manifest, child)
        self.register_outputs({})


def manifests(*, is_auto: bool) -> list[Manifest]:
    """The disk class, which Prometheus asks for, and the switch of Auto Mode's network; a node group's is the add-on's own."""
    disks: Manifest = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "encrypted", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "ebs.csi.eks.amazonaws.com" if is_auto else "ebs.csi.aws.com",
        "parameters": {"type": "gp3", "encrypted": "true"},
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
        "reclaimPolicy": "Delete",
    }
    switch: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "amazon-vpc-cni", "namespace": "kube-system"},
        "data": {"enable-network-policy-controller": "true"},
    }
    return [disks, switch] if is_auto else [disks]
