"""The environment's own keys in KMS, rotated each year."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_aws import kms

from infra.aws import names
from infra.aws.iam import Statement, policy
from infra.aws_config import AwsConfig


@dataclass(frozen=True, kw_only=True)
class KeyArgs:
    """What the key is for (part of its alias), and whether CloudWatch Logs encrypts with it."""

    aws: AwsConfig
    purpose: str
    description: str
    for_logs: bool = False


class Key(pulumi.ComponentResource):
    """A customer managed key with an alias, by which policies name it. ``arn`` is the key's."""

    def __init__(self, name: str, args: KeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:Key", name, None, opts)
        child = pulumi.ResourceOptions(parent=self, protect=args.aws.protect)
        key = kms.Key(
            name,
            description=args.description,
            enable_key_rotation=True,
            deletion_window_in_days=30 if args.aws.protect else 7,
            policy=policy(key_statements(args.aws, for_logs=args.for_logs)),
            opts=child,
        )
        label = kms.Alias(
            name, name=names.alias(args.aws, args.purpose), target_key_id=key.key_id, opts=pulumi.ResourceOptions(parent=self)
        )
        self.arn: pulumi.Output[str] = pulumi.Output.all(key.arn, label.arn).apply(lambda both: str(both[0]))
        self.register_outputs({"arn": key.arn})


class Keys(pulumi.ComponentResource):
    """One key for what is lost when it is lost (``data``), one for the cluster's ``secrets``, one for ``logs``: the ARNs."""

    def __init__(self, name: str, aws: AwsConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:Keys", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.data = Key(f"{name}-data", KeyArgs(aws=aws, purpose="data", description="Buckets, database, images"), child).arn
        self.secrets = Key(f"{name}-secrets", KeyArgs(aws=aws, purpose="secrets", description="Secrets of the cluster"), child).arn
        self.logs = Key(f"{name}-logs", KeyArgs(aws=aws, purpose="logs", description="Log groups", for_logs=True), child).arn
        self.register_outputs({})


def key_statements(aws: AwsConfig, *, for_logs: bool) -> list[Statement]:
    """Who may use a key: whom IAM allows, and CloudWatch Logs for the log groups of this account."""
    # In a key's policy, * means this key.
    statements = [
        Statement(
            sid="Account",
            why="IAM decides who may use the key; without it, a key whose administrators are gone can't be had back (* is this key alone)",
            actions=["kms:*"],
            principal={"AWS": f"arn:aws:iam::{aws.account}:root"},
        )
    ]
    if for_logs:
        statements.append(
            Statement(
                sid="Logs",
                why="CloudWatch Logs encrypts log groups of this account (* is this key alone)",
                actions=["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
                principal={"Service": f"logs.{aws.region}.amazonaws.com"},
                condition={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": names.arn(aws, "logs", "log-group:*")}},
            )
        )
    return statements
