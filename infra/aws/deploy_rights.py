"""What the role that brings an environment up may do: each right with its reason, bound to the environment's name or tag."""

from __future__ import annotations

from infra.aws import names
from infra.aws.iam import MANAGED, Statement
from infra.aws_config import AwsConfig

ATTACHABLE = (
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
    "AmazonEKSWorkerNodeMinimalPolicy",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "service-role/AmazonEBSCSIDriverPolicy",
    "service-role/AmazonRDSEnhancedMonitoringRole",
)
"""The managed policies that roles of an environment have."""

PASSED_TO = (
    "ec2.amazonaws.com",
    "eks.amazonaws.com",
    "monitoring.rds.amazonaws.com",
    "pods.eks.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
)
LINKED = (
    "autoscaling.amazonaws.com",
    "eks-nodegroup.amazonaws.com",
    "eks.amazonaws.com",
    "elasticloadbalancing.amazonaws.com",
    "rds.amazonaws.com",
)


def deploy_parts(aws: AwsConfig) -> dict[str, list[Statement]]:
    """All rights of the deploy role, by what they are about."""
    return {
        "state": [*_state(aws), *estate(aws), *_keys(aws)],
        "network": [*_network(aws), *_rules(aws)],
        "cluster": [*_cluster(aws), *_nodes(aws), *_images(aws)],
        "roles": _roles(aws),
        "data": [*_data(aws), *_observed(aws)],
    }


