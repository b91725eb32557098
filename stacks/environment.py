"""An environment on AWS, from the network to the models that it serves. dev, staging and prod differ by their config alone."""

from __future__ import annotations

from pathlib import Path

import pulumi

from infra.aws import roles
from infra.aws.access import Boundary, ClusterAccess, ClusterAccessArgs, Workflows, WorkloadRoles, WorkloadRolesArgs
from infra.aws.budget import Budget
from infra.aws.cluster import Cluster, ClusterArgs, ExistingCluster, existing_cluster
from infra.aws.cluster_defaults import ClusterDefaults, ClusterDefaultsArgs
from infra.aws.database import Database, DatabaseArgs
from infra.aws.existing_network import ExistingNetwork, existing_network
from infra.aws.gateway import gateway_service
from infra.aws.keys import Keys
from infra.aws.network import Network, NetworkArgs
from infra.aws.provider import provider as aws_provider
from infra.aws.registry import Registry, RegistryArgs
from infra.aws.storage import Storage, StorageArgs
from infra.aws_config import AwsConfig
from infra.config import KubernetesConfig, StackConfig, file_name
from infra.errors import ConfigError
from infra.kubernetes.labels import PLATFORM_NAMESPACE
from infra.kubernetes.objects import provider as kubernetes_provider
from infra.kubernetes.platform import Platform, PlatformArgs
from stacks.models import Place, serve, track

ROOT = Path(__file__).resolve().parents[1]


def declare(config: StackConfig, stack: str) -> None:
    """Everything of one environment."""
    aws, kubernetes = _sections(config, stack)
    cloud = aws_provider(aws)
    by_aws = pulumi.ResourceOptions(provider=cloud)

    boundary = Boundary("boundary", aws, by_aws)
    keys = Keys("keys", aws, by_aws)
    network = _network(aws, stack, keys, boundary, cloud)
    storage = Storage("storage", StorageArgs(aws=aws, key_arn=keys.data), by_aws)
    cluster = _cluster(aws, network, keys, boundary, cloud)
    database = Database(
        "database",
        DatabaseArgs(
            aws=aws,
            vpc_id=network.vpc_id,
            subnet_ids=network.private_subnet_ids,
            data_key_arn=keys.data,
            log_key_arn=keys.logs,
            client_group_id=cluster.security_group_id if cluster else None,
            boundary=boundary.arn,
        ),
        by_aws,
    )
    if aws.registry.made_here:
        Registry("registry", RegistryArgs(aws=aws, key_arn=keys.data, images=[*config.models, roles.TRACKING_ACCOUNT]), by_aws)
    workflows = Workflows("workflows", aws, by_aws)
    Budget("budget", aws, by_aws)

    inside, before = _into(cluster, aws, kubernetes, workflows, boundary, by_aws)
    platform = Platform(
        "platform",
        PlatformArgs(kubernetes=kubernetes, provider=inside, gateway_service=gateway_service(aws)),
        pulumi.ResourceOptions(depends_on=before),
    )
    kubeconfig = cluster.kubeconfig if cluster else None
    place = Place(stack=stack, root=ROOT, kubernetes=kubernetes, provider=inside, platform=platform, kubeconfig=kubeconfig)
    track(config, place)
    serve(config, place)

    pulumi.export("gateway", kubernetes.gateway.url)
    pulumi.export("registry", kubernetes.registry)
    pulumi.export("buckets", {purpose: bucket.bucket for purpose, bucket in storage.buckets.items()})
    pulumi.export("roles", {"deploy": workflows.deploy.arn, "preview": workflows.preview.arn})
    # What the section kubernetes.tracking is told: a host, and the secret whose account the Kubernetes Secret must hold.
    pulumi.export("database", {"host": database.host, "port": database.port, "name": database.database, "secret": database.secret_arn})


def _sections(config: StackConfig, stack: str) -> tuple[AwsConfig, KubernetesConfig]:
    if config.aws is None or config.kubernetes is None:
        file = file_name(stack)
        raise ConfigError(
            "this stack is an environment on AWS",
            where=f"{file}: mldelivery:target",
            got=config.target,
            allowed="eks",
            act=f"git checkout -- {file}",
        )
    return config.aws, config.kubernetes


def _network(aws: AwsConfig, stack: str, keys: Keys, boundary: Boundary, cloud: pulumi.ProviderResource) -> Network | ExistingNetwork:
    if aws.network.existing is not None:
        where = f"{file_name(stack)}: mldelivery:aws.network.existing"
        return existing_network(aws.network.existing, root=ROOT, where=where, opts=pulumi.InvokeOptions(provider=cloud))
    args = NetworkArgs(aws=aws, log_key_arn=keys.logs, boundary=boundary.arn)
    return Network("network", args, pulumi.ResourceOptions(provider=cloud))


def _cluster(
    aws: AwsConfig, network: Network | ExistingNetwork, keys: Keys, boundary: Boundary, cloud: pulumi.ProviderResource
) -> Cluster | ExistingCluster | None:
    if aws.cluster.compute == "elsewhere":
        return None
    if aws.cluster.existing is not None:
        return existing_cluster(aws, pulumi.InvokeOptions(provider=cloud))
    args = ClusterArgs(
        aws=aws,
        vpc_id=network.vpc_id,
        subnet_ids=network.private_subnet_ids,
        secrets_key_arn=keys.secrets,
        log_key_arn=keys.logs,
        boundary=boundary.arn,
    )
    # Nodes and load balancers need routes for as long as they are there.
    after = [network] if isinstance(network, Network) else []
    return Cluster("cluster", args, pulumi.ResourceOptions(provider=cloud, depends_on=after))


def _into(
    cluster: Cluster | ExistingCluster | None,
    aws: AwsConfig,
    kubernetes: KubernetesConfig,
    workflows: Workflows,
    boundary: Boundary,
    by_aws: pulumi.ResourceOptions,
) -> tuple[pulumi.ProviderResource, list[pulumi.Resource]]:
    """The provider that enters the cluster, after it is known who may and what its pods may do on AWS; and what pods of ours wait for."""
    if cluster is None:
        return kubernetes_provider(kubernetes.kubeconfig, kubernetes.context), []
    namespaces = [kubernetes.namespace, PLATFORM_NAMESPACE]
    entries = ClusterAccessArgs(aws=aws, cluster=cluster.name, workflows=workflows, namespaces=namespaces)
    access = ClusterAccess("cluster-access", entries, by_aws)
    tracking = kubernetes.tracking.namespace if kubernetes.tracking else roles.TRACKING_NAMESPACE
    pods = WorkloadRolesArgs(aws=aws, cluster=cluster.name, tracking_namespace=tracking, boundary=boundary.arn)
    workloads = WorkloadRoles("workload-roles", pods, by_aws)
    pulumi.export("cluster", cluster.name)
    # All of the cluster: pods come after nodes and add-ons, and go before them, with the disks and load balancers that those remove.
    made = [cluster] if isinstance(cluster, Cluster) else []
    inside = kubernetes_provider(cluster.kubeconfig, None, pulumi.ResourceOptions(depends_on=[*made, access, workloads]))
    if isinstance(cluster, ExistingCluster):
        return inside, []
    return inside, [ClusterDefaults("cluster-defaults", ClusterDefaultsArgs(aws=aws, provider=inside))]
