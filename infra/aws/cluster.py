"""The EKS cluster: nodes by Auto Mode or a node group, secrets encrypted, its API closed to all but named networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, ec2, eks, vpc

from infra.aws import names, roles
from infra.aws.iam import Role
from infra.aws.kubeconfig import kubeconfig
from infra.aws.node_group import NodeGroup, NodeGroupArgs
from infra.aws_config import AwsConfig

LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
AUTO_POOLS = ("general-purpose", "system")


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """The environment's config, the network that it lies in, its keys, and the boundary of its roles."""

    aws: AwsConfig
    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[str]]
    secrets_key_arn: pulumi.Input[str]
    log_key_arn: pulumi.Input[str]
    boundary: pulumi.Input[str]


class Cluster(pulumi.ComponentResource):
    """A cluster of the environment's own. ``name``, ``kubeconfig`` (holds no secret) and ``security_group_id`` are what others need."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:Cluster", name, None, opts)
        aws, config = args.aws, args.aws.cluster
        is_auto = config.compute == "auto"
        child = pulumi.ResourceOptions(parent=self)
        control = Role(f"{name}-control", f"{aws.name}-cluster", roles.cluster(aws), args.boundary, child)
        node = Role(f"{name}-node", f"{aws.name}-node", roles.node(aws), args.boundary, child)
        # Made before EKS would make it, without an end and without a key.
        logs = cloudwatch.LogGroup(
            name,
            name=names.log_group(aws, "cluster"),
            retention_in_days=config.log_days,
            kms_key_id=args.log_key_arn,
            opts=child,
        )
        made = eks.Cluster(
            name,
            name=aws.name,
            version=config.version,
            role_arn=control.arn,
            vpc_config=eks.ClusterVpcConfigArgs(
                subnet_ids=args.subnet_ids,
                security_group_ids=[_clients(name, args, child)],
                endpoint_private_access=True,
                endpoint_public_access=bool(config.public_cidrs),
                public_access_cidrs=list(config.public_cidrs) or None,
            ),
            access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": False},
            encryption_config={"provider": {"key_arn": args.secrets_key_arn}, "resources": ["secrets"]},
            enabled_cluster_log_types=list(LOGS),
            upgrade_policy={"support_type": "STANDARD"},
            zonal_shift_config={"enabled": True},
            deletion_protection=aws.protect,
            bootstrap_self_managed_addons=False,
            # Auto Mode: EKS wants all three on, or none.
            compute_config=_nodes(node) if is_auto else None,
            kubernetes_network_config=_balancers() if is_auto else None,
            storage_config=_disks() if is_auto else None,
            opts=pulumi.ResourceOptions(parent=self, protect=aws.protect, depends_on=[logs, *control.ready, *node.ready]),
        )
        if is_auto:
            # A model's autoscaler reads its pods' use of CPU there; a node group brings it with its other add-ons.
            eks.Addon(f"{name}-metrics-server", cluster_name=made.name, addon_name="metrics-server", opts=child)
        else:
            group = NodeGroupArgs(aws=aws, cluster=made.name, subnet_ids=args.subnet_ids, node_role=node, boundary=args.boundary)
            NodeGroup(f"{name}-nodes", group, child)
        self.name: pulumi.Output[str] = made.name
        self.kubeconfig: pulumi.Output[str] = kubeconfig(aws.region, made.name, made.endpoint, made.certificate_authority)
        self.security_group_id: pulumi.Output[str] = made.vpc_config.cluster_security_group_id
        self.register_outputs({"name": made.name})


@dataclass(frozen=True, kw_only=True)
class ExistingCluster:
    """The same outputs of a cluster that somebody else owns; nothing of it is changed."""

    name: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]
    security_group_id: pulumi.Output[str]


def existing_cluster(aws: AwsConfig, opts: pulumi.InvokeOptions) -> ExistingCluster:
    """Ask AWS for a cluster by its name."""
    found = eks.get_cluster_output(name=aws.cluster_name, opts=opts)
    return ExistingCluster(
        name=found.name,
        kubeconfig=kubeconfig(aws.region, found.name, found.endpoint, found.certificate_authorities[0]),
        security_group_id=found.vpc_config.cluster_security_group_id,
    )


def _clients(name: str, args: ClusterArgs, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Who reaches the private API. EKS's own group lets in nodes and pods alone, and no runner of the VPC, no VPN, no peered network."""
    group = ec2.SecurityGroup(
        f"{name}-api",
        name_prefix=f"{args.aws.name}-api-",
        description="The private API of the cluster: TLS from named networks",
        vpc_id=args.vpc_id,
        tags={"Name": f"{args.aws.name}-api"},
        opts=opts,
    )
    for cidr in args.aws.client_cidrs:
        vpc.SecurityGroupIngressRule(
            f"{name}-api-{cidr.replace('/', '-')}",
            security_group_id=group.id,
            description="TLS from a named network",
            cidr_ipv4=cidr,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            opts=opts,
        )
    return group.id


def _nodes(role: Role) -> eks.ClusterComputeConfigArgs:
    return eks.ClusterComputeConfigArgs(enabled=True, node_pools=list(AUTO_POOLS), node_role_arn=role.arn)


def _balancers() -> eks.ClusterKubernetesNetworkConfigArgs:
    return eks.ClusterKubernetesNetworkConfigArgs(
        elastic_load_balancing=eks.ClusterKubernetesNetworkConfigElasticLoadBalancingArgs(enabled=True)
    )


def _disks() -> eks.ClusterStorageConfigArgs:
    return eks.ClusterStorageConfigArgs(block_storage=eks.ClusterStorageConfigBlockStorageArgs(enabled=True))