def _state(aws: AwsConfig) -> list[Statement]:
    state = f"arn:aws:s3:::{names.state_bucket(aws.account, aws.region)}"
    return [
        Statement(sid="StateBucket", why="Pulumi lists its state", actions=["s3:GetBucketLocation", "s3:ListBucket"], resources=[state]),
        Statement(
            sid="State",
            why="Pulumi keeps state, history and locks there",
            actions=["s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
            resources=[f"{state}/.pulumi/*"],
        ),
        Statement(
            sid="StateKey",
            why="the state and its secrets are encrypted; the key's id is not known beforehand, its alias is",
            actions=["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
            resources=[names.arn(aws, "kms", "key/*")],
            condition={"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{names.STATE_PREFIX}"}},
        ),
    ]


def estate(aws: AwsConfig) -> list[Statement]:
    """Reading the Terraform state that a network comes from, where it lies in S3."""
    state = (aws.network.existing.terraform_state if aws.network.existing else None) or ""
    if not state.startswith("s3://"):
        return []
    why = "the network's ids come from this one Terraform state"
    return [Statement(sid="Estate", why=why, actions=["s3:GetObject"], resources=["arn:aws:s3:::" + state.removeprefix("s3://")])]


def _network(aws: AwsConfig) -> list[Statement]:
    ours = {"StringEquals": {f"aws:ResourceTag/{names.ENVIRONMENT_TAG}": aws.name}}
    statements = [
        Statement(
            sid="LookAround",
            why="EC2's descriptions can't be bound to a resource",
            actions=["ec2:Describe*"],
            condition={"StringEquals": {"aws:RequestedRegion": aws.region}},
        )
    ]
    if aws.network.existing is None:
        statements += [
            Statement(
                sid="MakeNetwork",
                why="what is to be made has no name yet; it must carry the environment's tag, or lie in something that does",
                actions=[*(f"ec2:Create{each}" for each in _EC2_KINDS), "ec2:AllocateAddress"],
                condition={
                    "StringEqualsIfExists": {f"aws:RequestTag/{names.ENVIRONMENT_TAG}": aws.name},
                    "StringEquals": {"aws:RequestedRegion": aws.region},
                },
            ),
            Statement(
                sid="TagNetwork",
                why="EC2 tags while it makes, and only then",
                actions=["ec2:CreateTags"],
                resources=[names.arn(aws, "ec2", "*")],
                condition={"StringEquals": {"aws:RequestedRegion": aws.region}, "Null": {"ec2:CreateAction": "false"}},
            ),
            Statement(
                sid="ChangeNetwork",
                why="EC2's ids are not known beforehand: the environment's tag binds these rights to what is its own",
                actions=[
                    "ec2:AssociateRouteTable",
                    "ec2:AttachInternetGateway",
                    "ec2:AuthorizeSecurityGroupEgress",
                    "ec2:AuthorizeSecurityGroupIngress",
                    "ec2:CreateRoute",
                    "ec2:CreateTags",
                    "ec2:DeleteFlowLogs",
                    "ec2:DeleteInternetGateway",
                    "ec2:DeleteNatGateway",
                    "ec2:DeleteRoute",
                    "ec2:DeleteRouteTable",
                    "ec2:DeleteSecurityGroup",
                    "ec2:DeleteSubnet",
                    "ec2:DeleteTags",
                    "ec2:DeleteVpc",
                    "ec2:DeleteVpcEndpoints",
                    "ec2:DetachInternetGateway",
                    "ec2:DisassociateAddress",
                    "ec2:DisassociateRouteTable",
                    "ec2:ModifySecurityGroupRules",
                    "ec2:ModifySubnetAttribute",
                    "ec2:ModifyVpcAttribute",
                    "ec2:ModifyVpcEndpoint",
                    "ec2:ReleaseAddress",
                    "ec2:ReplaceRoute",
                    "ec2:RevokeSecurityGroupEgress",
                    "ec2:RevokeSecurityGroupIngress",
                    "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
                ],
                resources=[names.arn(aws, "ec2", "*")],
                condition=ours,
            ),
        ]
        if aws.network.endpoints == "all":
            statements.append(
                Statement(
                    sid="EndpointNames",
                    why="an endpoint's private name is a zone of AWS's, joined to the VPC in the name of whoever makes the endpoint",
                    actions=["route53:AssociateVPCWithHostedZone"],
                    resources=["arn:aws:route53:::hostedzone/*", names.arn(aws, "ec2", "vpc/*")],
                )
            )
    else:
        statements.append(
            Statement(
                sid="MakeGroups",
                why="security groups of the database and of the cluster's API; the rest of the network is somebody else's",
                actions=["ec2:CreateSecurityGroup"],
                resources=[names.arn(aws, "ec2", "security-group/*"), names.arn(aws, "ec2", "vpc/*")],
                condition={"StringEqualsIfExists": {f"aws:RequestTag/{names.ENVIRONMENT_TAG}": aws.name}},
            )
        )
        statements.append(
            Statement(
                sid="TagGroups",
                why="EC2 tags groups and rules while it makes them; whoever could tag somebody else's group could change it",
                actions=["ec2:CreateTags"],
                resources=[names.arn(aws, "ec2", "security-group/*"), names.arn(aws, "ec2", "security-group-rule/*")],
                condition={"StringEquals": {"ec2:CreateAction": ["AuthorizeSecurityGroupIngress", "CreateSecurityGroup"]}},
            )
        )
        statements.append(
            Statement(
                sid="ChangeGroup",
                why="security groups of the database and of the cluster's API, by the environment's tag",
                actions=[
                    "ec2:AuthorizeSecurityGroupIngress",
                    "ec2:DeleteSecurityGroup",
                    "ec2:ModifySecurityGroupRules",
                    "ec2:RevokeSecurityGroupIngress",
                ],
                resources=[names.arn(aws, "ec2", "security-group/*"), names.arn(aws, "ec2", "security-group-rule/*")],
                condition=ours,
            )
        )
    return statements


def _rules(aws: AwsConfig) -> list[Statement]:
    return [
        Statement(
            sid="MakeRules",
            why="a rule of a group is tagged while it is made, and has no tag before; its group must have one",
            actions=["ec2:AuthorizeSecurityGroupIngress"],
            resources=[names.arn(aws, "ec2", "security-group-rule/*")],
            condition={"StringEquals": {f"aws:RequestTag/{names.ENVIRONMENT_TAG}": aws.name}},
        )
    ]


def _nodes(aws: AwsConfig) -> list[Statement]:
    """Launch templates of a node group. EKS tries one in the name of whoever makes the group, as if that started the nodes."""
    if aws.cluster.existing is not None or aws.cluster.compute != "node-groups":
        return []
    templates, ours = names.arn(aws, "ec2", "launch-template/*"), f"aws:ResourceTag/{names.ENVIRONMENT_TAG}"
    made = [names.arn(aws, "ec2", f"{kind}/*") for kind in ("instance", "volume", "network-interface")]
    used = [*(names.arn(aws, "ec2", f"{kind}/*") for kind in ("security-group", "subnet")), f"arn:aws:ec2:{aws.region}::image/*"]
    return [
        Statement(
            sid="MakeTemplate",
            why="a template has no name before it is made; it must carry the environment's tag",
            actions=["ec2:CreateLaunchTemplate"],
            resources=[templates],
            condition={"StringEquals": {f"aws:RequestTag/{names.ENVIRONMENT_TAG}": aws.name}},
        ),
        Statement(
            sid="Template",
            why="the node group's launch template, by the environment's tag",
            actions=["ec2:CreateLaunchTemplateVersion", "ec2:DeleteLaunchTemplate", "ec2:RunInstances"],
            resources=[templates],
            condition={"StringEquals": {ours: aws.name}},
        ),
        Statement(
            sid="StartNodes",
            why="EKS tries the template in the name of whoever makes the group; nothing is started without one",
            actions=["ec2:RunInstances"],
            resources=[*made, *used],
            condition={"ArnLike": {"ec2:LaunchTemplate": templates}},
        ),
        Statement(
            sid="TagNodes",
            why="EC2 tags templates and nodes while it makes them, and only then",
            actions=["ec2:CreateTags"],
            resources=[templates, *made],
            condition={"StringEquals": {"ec2:CreateAction": ["CreateLaunchTemplate", "RunInstances"]}},
        ),
    ]


_EC2_KINDS = (
    "FlowLogs",
    "InternetGateway",
    "NatGateway",
    "RouteTable",
    "SecurityGroup",
    "Subnet",
    "Vpc",
    "VpcEndpoint",
)


def _cluster(aws: AwsConfig) -> list[Statement]:
    name = aws.cluster_name
    own = [names.arn(aws, "eks", f"{kind}/{name}{rest}") for kind, rest in _EKS_KINDS]
    look = Statement(
        sid="SeeCluster",
        why="Pulumi asks the one cluster how it is",
        actions=["eks:Describe*", "eks:List*"],
        resources=own,
    )
    change = Statement(
        sid="Cluster",
        why="the one cluster with its access entries, add-ons, nodes and Pod Identity associations",
        actions=[
            "eks:AssociateAccessPolicy",
            "eks:CreateAccessEntry",
            "eks:CreatePodIdentityAssociation",
            "eks:DeleteAccessEntry",
            "eks:DeletePodIdentityAssociation",
            "eks:DisassociateAccessPolicy",
            "eks:TagResource",
            "eks:UntagResource",
            "eks:UpdateAccessEntry",
            "eks:UpdatePodIdentityAssociation",
            *(() if aws.cluster.existing else _EKS_CHANGES),
        ],
        resources=own,
    )
    return [look, change]


_EKS_KINDS = (("cluster", ""), ("access-entry", "/*"), ("addon", "/*"), ("nodegroup", "/*"), ("podidentityassociation", "/*"))
_EKS_CHANGES = (
    "eks:CreateAddon",
    "eks:CreateCluster",
    "eks:CreateNodegroup",
    "eks:DeleteAddon",
    "eks:DeleteCluster",
    "eks:DeleteNodegroup",
    "eks:UpdateAddon",
    "eks:UpdateClusterConfig",
    "eks:UpdateClusterVersion",
    "eks:UpdateNodegroupConfig",
    "eks:UpdateNodegroupVersion",
)


def _roles(aws: AwsConfig) -> list[Statement]:
    own, policies = [names.role_arn(aws, "*")], names.arn(aws, "iam", f"policy/{aws.name}-*", region="")
    bounded = {"StringEquals": {"iam:PermissionsBoundary": boundary_arn(aws)}}
    return [
        Statement(
            sid="SeeRoles",
            why="roles of this environment",
            actions=["iam:Get*", "iam:List*"],
            resources=[*own, policies, names.arn(aws, "iam", "oidc-provider/*", region="")],
        ),
        Statement(
            sid="MakeRoles",
            why="roles of this environment, which can't outgrow its boundary",
            actions=["iam:CreateRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:PutRolePolicy"],
            resources=own,
            condition=bounded,
        ),
        Statement(
            sid="AttachPolicies",
            why="the managed policies that EKS and RDS ask for, and no others",
            actions=["iam:AttachRolePolicy"],
            resources=own,
            condition={**bounded, "ArnEquals": {"iam:PolicyARN": [MANAGED + each for each in ATTACHABLE]}},
        ),
        Statement(
            sid="KeepRoles",
            why="roles of this environment",
            actions=[
                "iam:DeleteRole",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole",
                "iam:UpdateRoleDescription",
            ],
            resources=own,
        ),
        Statement(
            sid="NotItself",
            effect="Deny",
            why="a workflow must not widen its own rights: these two roles and all policies are changed by a person",
            actions=["iam:Attach*", "iam:Create*", "iam:Delete*", "iam:Detach*", "iam:Put*", "iam:Set*", "iam:Update*"],
            resources=[names.role_arn(aws, "deploy"), names.role_arn(aws, "preview"), policies],
        ),
        Statement(
            sid="PassRoles",
            why="services take the roles that are made for them",
            actions=["iam:PassRole"],
            resources=own,
            condition={"StringEquals": {"iam:PassedToService": list(PASSED_TO)}},
        ),
        Statement(
            sid="LinkedRoles",
            why="the first cluster, database or load balancer of an account needs AWS's own roles for it",
            actions=["iam:CreateServiceLinkedRole"],
            resources=[names.arn(aws, "iam", "role/aws-service-role/*", region="")],
            condition={"StringEquals": {"iam:AWSServiceName": list(LINKED)}},
        ),
    ]


def _keys(aws: AwsConfig) -> list[Statement]:
    keys = [names.arn(aws, "kms", "key/*")]
    return [
        Statement(
            sid="MakeKeys",
            why="a key has no name before it is made; it must carry the environment's tag",
            actions=["kms:CreateKey"],
            condition={"StringEquals": {f"aws:RequestTag/{names.ENVIRONMENT_TAG}": aws.name}},
        ),
        Statement(
            sid="TagNewKeys",
            why="a key is tagged while it is made; one that has such a tag or a name already is somebody's",
            actions=["kms:TagResource"],
            resources=keys,
            condition={
                "StringEquals": {f"aws:RequestTag/{names.ENVIRONMENT_TAG}": aws.name},
                "Null": {f"aws:ResourceTag/{names.ENVIRONMENT_TAG}": "true", "kms:ResourceAliases": "true"},
            },
        ),
        Statement(
            sid="Keys",
            why="keys of this environment, by their tag: their ids are not known beforehand",
            actions=[
                "kms:CreateAlias",
                "kms:CreateGrant",
                "kms:Decrypt",
                "kms:DeleteAlias",
                "kms:DescribeKey",
                "kms:EnableKeyRotation",
                "kms:GenerateDataKey",
                "kms:GetKeyPolicy",
                "kms:GetKeyRotationStatus",
                "kms:ListResourceTags",
                "kms:PutKeyPolicy",
                "kms:RetireGrant",
                "kms:ScheduleKeyDeletion",
                "kms:TagResource",
                "kms:UntagResource",
                "kms:UpdateAlias",
                "kms:UpdateKeyDescription",
            ],
            resources=keys,
            condition={"StringEquals": {f"aws:ResourceTag/{names.ENVIRONMENT_TAG}": aws.name}},
        ),
        Statement(
            sid="Aliases",
            why="names of this environment's keys",
            actions=["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"],
            resources=[names.arn(aws, "kms", names.alias(aws, "*"))],
        ),
        Statement(sid="ListAliases", why="KMS lists aliases of the whole account or none", actions=["kms:ListAliases"]),
    ]


def _data(aws: AwsConfig) -> list[Statement]:
    buckets = f"arn:aws:s3:::{aws.name}-*-{aws.account}"
    return [
        Statement(
            sid="Buckets",
            why="buckets of this environment, not what is in them",
            actions=[
                "s3:CreateBucket",
                "s3:DeleteBucket",
                "s3:DeleteBucketPolicy",
                "s3:GetAccelerateConfiguration",
                "s3:GetBucket*",
                "s3:GetEncryptionConfiguration",
                "s3:GetLifecycleConfiguration",
                "s3:GetReplicationConfiguration",
                "s3:ListBucket*",
                "s3:ListTagsForResource",
                "s3:PutBucketLogging",
                "s3:PutBucketObjectLockConfiguration",
                "s3:PutBucketOwnershipControls",
                "s3:PutBucketPolicy",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutBucketTagging",
                "s3:PutBucketVersioning",
                "s3:PutEncryptionConfiguration",
                "s3:PutLifecycleConfiguration",
                "s3:TagResource",
                "s3:UntagResource",
            ],
            resources=[buckets],
        ),
        Statement(
            sid="Database",
            why="the database of this environment, with its subnet and parameter groups, and the option group that RDS gives it",
            actions=[
                "rds:AddTagsToResource",
                "rds:CreateDBInstance",
                "rds:CreateDBParameterGroup",
                "rds:CreateDBSnapshot",
                "rds:CreateDBSubnetGroup",
                "rds:DeleteDBInstance",
                "rds:DeleteDBParameterGroup",
                "rds:DeleteDBSubnetGroup",
                "rds:ListTagsForResource",
                "rds:ModifyDBInstance",
                "rds:ModifyDBParameterGroup",
                "rds:ModifyDBSubnetGroup",
                "rds:RemoveTagsFromResource",
            ],
            resources=[
                names.arn(aws, "rds", f"{kind}:{aws.name}{rest}")
                for kind, rest in (("db", ""), ("pg", "-*"), ("snapshot", "-*"), ("subgrp", "-*"))
            ]
            # RDS asks for every group of an instance, the option group that it has by itself among them.
            + [names.arn(aws, "rds", "og:default:postgres-*")],
        ),
        Statement(sid="SeeDatabases", why="RDS lists databases of the whole account or none", actions=["rds:Describe*"]),
        Statement(
            sid="DatabaseSecret",
            why="RDS makes the secret with the password in the name of whoever makes the database; nobody here reads it",
            actions=["secretsmanager:CreateSecret", "secretsmanager:TagResource"],
            resources=[names.arn(aws, "secretsmanager", "secret:rds!db-*")],
        ),
    ]


def _images(aws: AwsConfig) -> list[Statement]:
    region, account = aws.registry.region or aws.region, aws.registry.account or aws.account
    repositories = [f"arn:aws:ecr:{region}:{account}:repository/mldelivery/*"]
    token = Statement(
        sid="RegistryLogin", why="a login is to the whole registry; rights are by repository", actions=["ecr:GetAuthorizationToken"]
    )
    pull = Statement(
        sid="SeeImages",
        why="whether a release's image is there",
        actions=["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        resources=repositories,
    )
    if not aws.registry.made_here:
        return [token, pull]
    push = Statement(
        sid="Images",
        why="repositories of models, and images of releases",
        actions=[
            "ecr:CompleteLayerUpload",
            "ecr:CreateRepository",
            "ecr:DeleteLifecyclePolicy",
            "ecr:DeleteRepository",
            "ecr:DeleteRepositoryPolicy",
            "ecr:DescribeRepositories",
            "ecr:GetLifecyclePolicy",
            "ecr:GetRepositoryPolicy",
            "ecr:InitiateLayerUpload",
            "ecr:ListTagsForResource",
            "ecr:PutImage",
            "ecr:PutImageScanningConfiguration",
            "ecr:PutImageTagMutability",
            "ecr:PutLifecyclePolicy",
            "ecr:SetRepositoryPolicy",
            "ecr:TagResource",
            "ecr:UntagResource",
            "ecr:UploadLayerPart",
        ],
        resources=repositories,
    )
    return [token, pull, push]


def _observed(aws: AwsConfig) -> list[Statement]:
    groups = [names.arn(aws, "logs", f"log-group:{names.log_group(aws, each)}*") for each in ("cluster", "database", "network")]
    return [
        Statement(
            sid="Logs",
            why="log groups of this environment, not what is in them",
            actions=[
                "logs:AssociateKmsKey",
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:ListTagsForResource",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
                "logs:UntagResource",
            ],
            resources=[*groups, names.arn(aws, "logs", f"log-group:{names.log_group(aws, 'database-upgrade')}*")],
        ),
        Statement(
            sid="FlowLogs",
            why="logs' own lists and deliveries are of the whole account or none",
            actions=["logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups"],
            condition={"StringEquals": {"aws:RequestedRegion": aws.region}},
        ),
        Statement(
            sid="Budget",
            why="the budget of this environment",
            actions=[
                "budgets:ListTagsForResource",
                "budgets:ModifyBudget",
                "budgets:TagResource",
                "budgets:UntagResource",
                "budgets:ViewBudget",
            ],
            resources=[names.arn(aws, "budgets", f"budget/{aws.name}", region="")],
        ),
    ]


def boundary_arn(aws: AwsConfig) -> str:
    """The policy that no role of the environment outgrows."""
    return names.arn(aws, "iam", f"policy/{aws.name}-boundary", region="")
