"""Rules over the network, the cluster and its machines on AWS, and over what every bill must show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy.limits import COST_TAGS, Limits
from policy.resource import UNKNOWN, Finding, Resource, Rule, at, is_made_of, items, unless

CLUSTER = "aws:eks/cluster:Cluster"
NODES = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
INSTANCE = "aws:ec2/instance:Instance"
VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
OLD_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
BALANCERS = ("aws:lb/loadBalancer:LoadBalancer", "aws:alb/loadBalancer:LoadBalancer")

LOG_KINDS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
WORLD = ("0.0.0.0/0", "::/0")
TAGGED = (
    CLUSTER,
    NODES,
    TEMPLATE,
    INSTANCE,
    VPC,
    SUBNET,
    FLOW_LOG,
    GROUP,
    *BALANCERS,
    "aws:cloudwatch/logGroup:LogGroup",
    "aws:dynamodb/table:Table",
    "aws:ebs/volume:Volume",
    "aws:ec2/eip:Eip",
    "aws:ec2/internetGateway:InternetGateway",
    "aws:ec2/natGateway:NatGateway",
    "aws:ec2/routeTable:RouteTable",
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    "aws:ecr/repository:Repository",
    "aws:efs/fileSystem:FileSystem",
    "aws:eks/accessEntry:AccessEntry",
    "aws:eks/addon:Addon",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
    "aws:iam/policy:Policy",
    "aws:iam/role:Role",
    "aws:kms/key:Key",
    "aws:rds/cluster:Cluster",
    "aws:rds/instance:Instance",
    "aws:rds/parameterGroup:ParameterGroup",
    "aws:rds/subnetGroup:SubnetGroup",
    "aws:s3/bucket:Bucket",
    "aws:secretsmanager/secret:Secret",
    "aws:sns/topic:Topic",
    "aws:sqs/queue:Queue",
)
"""What takes tags, of the types that an environment is made of."""


def endpoint_is_private(resource: Resource, limits: Limits) -> Iterator[Finding]:
    """The cluster's API: reached from inside, and from outside by named networks at most."""
    yield from unless(
        resource,
        ("vpcConfig", "endpointPrivateAccess"),
        True,
        what="nodes reach the cluster's API by the internet",
        act="set it to true",
    )
    if at(resource.props, "vpcConfig", "endpointPublicAccess") in (False, UNKNOWN):
        return
    networks = at(resource.props, "vpcConfig", "publicAccessCidrs")
    if networks is UNKNOWN:
        return
    is_open = not networks or any(network in WORLD for network in networks)
    if limits.is_production and is_open:
        yield Finding(
            what="the API of production's cluster is open to the internet",
            at="vpcConfig.publicAccessCidrs",
            got=networks,
            allowed="networks of people who may, or endpointPublicAccess: false",
            act="name them in the stack's file",
        )


