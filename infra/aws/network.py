"""The VPC: private networks in each zone, a way out, private ways to AWS, and records of every connection."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, ec2, vpc

from infra.aws import names, roles
from infra.aws.iam import Role
from infra.aws_config import AwsConfig

GATEWAY_ENDPOINT = "s3"
INTERFACE_ENDPOINTS = (
    "ec2",
    "ecr.api",
    "ecr.dkr",
    "eks",
    "eks-auth",
    "elasticloadbalancing",
    "kms",
    "logs",
    "secretsmanager",
    "sts",
)
"""What nodes, pods and EKS ask AWS for; with these and S3 a cluster needs no way to the internet but for images of other registries."""


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """The environment's config, the key of its logs, and the boundary of its roles."""

    aws: AwsConfig
    log_key_arn: pulumi.Input[str]
    boundary: pulumi.Input[str]


class Network(pulumi.ComponentResource):
    """A VPC of the environment's own. ``vpc_id`` and ``private_subnet_ids`` are what all else is put into."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:Network", name, None, opts)
        self._name, self._aws = name, args.aws
        self._child = pulumi.ResourceOptions(parent=self)
        config = args.aws.network
        self._vpc = ec2.Vpc(
            name,
            cidr_block=config.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": args.aws.name},
            opts=self._child,
        )
        # Without rules: what is put into no group of its own reaches nothing.
        ec2.DefaultSecurityGroup(name, vpc_id=self._vpc.id, ingress=[], egress=[], opts=self._child)
        plan = cut(config.cidr, len(config.zones))
        private = [self._subnet("private", zone, cidr) for zone, cidr in zip(config.zones, plan.private, strict=True)]
        tables = [self._table(f"private-{zone}", subnet) for zone, subnet in zip(config.zones, private, strict=True)]
        if config.nat != "none":
            self._ways_out(plan.public, tables)
        self._endpoints(private, tables)
        self._flow_log(args)
        self.vpc_id: pulumi.Output[str] = self._vpc.id
        self.private_subnet_ids: pulumi.Output[Sequence[str]] = pulumi.Output.all(*(subnet.id for subnet in private))
        self.register_outputs({"vpc_id": self.vpc_id, "private_subnet_ids": self.private_subnet_ids})

    def _subnet(self, kind: str, zone: str, cidr: str) -> ec2.Subnet:
        # By these tags load balancers find the subnets that are meant for them.
        role = "kubernetes.io/role/internal-elb" if kind == "private" else "kubernetes.io/role/elb"
        return ec2.Subnet(
            f"{self._name}-{kind}-{zone}",
            vpc_id=self._vpc.id,
            cidr_block=cidr,
            availability_zone=f"{self._aws.region}{zone}",
            map_public_ip_on_launch=False,
            tags={"Name": f"{self._aws.name}-{kind}-{zone}", role: "1"},
            opts=self._child,
        )

    def _table(self, suffix: str, *subnets: ec2.Subnet) -> ec2.RouteTable:
        table = ec2.RouteTable(f"{self._name}-{suffix}", vpc_id=self._vpc.id, tags={"Name": f"{self._aws.name}-{suffix}"}, opts=self._child)
        for number, subnet in enumerate(subnets):
            ec2.RouteTableAssociation(f"{self._name}-{suffix}-{number}", route_table_id=table.id, subnet_id=subnet.id, opts=self._child)
        return table

    def _ways_out(self, cidrs: Sequence[str], private_tables: Sequence[ec2.RouteTable]) -> None:
        config = self._aws.network
        internet = ec2.InternetGateway(self._name, vpc_id=self._vpc.id, tags={"Name": self._aws.name}, opts=self._child)
        zones = config.zones if config.nat == "zone" else config.zones[:1]
        public = [self._subnet("public", zone, cidr) for zone, cidr in zip(zones, cidrs, strict=False)]
        table = self._table("public", *public)
        ec2.Route(
            f"{self._name}-public", route_table_id=table.id, destination_cidr_block="0.0.0.0/0", gateway_id=internet.id, opts=self._child
        )
        gateways = [self._nat(zone, subnet, internet) for zone, subnet in zip(zones, public, strict=True)]
        for number, (zone, private) in enumerate(zip(config.zones, private_tables, strict=True)):
            ec2.Route(
                f"{self._name}-private-{zone}",
                route_table_id=private.id,
                destination_cidr_block="0.0.0.0/0",
                nat_gateway_id=gateways[number % len(gateways)].id,
                opts=self._child,
            )

    def _nat(self, zone: str, subnet: ec2.Subnet, internet: ec2.InternetGateway) -> ec2.NatGateway:
        label = {"Name": f"{self._aws.name}-nat-{zone}"}
        after = pulumi.ResourceOptions(parent=self, depends_on=[internet])
        address = ec2.Eip(f"{self._name}-nat-{zone}", domain="vpc", tags=label, opts=after)
        return ec2.NatGateway(f"{self._name}-nat-{zone}", allocation_id=address.allocation_id, subnet_id=subnet.id, tags=label, opts=after)

    def _endpoints(self, subnets: Sequence[ec2.Subnet], tables: Sequence[ec2.RouteTable]) -> None:
        region = self._aws.region
        ec2.VpcEndpoint(
            f"{self._name}-{GATEWAY_ENDPOINT}",
            vpc_id=self._vpc.id,
            service_name=f"com.amazonaws.{region}.{GATEWAY_ENDPOINT}",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            tags={"Name": f"{self._aws.name}-{GATEWAY_ENDPOINT}"},
            opts=self._child,
        )
        if self._aws.network.endpoints != "all":
            return
        group = ec2.SecurityGroup(
            f"{self._name}-endpoints",
            name_prefix=f"{self._aws.name}-endpoints-",
            description="Private ways to AWS: TLS from inside the VPC",
            vpc_id=self._vpc.id,
            tags={"Name": f"{self._aws.name}-endpoints"},
            opts=self._child,
        )
        vpc.SecurityGroupIngressRule(
            f"{self._name}-endpoints",
            security_group_id=group.id,
            description="TLS from inside the VPC",
            cidr_ipv4=self._aws.network.cidr,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            opts=self._child,
        )
        for service in INTERFACE_ENDPOINTS:
            ec2.VpcEndpoint(
                f"{self._name}-{service}",
                vpc_id=self._vpc.id,
                service_name=f"com.amazonaws.{region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.id for subnet in subnets],
                security_group_ids=[group.id],
                tags={"Name": f"{self._aws.name}-{service}"},
                opts=self._child,
            )

    def _flow_log(self, args: NetworkArgs) -> None:
        group = cloudwatch.LogGroup(
            f"{self._name}-flow",
            name=names.log_group(self._aws, "network"),
            retention_in_days=self._aws.network.flow_log_days,
            kms_key_id=args.log_key_arn,
            opts=self._child,
        )
        writer = Role(f"{self._name}-flow", f"{self._aws.name}-flow-log", roles.flow_log(self._aws), args.boundary, self._child)
        ec2.FlowLog(
            f"{self._name}-flow",
            vpc_id=self._vpc.id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=writer.arn,
            max_aggregation_interval=60,
            opts=pulumi.ResourceOptions(parent=self, depends_on=writer.ready),
        )


@dataclass(frozen=True)
class Cut:
    """Networks cut from a VPC's, one of each kind for a zone."""

    private: tuple[str, ...]
    public: tuple[str, ...]


def cut(cidr: str, zones: int) -> Cut:
    """A quarter of the VPC for each private network, and a sixteenth of the last quarter for each public one.

    >>> cut("10.0.0.0/16", 2)
    Cut(private=('10.0.0.0/18', '10.0.64.0/18'), public=('10.0.192.0/22', '10.0.196.0/22'))
    """
    quarters = list(ipaddress.IPv4Network(cidr).subnets(prefixlen_diff=2))
    small = list(quarters[3].subnets(prefixlen_diff=4))
    return Cut(tuple(map(str, quarters[:zones])), tuple(map(str, small[:zones])))
