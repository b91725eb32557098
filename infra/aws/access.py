"""Who may do what to an environment: GitHub's workflows without long-lived keys, and people and workflows in the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import eks, iam

from infra.aws import roles
from infra.aws.iam import Role, policy
from infra.aws_config import AwsConfig

ACCESS_POLICY = "arn:aws:eks::aws:cluster-access-policy/"


class Boundary(pulumi.ComponentResource):
    """The policy that no role of the environment outgrows; made first, as every role names it. ``arn`` is known with it."""

    def __init__(self, name: str, aws: AwsConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:Boundary", name, None, opts)
        made = iam.Policy(
            name,
            name=f"{aws.name}-boundary",
            description="The widest that a role of this environment can be",
            policy=policy(roles.boundary(aws)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn: pulumi.Output[str] = made.arn
        self.register_outputs({"arn": made.arn})


class Workflows(pulumi.ComponentResource):
    """What GitHub's workflows log in as: ``preview`` reads, ``deploy`` changes this environment. Both are changed by a person alone."""

    def __init__(self, name: str, aws: AwsConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:Workflows", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        if aws.access.oidc_provider == "made-here":
            iam.OpenIdConnectProvider(name, url=f"https://{roles.OIDC_HOST}", client_id_lists=["sts.amazonaws.com"], opts=child)
        self.preview = Role(f"{name}-preview", f"{aws.name}-preview", roles.preview(aws), None, child)
        self.deploy = Role(f"{name}-deploy", f"{aws.name}-deploy", roles.deploy(aws), None, child)
        self.register_outputs({"preview": self.preview.arn, "deploy": self.deploy.arn})


@dataclass(frozen=True, kw_only=True)
class ClusterAccessArgs:
    """The environment's config, its cluster, the roles of its workflows, and the namespaces that a preview looks into."""

    aws: AwsConfig
    cluster: pulumi.Input[str]
    workflows: Workflows
    namespaces: Sequence[str]


class ClusterAccess(pulumi.ComponentResource):
    """EKS access entries: people and the deploy role administer the cluster, the preview role reads the stack's namespaces."""

    def __init__(self, name: str, args: ClusterAccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:ClusterAccess", name, None, opts)
        self._name, self._cluster = name, args.cluster
        for number, principal in enumerate(args.aws.cluster.admins):
            self._entry(f"admin-{number}", principal, "AmazonEKSClusterAdminPolicy")
        self._entry("deploy", args.workflows.deploy.arn, "AmazonEKSClusterAdminPolicy")
        self._entry("preview", args.workflows.preview.arn, "AmazonEKSAdminViewPolicy", args.namespaces)
        self.register_outputs({})

    def _entry(self, who: str, principal: pulumi.Input[str], rights: str, namespaces: Sequence[str] = ()) -> None:
        entry = eks.AccessEntry(
            f"{self._name}-{who}",
            cluster_name=self._cluster,
            principal_arn=principal,
            type="STANDARD",
            opts=pulumi.ResourceOptions(parent=self),
        )
        eks.AccessPolicyAssociation(
            f"{self._name}-{who}",
            cluster_name=self._cluster,
            principal_arn=entry.principal_arn,
            policy_arn=ACCESS_POLICY + rights,
            access_scope={"type": "namespace", "namespaces": list(namespaces)} if namespaces else {"type": "cluster"},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[entry]),
        )


@dataclass(frozen=True, kw_only=True)
class WorkloadRolesArgs:
    """The environment's config, its cluster, the namespace of MLflow's pods, and the boundary of roles."""

    aws: AwsConfig
    cluster: pulumi.Input[str]
    tracking_namespace: str
    boundary: pulumi.Input[str]


class WorkloadRoles(pulumi.ComponentResource):
    """What pods may do on AWS, by EKS Pod Identity: MLflow's alone. Model servers have no rights at all."""

    def __init__(self, name: str, args: WorkloadRolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:WorkloadRoles", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        tracking = Role(f"{name}-tracking", f"{args.aws.name}-tracking", roles.tracking(args.aws), args.boundary, child)
        eks.PodIdentityAssociation(
            f"{name}-tracking",
            cluster_name=args.cluster,
            namespace=args.tracking_namespace,
            service_account=roles.TRACKING_ACCOUNT,
            role_arn=tracking.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=tracking.ready),
        )
        self.register_outputs({"tracking": tracking.arn})
