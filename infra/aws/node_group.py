"""Nodes of a managed node group, for clusters without Auto Mode, and the add-ons that Auto Mode would bring along."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import ec2, eks

from infra.aws import names, roles
from infra.aws.iam import Role
from infra.aws_config import AwsConfig


@dataclass(frozen=True, kw_only=True)
class NodeGroupArgs:
    """The environment's config, the cluster's name and network, the role of its nodes, and the boundary of roles."""

    aws: AwsConfig
    cluster: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[str]]
    node_role: Role
    boundary: pulumi.Input[str]


class NodeGroup(pulumi.ComponentResource):
    """Machines with encrypted disks, whose metadata only they themselves can read; addresses before them, all else after."""

    def __init__(self, name: str, args: NodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:NodeGroup", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        config = args.aws.cluster.node_group
        cni = Role(f"{name}-cni", f"{args.aws.name}-cni", roles.cni(args.aws), args.boundary, self._child)
        csi = Role(f"{name}-ebs-csi", f"{args.aws.name}-ebs-csi", roles.ebs_csi(args.aws), args.boundary, self._child)
        before = [
            self._addon("eks-pod-identity-agent", []),
            self._addon("kube-proxy", []),
            # Network policies are the reason for which a model's pods can't reach each other.
            self._addon("vpc-cni", cni.ready, account=("aws-node", cni), settings={"enableNetworkPolicy": "true"}),
        ]
        template = self._template()
        group = eks.NodeGroup(
            name,
            cluster_name=args.cluster,
            node_role_arn=args.node_role.arn,
            subnet_ids=args.subnet_ids,
            ami_type="AL2023_x86_64_STANDARD",
            instance_types=list(config.instances),
            scaling_config={"min_size": config.minimum, "max_size": config.maximum, "desired_size": config.minimum},
            update_config={"max_unavailable": 1},
            node_repair_config={"enabled": True},
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            # Whoever scales the nodes owns their number.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[*args.node_role.ready, *before], ignore_changes=["scalingConfig.desiredSize"]
            ),
        )
        self._addon("coredns", [group])
        self._addon("metrics-server", [group])
        self._addon("aws-ebs-csi-driver", [group, *csi.ready], account=("ebs-csi-controller-sa", csi))
        self.register_outputs({})

    def _addon(
        self, addon: str, after: Sequence[pulumi.Resource], account: tuple[str, Role] | None = None, settings: dict[str, str] | None = None
    ) -> eks.Addon:
        return eks.Addon(
            f"{self._name}-{addon}",
            cluster_name=self._args.cluster,
            addon_name=addon,
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            configuration_values=json.dumps(settings) if settings else None,
            pod_identity_associations=[{"service_account": account[0], "role_arn": account[1].arn}] if account else None,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )

    def _template(self) -> ec2.LaunchTemplate:
        label = {**names.tags(self._args.aws), "Name": f"{self._args.aws.name}-node"}
        return ec2.LaunchTemplate(
            self._name,
            name_prefix=f"{self._args.aws.name}-node-",
            update_default_version=True,
            metadata_options={"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
            block_device_mappings=[
                {
                    "device_name": "/dev/xvda",
                    "ebs": {
                        "volume_size": self._args.aws.cluster.node_group.disk_gib,
                        "volume_type": "gp3",
                        "encrypted": "true",
                        "delete_on_termination": "true",
                    },
                }
            ],
            # What EC2 makes from it gets no tags of the provider's.
            tag_specifications=[{"resource_type": kind, "tags": label} for kind in ("instance", "volume", "network-interface")],
            tags={"Name": f"{self._args.aws.name}-node"},
            opts=self._child,
        )
