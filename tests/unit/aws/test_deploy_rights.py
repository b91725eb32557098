"""What the deploy role may do, asked as AWS asks: an action on a resource, with the tags that are there and those that are asked for."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from infra.aws.deploy_rights import deploy_parts
from infra.aws.iam import Statement
from tests.unit.aws.declared import config_of

OURS = "mldelivery-prod"
PRE = "arn:aws:{}:eu-central-1:111122223333:{}"
REGION = {"aws:RequestedRegion": "eu-central-1"}
NEW = {**REGION, "aws:RequestTag/environment": OURS}
OWN = {**REGION, "aws:ResourceTag/environment": OURS}
THEIRS = {**REGION, "aws:ResourceTag/environment": "somebody-else"}
EXISTING = {"existing": {"vpc-id": "vpc-1f", "private-subnet-ids": ["subnet-1a", "subnet-1b"]}}
IN_THEIRS = {"network": EXISTING, "cluster": {"private-cidrs": ["10.0.0.0/8"]}}
NODES = {"cluster": {"compute": "node-groups"}}
NODES_IN_THEIRS = {"network": EXISTING, "cluster": {"compute": "node-groups", "private-cidrs": ["10.0.0.0/8"]}}


def rights(**changes: Any) -> list[Statement]:
    aws = config_of("prod", aws=changes).aws
    assert aws is not None
    return [each for part in deploy_parts(aws).values() for each in part]


def may(statements: Sequence[Statement], action: str, resource: str, context: Mapping[str, Any]) -> bool:
    """As IAM decides: one statement that allows it, and none that refuses it."""
    fits = [
        each.effect
        for each in statements
        if any(fnmatch.fnmatchcase(action, wanted) for wanted in each.actions)
        and any(fnmatch.fnmatchcase(resource, wanted) for wanted in each.resources)
        and all(holds(operator, keys, context) for operator, keys in (each.condition or {}).items())
    ]
    return "Allow" in fits and "Deny" not in fits


def holds(operator: str, keys: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    for key, wanted in keys.items():
        given = context.get(key)
        allowed = [wanted] if isinstance(wanted, str) else list(wanted)
        if operator == "Null":
            fits = (given is None) == (wanted == "true")
        elif operator == "StringEqualsIfExists":
            fits = given is None or given in allowed
        elif operator in ("StringEquals", "ArnEquals", "ForAnyValue:StringEquals"):
            fits = given in allowed
        elif operator == "ArnLike":
            fits = given is not None and any(fnmatch.fnmatchcase(given, each) for each in allowed)
        else:
            raise AssertionError(operator)
        if not fits:
            return False
    return True


@pytest.mark.parametrize(
    ("changes", "action", "resource", "context"),
    [
        ({}, "kms:CreateKey", "*", NEW),
        # KMS asks for this, too, before there is a key that could have a tag.
        ({}, "kms:TagResource", PRE.format("kms", "key/1"), NEW),
        ({}, "kms:RetireGrant", PRE.format("kms", "key/1"), OWN),
        # RDS asks for each group of an instance, the option group that nobody chose among them.
        ({}, "rds:CreateDBInstance", PRE.format("rds", "og:default:postgres-17"), REGION),
        ({}, "rds:ModifyDBInstance", PRE.format("rds", "og:default:postgres-17"), REGION),
        ({}, "ec2:AuthorizeSecurityGroupIngress", PRE.format("ec2", "security-group/sg-1"), OWN),
        # A rule is tagged while it is made: it has no tag yet.
        ({}, "ec2:AuthorizeSecurityGroupIngress", PRE.format("ec2", "security-group-rule/*"), NEW),
        (IN_THEIRS, "ec2:AuthorizeSecurityGroupIngress", PRE.format("ec2", "security-group-rule/*"), NEW),
        (IN_THEIRS, "ec2:CreateSecurityGroup", PRE.format("ec2", "vpc/vpc-1f"), REGION),
        (IN_THEIRS, "ec2:CreateTags", PRE.format("ec2", "security-group/sg-1"), {**NEW, "ec2:CreateAction": "CreateSecurityGroup"}),
        # An interface endpoint with a private name joins a zone of AWS's to the VPC, in the name of whoever makes it.
        ({}, "route53:AssociateVPCWithHostedZone", "arn:aws:route53:::hostedzone/Z1", REGION),
        # EKS tries a node group's launch template in the name of whoever makes the group.
        *(
            (changes, action, PRE.format("ec2", resource), context)
            for changes in (NODES, NODES_IN_THEIRS)
            for action, resource, context in (
                ("ec2:CreateLaunchTemplate", "launch-template/*", NEW),
                ("ec2:CreateLaunchTemplateVersion", "launch-template/lt-1", OWN),
                ("ec2:RunInstances", "launch-template/lt-1", OWN),
                ("ec2:RunInstances", "instance/*", {**NEW, "ec2:LaunchTemplate": PRE.format("ec2", "launch-template/lt-1")}),
                ("ec2:CreateTags", "instance/i-1", {**NEW, "ec2:CreateAction": "RunInstances"}),
            )
        ),
        ({}, "iam:UpdateRoleDescription", "arn:aws:iam::111122223333:role/mldelivery-prod-tracking", {}),
        ({}, "s3:TagResource", "arn:aws:s3:::mldelivery-prod-artifacts-111122223333", {}),
        ({}, "s3:ListTagsForResource", "arn:aws:s3:::mldelivery-prod-artifacts-111122223333", {}),
        ({}, "budgets:UntagResource", "arn:aws:budgets::111122223333:budget/mldelivery-prod", {}),
    ],
)
def test_what_an_update_asks_of_aws_is_allowed(changes: dict[str, Any], action: str, resource: str, context: dict[str, Any]) -> None:
    assert may(rights(**changes), action, resource, context)


@pytest.mark.parametrize(
    ("changes", "action", "resource", "context"),
    [
        # Whoever may give the environment's tag to what is somebody else's has made it the environment's own.
        ({}, "kms:TagResource", PRE.format("kms", "key/1"), {**NEW, **THEIRS}),
        ({}, "kms:TagResource", PRE.format("kms", "key/1"), {**NEW, "kms:ResourceAliases": "alias/theirs"}),
        ({}, "kms:Decrypt", PRE.format("kms", "key/1"), THEIRS),
        (IN_THEIRS, "ec2:CreateTags", PRE.format("ec2", "security-group/sg-1"), NEW),
        (IN_THEIRS, "ec2:CreateTags", PRE.format("ec2", "vpc/vpc-1f"), NEW),
        (IN_THEIRS, "ec2:AuthorizeSecurityGroupIngress", PRE.format("ec2", "security-group/sg-1"), THEIRS),
        ({}, "ec2:CreateTags", PRE.format("ec2", "security-group/sg-1"), {**NEW, **THEIRS}),
        # Nodes come from a template of the environment's own, or not at all.
        (NODES, "ec2:RunInstances", PRE.format("ec2", "instance/*"), NEW),
        (NODES, "ec2:RunInstances", PRE.format("ec2", "launch-template/lt-1"), THEIRS),
        ({}, "ec2:RunInstances", PRE.format("ec2", "instance/*"), {**NEW, "ec2:LaunchTemplate": PRE.format("ec2", "launch-template/lt-1")}),
        ({}, "rds:ModifyDBInstance", PRE.format("rds", "db:theirs"), REGION),
        ({}, "iam:UpdateRoleDescription", "arn:aws:iam::111122223333:role/mldelivery-prod-deploy", {}),
    ],
)
def test_what_is_not_the_environments_own_is_refused(changes: dict[str, Any], action: str, resource: str, context: dict[str, Any]) -> None:
    assert not may(rights(**changes), action, resource, context)