def cluster_encrypts_secrets(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Envelope encryption of the cluster's Secrets by a key of the stack."""
    given = at(resource.props, "encryptionConfig")
    if UNKNOWN in (given, at(given, "resources"), *items(at(given, "resources"))):
        return
    if "secrets" not in items(at(given, "resources")) or at(given, "provider", "keyArn") in (None, ""):
        yield Finding(
            what="Secrets of the cluster are not encrypted by a key of the stack",
            at="encryptionConfig",
            got=at(given, "resources"),
            allowed='provider.keyArn, and resources: ["secrets"]',
            act="name the stack's KMS key; it can't be taken back later",
        )


def cluster_writes_logs(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The logs of the control plane, all five kinds."""
    given = resource.props.get("enabledClusterLogTypes")
    missing = [] if UNKNOWN in (given, *items(given)) else [kind for kind in LOG_KINDS if kind not in items(given)]
    if missing:
        yield Finding(
            what=f"the control plane does not log {', '.join(missing)}: after an incident nobody can say who did what",
            at="enabledClusterLogTypes",
            got=given,
            allowed=", ".join(LOG_KINDS),
            act="enable all of them",
        )


def cluster_knows_people_by_entries(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Access by entries, and no administrator who is nowhere written down."""
    path = ("accessConfig", "authenticationMode")
    yield from unless(
        resource, path, "API", what="rights in the cluster come from a ConfigMap in it", act="set it; grant by access entries"
    )
    yield from unless(
        resource,
        ("accessConfig", "bootstrapClusterCreatorAdminPermissions"),
        False,
        what="whoever made the cluster is its administrator for ever, and is listed nowhere",
        act="set it to false, and give an access entry to the role that updates the stack",
    )


def nodes_have_no_way_in(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """SSH to nodes, and the launch template that says how their metadata is read."""
    if at(resource.props, "remoteAccess") not in (None, UNKNOWN):
        yield Finding(
            what="nodes take SSH", at="remoteAccess", got="a key or security groups", allowed="none", act="remove it; use Session Manager"
        )
    if at(resource.props, "launchTemplate") is None:
        yield Finding(
            what="nothing says that nodes refuse IMDSv1",
            at="launchTemplate",
            got=None,
            allowed='a launch template with metadataOptions.httpTokens "required"',
            act="give the node group one",
        )


def metadata_needs_a_token(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Version 2 of the instance metadata service, out of reach of containers."""
    yield from unless(
        resource,
        ("metadataOptions", "httpTokens"),
        "required",
        what="an instance answers IMDSv1: one forged request takes its role",
        act="set it",
    )
    hops = at(resource.props, "metadataOptions", "httpPutResponseHopLimit")
    if hops is not UNKNOWN and float(hops or 1) > 1:
        yield Finding(
            what="containers reach the role of their node",
            at="metadataOptions.httpPutResponseHopLimit",
            got=hops,
            allowed="1",
            act="set it to 1; pods get roles by Pod Identity",
        )


def no_way_in_for_all(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Ingress from the whole internet."""
    if resource.type == OLD_RULE and at(resource.props, "type") not in ("ingress", UNKNOWN):
        return
    rules = items(resource.props.get("ingress")) if resource.type == GROUP else [resource.props]
    for index, rule in enumerate(rules):
        prefix = f"ingress[{index}]." if resource.type == GROUP else ""
        for key in ("cidrBlocks", "ipv6CidrBlocks", "cidrIpv4", "cidrIpv6"):
            for network in items(at(rule, key)):
                if network in WORLD:
                    yield Finding(
                        what="a port is open to the internet",
                        at=f"{prefix}{key}",
                        got=network,
                        allowed="networks or security groups by name",
                        act="name them",
                    )


def balancer_is_internal(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Load balancers that Pulumi makes itself."""
    yield from unless(resource, ("internal",), True, what="a load balancer is open to the internet", act="set it to true")


def subnet_gives_no_public_addresses(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Public addresses by default."""
    yield from unless(
        resource,
        ("mapPublicIpOnLaunch",),
        None,
        False,
        what="machines in this subnet get public addresses by themselves",
        act="remove it",
        words="false",
    )


def vpc_writes_flow_logs(resources: Sequence[Resource], _limits: Limits) -> Iterator[Finding]:
    """A flow log for each VPC."""
    for vpc in resources:
        if vpc.type == VPC and not any(each.type == FLOW_LOG and is_made_of(each, "vpcId", vpc) for each in resources):
            yield Finding(
                what="nobody can say who spoke with whom in this network",
                at="vpcId",
                got=vpc.name,
                allowed="with a FlowLog",
                act="add one",
                urn=vpc.urn,
            )


def has_cost_tags(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The tags by which costs are told apart; the provider's default tags count."""
    tags = [resource.props.get("tags"), resource.props.get("tagsAll"), resource.default_tags]
    if UNKNOWN in tags:
        return
    given = sorted({key for each in tags for key, value in (each or {}).items() if value})
    missing = [tag for tag in COST_TAGS if tag not in given]
    if missing:
        yield Finding(
            what=f"nobody can say what this is for: it has no tag {', '.join(missing)}",
            at="tags",
            got=given,
            allowed=", ".join(COST_TAGS),
            act="use the stack's provider, which adds them",
        )


RULES = (
    Rule(
        name="endpoint-private",
        asks="The cluster's API has a private endpoint; in production its public one is off, or open to named networks only.",
        why="Whoever can't reach it can't use a token that leaked.",
        types=(CLUSTER,),
        check=endpoint_is_private,
        cis="5.4.1, 5.4.2",
    ),
    Rule(
        name="cluster-secrets",
        asks="Secrets of the cluster are encrypted by a key of the stack.",
        why="A copy of the cluster's database shows none of them.",
        types=(CLUSTER,),
        check=cluster_encrypts_secrets,
        cis="5.3.1",
    ),
    Rule(
        name="cluster-logs",
        asks="All five logs of the control plane are on.",
        why="After an incident somebody must be able to say who did what.",
        types=(CLUSTER,),
        check=cluster_writes_logs,
        cis="2.1.1",
    ),
    Rule(
        name="cluster-access",
        asks="Rights in the cluster come from access entries alone.",
        why="They are in the diff; a ConfigMap and the silent administrator are not.",
        types=(CLUSTER,),
        check=cluster_knows_people_by_entries,
        cis="5.5.1",
    ),
    Rule(
        name="nodes-closed",
        asks="Node groups take no SSH, and have a launch template.",
        why="What is done on a node by hand is in no diff.",
        types=(NODES,),
        check=nodes_have_no_way_in,
    ),
    Rule(
        name="no-imdsv1",
        asks="Instances answer IMDSv2 only, and not their containers.",
        why="One forged request to IMDSv1 gives away the role of the machine.",
        types=(TEMPLATE, INSTANCE),
        check=metadata_needs_a_token,
    ),
    Rule(
        name="no-open-port",
        asks="No security group lets the whole internet in.",
        why="Everything here is reached through the gateway, from networks that are named.",
        types=(GROUP, OLD_RULE, INGRESS),
        check=no_way_in_for_all,
        level="mandatory in prod",
        cis="5.4.3",
    ),
    Rule(
        name="balancer-internal",
        asks="Load balancers are internal.",
        why="The same, for what users reach.",
        types=BALANCERS,
        check=balancer_is_internal,
        level="mandatory in prod",
    ),
    Rule(
        name="subnet-private",
        asks="No subnet gives public addresses by itself.",
        why="A machine becomes public by a decision, not by where it was started.",
        types=(SUBNET,),
        check=subnet_gives_no_public_addresses,
        cis="5.4.3",
    ),
    Rule(
        name="flow-logs",
        asks="Every VPC of the stack has a flow log.",
        why="After an incident somebody must be able to say who spoke with whom.",
        check_stack=vpc_writes_flow_logs,
    ),
    Rule(
        name="cost-tags",
        asks=f"Everything that takes tags has {' and '.join(f'`{tag}`' for tag in COST_TAGS)}.",
        why="Without them nobody can say what an environment costs.",
        types=TAGGED,
        check=has_cost_tags,
    ),
)
