"""The buckets of an environment: artifacts, snapshots, request logs and releases, and the one that says who read them."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.aws import names
from infra.aws.bucket import Bucket, BucketArgs
from infra.aws.iam import Statement
from infra.aws_config import AwsConfig


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    """The environment's config, and the key of its data."""

    aws: AwsConfig
    key_arn: pulumi.Input[str]


class Storage(pulumi.ComponentResource):
    """Four buckets by purpose (``names.BUCKETS``), each in ``buckets``, and a fifth for their access logs."""

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:Storage", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        aws, config = args.aws, args.aws.storage
        logs = Bucket(
            f"{name}-access-logs",
            BucketArgs(
                name=names.bucket(aws, "access-logs"),
                protect=aws.protect,
                # S3 can't deliver its access logs to a bucket with a key of ours.
                key_arn=None,
                log_bucket=None,
                noncurrent_days=config.noncurrent_days,
                expire_days=config.access_log_days,
                also=[delivery(aws)],
            ),
            child,
        )
        # S3 asks whether it may write there before it takes the order.
        after = pulumi.ResourceOptions(parent=self, depends_on=[logs])
        ends = {"requests": config.request_days}
        locks = {"releases": config.release_lock_days}
        self.buckets: dict[str, Bucket] = {
            purpose: Bucket(
                f"{name}-{purpose}",
                BucketArgs(
                    name=names.bucket(aws, purpose),
                    protect=aws.protect,
                    key_arn=args.key_arn,
                    log_bucket=logs.bucket,
                    noncurrent_days=config.noncurrent_days,
                    expire_days=ends.get(purpose),
                    lock_days=locks.get(purpose),
                ),
                after,
            )
            for purpose in names.BUCKETS
        }
        self.register_outputs({purpose: bucket.bucket for purpose, bucket in self.buckets.items()})


def delivery(aws: AwsConfig) -> Statement:
    """S3 may write its access logs, of this account's buckets alone."""
    return Statement(
        sid="AccessLogs",
        why="S3 writes who read the environment's buckets",
        actions=["s3:PutObject"],
        resources=[f"{names.bucket_arn(aws, 'access-logs')}/*"],
        principal={"Service": "logging.s3.amazonaws.com"},
        condition={
            "StringEquals": {"aws:SourceAccount": aws.account},
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{aws.name}-*"},
        },
    )
