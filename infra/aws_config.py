"""The section ``aws`` of a stack's config: account, sizes, and what exists already and is only used.

Every default of an environment on AWS stands here. Names are derived from ``name`` and ``account`` (``infra.aws.names``), so that policies
can name resources that do not exist yet.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from infra.config_section import Section


def _network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _not_everybody(text: str) -> str:
    if ipaddress.ip_network(text).prefixlen == 0:
        raise ValueError("that is everybody: name the networks that may reach the cluster's API")
    return text


def _ipv4(text: str) -> str:
    if ipaddress.ip_network(text).version != 4:
        raise ValueError("the cluster's private API has IPv4 addresses alone")
    return text


def _whole_path(text: str) -> str:
    _, is_short, name = text.partition(":role/AWSReservedSSO_")
    if is_short:
        raise ValueError(
            f"EKS knows roles of sign-on by their whole path: aws iam get-role --role-name AWSReservedSSO_{name} --query Role.Arn"
        )
    return text


Cidr = Annotated[str, AfterValidator(_network)]
ClientCidr = Annotated[Cidr, AfterValidator(_not_everybody)]
PrivateCidr = Annotated[ClientCidr, AfterValidator(_ipv4)]
Account = Annotated[str, Field(pattern=r"^\d{12}$")]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:(role|user)/[\w+=,.@/-]+$"), AfterValidator(_whole_path)]
CertificateArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[\w-]+$")]
Days = Annotated[int, Field(ge=1, le=3653)]
Host = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
LogDays = Literal[1, 7, 30, 90, 180, 365, 731, 1827, 3653]
"""Retentions that CloudWatch knows."""


class ExistingNetworkConfig(Section):
    """A network that somebody else owns and that is never changed: by ids, by another stack's outputs, or by a Terraform state's."""

    vpc_id: Annotated[str, Field(pattern=r"^vpc-[0-9a-f]+$")] | None = Field(None, description="The VPC, such as vpc-0a1b2c3d.")
    private_subnet_ids: list[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")]] = Field(
        [], max_length=6, description="Its private subnets, in two zones at least."
    )
    stack: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+/[\w.-]+$", description="A Pulumi stack as organization/project/stack.")
    terraform_state: str | None = Field(
        None, pattern=r"\S+", description="A Terraform state: a path from the repository's root, or s3://bucket/key."
    )
    vpc_output: str = Field("vpc_id", pattern=r"^\w[\w-]*$", description="Name of the output with the VPC's id.")
    subnets_output: str = Field("private_subnets", pattern=r"^\w[\w-]*$", description="Name of the output with the private subnets' ids.")

    @model_validator(mode="after")
    def _has_one_source(self) -> ExistingNetworkConfig:
        given = [self.vpc_id is not None or bool(self.private_subnet_ids), self.stack is not None, self.terraform_state is not None]
        if sum(given) != 1:
            raise ValueError("give either 'vpc-id' with 'private-subnet-ids', or 'stack', or 'terraform-state'")
        if given[0] and (self.vpc_id is None or len(self.private_subnet_ids) < 2):
            raise ValueError("'vpc-id' needs two 'private-subnet-ids' at least, and they need it")
        return self


class NetworkConfig(Section):
    """The VPC that an environment makes, or the one that it is put into."""

    existing: ExistingNetworkConfig | None = None
    cidr: Cidr = Field("10.0.0.0/16", description="Addresses of the VPC, a /16 to /20.")
    zones: list[Annotated[str, Field(pattern=r"^[a-z]$")]] = Field(
        ["a", "b", "c"], min_length=2, max_length=3, description="Letters of the region's zones that it spans."
    )
    nat: Literal["none", "one", "zone"] = Field(
        "one", description="Ways out to the internet: none, one for all zones, or one in each zone, which outlives the loss of a zone."
    )
    endpoints: Literal["gateway", "all"] = Field(
        "all", description="Private ways to AWS: to S3 alone (free), or an interface in each zone for all that a node needs."
    )
    flow_log_days: LogDays = Field(30, description="How long records of connections are kept.")

    @model_validator(mode="after")
    def _fits(self) -> NetworkConfig:
        cidr = ipaddress.ip_network(self.cidr)
        if cidr.version != 4 or not 16 <= cidr.prefixlen <= 20:
            raise ValueError("cidr must be an IPv4 network of /16 to /20: private networks of nodes and pods are cut from it")
        if self.nat == "none" and self.endpoints != "all":
            raise ValueError("without a NAT gateway the cluster reaches AWS by endpoints alone: endpoints: all")
        return self


class NodeGroupConfig(Section):
    """Nodes of an EKS managed node group."""

    instances: list[Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9]+$")]] = Field(
        ["m7i.large"], min_length=1, max_length=10, description="Instance types, the preferred one first."
    )
    minimum: int = Field(2, ge=1, le=100, description="Nodes at least.")
    maximum: int = Field(4, ge=1, le=500, description="Nodes at most.")
    disk_gib: int = Field(50, ge=20, le=2000, description="Disk of a node, GiB.")

    @model_validator(mode="after")
    def _ascends(self) -> NodeGroupConfig:
        if self.maximum < self.minimum:
            raise ValueError("maximum is below minimum")
        return self


class ClusterConfig(Section):
    """The EKS cluster that an environment makes, or the one that it is put into."""

    existing: str | None = Field(
        None, pattern=r"^[A-Za-z0-9][\w-]{0,99}$", description="Name of an EKS cluster that stands already; it is used and never changed."
    )
    version: str = Field("1.35", pattern=r"^1\.\d{2}$", description="Kubernetes' version, one in EKS's standard support.")
    compute: Literal["auto", "node-groups", "elsewhere"] = Field(
        "auto", description="Who runs the nodes: EKS Auto Mode, one managed node group, or a cluster elsewhere, named by `kubernetes`."
    )
    node_group: NodeGroupConfig = NodeGroupConfig()
    public_cidrs: list[ClientCidr] = Field(
        [], max_length=40, description="Networks that may reach the cluster's API from outside; without any it is private."
    )
    private_cidrs: list[PrivateCidr] = Field(
        [],
        max_length=40,
        description="Networks that reach the cluster's private API beside a VPC that is made here, such as a VPN's or a peered one's.",
    )
    admins: list[RoleArn] = Field([], max_length=20, description="Roles of people who administer the cluster.")
    log_days: LogDays = Field(90, description="How long the control plane's logs are kept.")


class DatabaseConfig(Section):
    """MLflow's PostgreSQL."""

    instance: str = Field("db.t4g.micro", pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$", description="Instance class.")
    version: str = Field("17", pattern=r"^1[5-9]$", description="PostgreSQL's major version.")
    storage_gib: int = Field(20, ge=20, le=16_384, description="Disk at first, GiB.")
    maximum_storage_gib: int = Field(100, ge=20, le=65_536, description="It grows by itself up to this, GiB.")
    multi_az: bool = Field(False, description="Whether a standby in another zone takes over.")
    backup_days: int = Field(7, ge=1, le=35, description="How far back it can be restored to any second.")

    @model_validator(mode="after")
    def _grows(self) -> DatabaseConfig:
        if self.maximum_storage_gib <= self.storage_gib:
            raise ValueError("maximum-storage-gib must be above storage-gib")
        return self


class StorageConfig(Section):
    """How long the buckets keep what."""

    request_days: Days = Field(90, description="How long logs of requests are kept.")
    noncurrent_days: Days = Field(30, description="How long what was overwritten or deleted can still be had back.")
    access_log_days: Days = Field(90, description="How long records of who read the buckets are kept.")
    release_lock_days: Days | None = Field(None, description="How long nobody may delete a release; without it S3 allows it at once.")


class RegistryConfig(Section):
    """The image registry that all environments share: one makes it, the others pull from it."""

    made_here: bool = Field(False, description="Whether this stack makes it, with a repository for each of its models.")
    account: Account | None = Field(None, description="The account that it lies in; else this one.")
    region: Region | None = Field(None, description="The region that it lies in; else this one.")
    pullers: list[Account] = Field([], max_length=20, description="Other accounts whose clusters pull from it.")
    keep_images: int = Field(100, ge=10, le=10_000, description="Images of a model that are kept, the newest.")

    @model_validator(mode="after")
    def _one_place(self) -> RegistryConfig:
        if self.made_here and (self.account or self.region):
            raise ValueError("a registry that is made here lies in this account and region")
        return self


class AccessConfig(Section):
    """Who may change an environment from GitHub's workflows, without a key that lives long."""

    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="The GitHub repository as owner/name.")
    environment: str = Field(pattern=r"^[\w.-]{1,100}$", description="Its GitHub environment whose workflows may change this one.")
    oidc_provider: Literal["made-here", "existing"] = Field(
        "made-here", description="GitHub's identity provider in this account: an account has one, so that only one stack in it makes it."
    )


