"""Roles and policies as plain data with a reason beside each right, and the one component that makes a role of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_aws import iam

VERSION = "2012-10-17"
MANAGED = "arn:aws:iam::aws:policy/"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Some rights, and why they are needed. Where ``resources`` or ``actions`` hold ``*``, ``why`` says why nothing less will do.

    Without ``resources`` the policy is of one resource alone, and may not name any.
    """

    sid: str
    why: str
    actions: Sequence[str]
    resources: Sequence[str] = ("*",)
    condition: Mapping[str, Any] | None = None
    effect: str = "Allow"
    principal: Any = None

    def document(self) -> dict[str, Any]:
        """It as IAM reads it."""
        rest = {"Resource": list(self.resources) or None, "Principal": self.principal, "Condition": self.condition}
        return {
            "Sid": self.sid,
            "Effect": self.effect,
            "Action": sorted(self.actions),
            **{key: dict(value) if isinstance(value, Mapping) else value for key, value in rest.items() if value is not None},
        }


@dataclass(frozen=True, kw_only=True)
class RoleSpec:
    """A role before it is made: who takes it, why there is one, and what it may do, by AWS's managed policies and by statements.

    ``parts`` are statements too, each part a policy of its own: what a role may hold within itself is short. Credentials of the role last
    ``session_seconds`` at most.
    """

    used_by: str
    why: str
    trust: Mapping[str, Any]
    managed: Sequence[str] = ()
    statements: Sequence[Statement] = ()
    parts: Mapping[str, Sequence[Statement]] = field(default_factory=dict)
    session_seconds: int = 3_600

    @property
    def rights(self) -> list[Statement]:
        """All statements."""
        return [*self.statements, *(each for part in self.parts.values() for each in part)]


def policy(statements: Sequence[Statement]) -> str:
    """A policy document as JSON."""
    return json.dumps({"Version": VERSION, "Statement": [statement.document() for statement in statements]})


def service_trust(service: str, *actions: str, condition: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Trust in one service of AWS."""
    return _trust({"Service": service}, actions or ("sts:AssumeRole",), condition)


def pod_trust(account: str, cluster_arn: str) -> dict[str, Any]:
    """Trust in EKS Pod Identity, for pods of one cluster alone."""
    condition = {"StringEquals": {"aws:SourceAccount": account}, "ArnEquals": {"aws:SourceArn": cluster_arn}}
    return _trust({"Service": "pods.eks.amazonaws.com"}, ("sts:AssumeRole", "sts:TagSession"), condition)


def github_trust(provider_arn: str, *subjects: str) -> dict[str, Any]:
    """Trust in GitHub's workflows, for these ``subjects`` alone, such as ``repo:owner/name:environment:prod``."""
    condition = {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": list(subjects),
        }
    }
    return _trust({"Federated": provider_arn}, ("sts:AssumeRoleWithWebIdentity",), condition)


class Role(pulumi.ComponentResource):
    """One role with the rights of its spec."""

    def __init__(
        self, name: str, full_name: str, spec: RoleSpec, boundary: pulumi.Input[str] | None, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mldelivery:aws:Role", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = iam.Role(
            name,
            name=full_name,
            description=spec.why[:1000],
            assume_role_policy=json.dumps(spec.trust),
            permissions_boundary=boundary,
            max_session_duration=spec.session_seconds,
            opts=child,
        )
        made: list[pulumi.Resource] = [
            iam.RolePolicyAttachment(f"{name}-{each.rpartition('/')[2]}", role=role.name, policy_arn=MANAGED + each, opts=child)
            for each in spec.managed
        ]
        if spec.statements:
            made.append(iam.RolePolicy(name, role=role.name, name="rights", policy=policy(spec.statements), opts=child))
        for part, statements in spec.parts.items():
            rights = iam.Policy(
                f"{name}-{part}",
                name=f"{full_name}-{part}",
                description=f"{spec.why}: {part}"[:1000],
                policy=policy(statements),
                opts=child,
            )
            made.append(iam.RolePolicyAttachment(f"{name}-{part}", role=role.name, policy_arn=rights.arn, opts=child))
        self.arn: pulumi.Output[str] = role.arn
        # Whoever uses the role needs its rights as well: an ARN that has none yet fails at first.
        self.ready: list[pulumi.Resource] = [role, *made]
        self.register_outputs({"arn": role.arn})


def _trust(principal: Any, actions: Sequence[str], condition: Mapping[str, Any] | None) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": principal, "Action": list(actions)}
    return {"Version": VERSION, "Statement": [{**statement, **({"Condition": dict(condition)} if condition else {})}]}
