"""Every role of an environment as plain data: who takes it, what it may do, and why. ``infra.aws.reference`` writes the page of it."""

from __future__ import annotations

from infra.aws import names
from infra.aws.deploy_rights import deploy_parts, estate
from infra.aws.iam import RoleSpec, Statement, github_trust, pod_trust, service_trust
from infra.aws_config import AwsConfig

OIDC_HOST = "token.actions.githubusercontent.com"
TRACKING_ACCOUNT = "mlflow"
TRACKING_NAMESPACE = "mldelivery-tracking"
"""The Kubernetes ServiceAccount that MLflow's pods run as (its image is called so, too), and its namespace where config names no other."""


def all_roles(aws: AwsConfig) -> dict[str, RoleSpec]:
    """The roles that this config makes, by the last part of their names."""
    found = {"preview": preview(aws), "deploy": deploy(aws)}
    if aws.network.existing is None:
        found["flow-log"] = flow_log(aws)
    if aws.cluster.existing is None and aws.cluster.compute != "elsewhere":
        found["cluster"] = cluster(aws)
        found["node"] = node(aws)
        if aws.cluster.compute == "node-groups":
            found |= {"cni": cni(aws), "ebs-csi": ebs_csi(aws)}
    if aws.cluster.compute != "elsewhere":
        found["tracking"] = tracking(aws)
    return {**found, "database-monitoring": database_monitoring(aws)}


def cluster(aws: AwsConfig) -> RoleSpec:
    """The EKS control plane."""
    auto = (
        "AmazonEKSComputePolicy",
        "AmazonEKSBlockStoragePolicy",
        "AmazonEKSLoadBalancingPolicy",
        "AmazonEKSNetworkingPolicy",
    )
    is_auto = aws.cluster.compute == "auto"
    return RoleSpec(
        used_by="EKS's control plane",
        why="EKS runs the cluster; with Auto Mode it starts nodes, disks and load balancers, too",
        trust=service_trust("eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession"),
        managed=("AmazonEKSClusterPolicy", *(auto if is_auto else ())),
    )


def node(aws: AwsConfig) -> RoleSpec:
    """Machines of the cluster."""
    worker = "AmazonEKSWorkerNodeMinimalPolicy" if aws.cluster.compute == "auto" else "AmazonEKSWorkerNodePolicy"
    return RoleSpec(
        used_by="nodes of the cluster",
        why="a node joins the cluster and pulls images, and does nothing else; pods have roles of their own",
        trust=service_trust("ec2.amazonaws.com"),
        managed=(worker, "AmazonEC2ContainerRegistryPullOnly"),
    )


def cni(aws: AwsConfig) -> RoleSpec:
    """Pods of the network add-on, where nodes are a node group's."""
    return RoleSpec(
        used_by="pods of the add-on vpc-cni",
        why="gives pods addresses of the VPC",
        trust=pod_trust(aws.account, cluster_arn(aws)),
        managed=("AmazonEKS_CNI_Policy",),
    )


def ebs_csi(aws: AwsConfig) -> RoleSpec:
    """Pods of the disk add-on, where nodes are a node group's."""
    return RoleSpec(
        used_by="pods of the add-on aws-ebs-csi-driver",
        why="makes the disks that pods ask for, such as Prometheus'",
        trust=pod_trust(aws.account, cluster_arn(aws)),
        managed=("service-role/AmazonEBSCSIDriverPolicy",),
    )


def flow_log(aws: AwsConfig) -> RoleSpec:
    """The VPC's flow log."""
    group = names.arn(aws, "logs", f"log-group:{names.log_group(aws, 'network')}")
    return RoleSpec(
        used_by="the VPC's flow log",
        why="records every connection",
        trust=service_trust("vpc-flow-logs.amazonaws.com", condition={"StringEquals": {"aws:SourceAccount": aws.account}}),
        statements=[
            Statement(
                sid="Write",
                why="the one log group of the flow log",
                actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                resources=[group, f"{group}:*"],
            )
        ],
    )


def database_monitoring(aws: AwsConfig) -> RoleSpec:
    """RDS's enhanced monitoring."""
    return RoleSpec(
        used_by="RDS",
        why="writes what the database's machine does, each minute, into CloudWatch",
        trust=service_trust(
            "monitoring.rds.amazonaws.com",
            condition={"StringEquals": {"aws:SourceAccount": aws.account}, "ArnLike": {"aws:SourceArn": names.arn(aws, "rds", "db:*")}},
        ),
        managed=("service-role/AmazonRDSEnhancedMonitoringRole",),
    )