class BudgetConfig(Section):
    """When to tell whom that an environment costs more than was meant."""

    monthly_usd: int = Field(ge=1, le=1_000_000, description="Limit of a month in US dollars.")
    emails: list[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]] = Field(
        min_length=1, max_length=10, description="Who is told at 80 % spent, and when the forecast is above the limit."
    )


class AwsGatewayConfig(Section):
    """How users reach the models: an internal network load balancer, under a name and certificate of your own."""

    host: Host = Field(description="Name that users ask, such as models.dev.example.com; your DNS points it to the load balancer.")
    certificate: CertificateArn = Field(description="Its certificate in ACM.")


class AwsConfig(Section):
    """An environment on AWS."""

    account: Account = Field(description="The only account in which the stack may change anything, in quotes: it is no number.")
    region: Region = Field(description="Where all of it lies.")
    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,21}[a-z0-9]$", description="Begins the names of all that it makes.")
    owner: str = Field(pattern=r"^[\w .@+-]{1,100}$", description="Who answers for it; a tag on everything.")
    cost_center: str = Field(pattern=r"^[\w .@+-]{1,100}$", description="Who pays for it; a tag on everything.")
    protect: bool = Field(True, description="Whether Pulumi and AWS refuse to delete what holds data, until this is turned off.")
    gateway: AwsGatewayConfig
    access: AccessConfig
    budget: BudgetConfig
    network: NetworkConfig = NetworkConfig()
    cluster: ClusterConfig = ClusterConfig()
    database: DatabaseConfig = DatabaseConfig()
    storage: StorageConfig = StorageConfig()
    registry: RegistryConfig = RegistryConfig()

    @model_validator(mode="after")
    def _somebody_reaches_the_cluster(self) -> AwsConfig:
        is_made = self.cluster.existing is None and self.cluster.compute != "elsewhere"
        if is_made and self.network.existing is not None and not (self.cluster.public_cidrs or self.cluster.private_cidrs):
            raise ValueError(
                "nobody reaches the cluster's API: give cluster.private-cidrs, of the network that exists, or cluster.public-cidrs"
            )
        return self

    @model_validator(mode="after")
    def _certificate_is_near(self) -> AwsConfig:
        region, account = self.gateway.certificate.split(":")[3:5]
        if self.cluster.compute != "elsewhere" and (region, account) != (self.region, self.account):
            raise ValueError(
                f"gateway.certificate lies in {region} of account {account}: a load balancer takes one of its own region and account"
            )
        return self

    @property
    def registry_url(self) -> str:
        """Where images are pushed to and pulled from."""
        account, region = self.registry.account or self.account, self.registry.region or self.region
        return f"{account}.dkr.ecr.{region}.amazonaws.com/mldelivery"

    @property
    def client_cidrs(self) -> list[str]:
        """Networks from which the cluster's private API is reached, beside its own nodes and pods."""
        return list(dict.fromkeys([*([] if self.network.existing else [self.network.cidr]), *self.cluster.private_cidrs]))

    @property
    def cluster_name(self) -> str:
        """Name of the EKS cluster."""
        return self.cluster.existing or self.name