def tracking(aws: AwsConfig) -> RoleSpec:
    """MLflow's pods."""
    bucket = names.bucket_arn(aws, "artifacts")
    database = names.arn(aws, "rds", f"db:{aws.name}")
    return RoleSpec(
        used_by=f"pods of the ServiceAccount {TRACKING_ACCOUNT}",
        why="MLflow keeps artifacts in one bucket, and its database's password lies in one secret",
        trust=pod_trust(aws.account, cluster_arn(aws)),
        statements=[
            Statement(sid="List", why="its own bucket", actions=["s3:GetBucketLocation", "s3:ListBucket"], resources=[bucket]),
            Statement(
                sid="Artifacts",
                why="artifacts of its own bucket",
                actions=["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
                resources=[f"{bucket}/*"],
            ),
            use_of_key(aws, "data", "artifacts and the secret are encrypted with this key"),
            Statement(
                sid="Password",
                why="the one secret that RDS manages for this database; its name is RDS's choice, its tag names the database",
                actions=["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
                resources=[names.arn(aws, "secretsmanager", "secret:rds!db-*")],
                condition={"StringEquals": {"aws:ResourceTag/aws:rds:primaryDBInstanceArn": database}},
            ),
        ],
    )


def preview(aws: AwsConfig) -> RoleSpec:
    """GitHub's workflows of pull requests."""
    state = f"arn:aws:s3:::{names.state_bucket(aws.account, aws.region)}"
    statements = [
        Statement(sid="StateList", why="a preview compares with the state", actions=["s3:ListBucket"], resources=[state]),
        Statement(sid="State", why="a preview compares with the state", actions=["s3:GetObject"], resources=[f"{state}/.pulumi/*"]),
        Statement(
            sid="StateKey",
            why="the state is encrypted; the key's id is not known beforehand, its alias is",
            actions=["kms:Decrypt"],
            resources=[names.arn(aws, "kms", "key/*")],
            condition={"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{names.STATE_PREFIX}"}},
        ),
        Statement(
            sid="Cluster",
            why="a preview asks the cluster what it has",
            actions=["eks:DescribeCluster"],
            resources=[cluster_arn(aws)],
        ),
    ]
    return RoleSpec(
        used_by="GitHub's workflows, for pull requests and what was merged",
        why="previews: reads the state and the cluster's objects, and changes nothing",
        trust=github_trust(
            oidc_arn(aws), f"repo:{aws.access.repository}:pull_request", f"repo:{aws.access.repository}:ref:refs/heads/main"
        ),
        statements=[*statements, *estate(aws)],
    )


def deploy(aws: AwsConfig) -> RoleSpec:
    """GitHub's workflow that brings this environment up."""
    return RoleSpec(
        used_by=f"GitHub's workflows, in the GitHub environment {aws.access.environment}",
        why="brings this environment up, and no other; what it makes carries the environment's name or tag",
        trust=github_trust(oidc_arn(aws), f"repo:{aws.access.repository}:environment:{aws.access.environment}"),
        parts=deploy_parts(aws),
        # An update ends when its rollouts have; with credentials that end before, it is left half-way, under a stale lock.
        session_seconds=2 * 3_600,
    )


def boundary(aws: AwsConfig) -> list[Statement]:
    """What no role of the environment can do, whatever its policies say: widen rights. Every role that the deploy role makes has it."""
    return [
        Statement(
            sid="Services",
            why="a boundary grants nothing: it is the widest that a role's own policies could ever say",
            actions=[
                "autoscaling:*",
                "cloudwatch:PutMetricData",
                "ec2:*",
                "ecr:*",
                "eks:*",
                "eks-auth:AssumeRoleForPodIdentity",
                "elasticloadbalancing:*",
                "iam:CreateServiceLinkedRole",
                "iam:GetInstanceProfile",
                "kms:*",
                "logs:*",
                "s3:*",
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "sts:GetCallerIdentity",
                "tag:*",
            ],
        ),
        Statement(
            sid="InstanceProfiles",
            why="EKS Auto Mode makes profiles for its nodes, and hands them the node role",
            actions=[
                "iam:AddRoleToInstanceProfile",
                "iam:CreateInstanceProfile",
                "iam:DeleteInstanceProfile",
                "iam:RemoveRoleFromInstanceProfile",
                "iam:TagInstanceProfile",
            ],
            resources=[names.arn(aws, "iam", "instance-profile/eks*", region="")],
        ),
        Statement(
            sid="NodeRole",
            why="EKS starts nodes as the node role",
            actions=["iam:GetRole", "iam:PassRole"],
            resources=[names.role_arn(aws, "node")],
        ),
    ]


def use_of_key(aws: AwsConfig, purpose: str, why: str) -> Statement:
    """Encrypt and decrypt with one key, named by its alias: its id is not known beforehand."""
    return Statement(
        sid="Key",
        why=why,
        actions=["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
        resources=[names.arn(aws, "kms", "key/*")],
        condition={"ForAnyValue:StringEquals": {"kms:ResourceAliases": names.alias(aws, purpose)}},
    )


def cluster_arn(aws: AwsConfig) -> str:
    """The EKS cluster's ARN."""
    return names.arn(aws, "eks", f"cluster/{aws.cluster_name}")


def oidc_arn(aws: AwsConfig) -> str:
    """GitHub's identity provider in this account."""
    return names.arn(aws, "iam", f"oidc-provider/{OIDC_HOST}", region="")
