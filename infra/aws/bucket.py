"""One S3 bucket: encrypted, versioned, closed to the public, for TLS alone, with an end to what nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import s3

from infra.aws.iam import Statement, policy

ABORT_DAYS = 7
"""So long an upload may be left half-done before S3 forgets it."""


@dataclass(frozen=True, kw_only=True)
class BucketArgs:
    """Names are full; without ``key_arn`` S3's own key encrypts; ``log_bucket`` gets the records of who read it.

    ``expire_days`` ends objects, ``noncurrent_days`` what was overwritten or deleted, and ``lock_days`` keeps versions from being deleted.
    """

    name: str
    protect: bool
    key_arn: pulumi.Input[str] | None
    log_bucket: pulumi.Input[str] | None
    noncurrent_days: int
    expire_days: int | None = None
    lock_days: int | None = None
    also: Sequence[Statement] = ()


class Bucket(pulumi.ComponentResource):
    """A bucket with everything around it. ``bucket`` and ``arn`` are known once it is closed."""

    def __init__(self, name: str, args: BucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:Bucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        made = s3.Bucket(
            name,
            bucket=args.name,
            force_destroy=not args.protect,
            object_lock_enabled=args.lock_days is not None,
            tags={"Name": args.name},
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        closed = s3.BucketPublicAccessBlock(
            name,
            bucket=made.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        s3.BucketOwnershipControls(name, bucket=made.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child)
        versioned = s3.BucketVersioning(name, bucket=made.id, versioning_configuration={"status": "Enabled"}, opts=child)
        s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=made.id,
            rules=[_encryption(args)],
            opts=child,
        )
        after_version = pulumi.ResourceOptions(parent=self, depends_on=[versioned])
        s3.BucketLifecycleConfiguration(name, bucket=made.id, rules=[_lifecycle(args)], opts=after_version)
        # S3 refuses a policy while it changes what is public.
        s3.BucketPolicy(
            name,
            bucket=made.id,
            policy=policy([*tls_only(args.name), *args.also]),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[closed]),
        )
        if args.log_bucket is not None:
            s3.BucketLogging(name, bucket=made.id, target_bucket=args.log_bucket, target_prefix=f"{args.name}/", opts=child)
        if args.lock_days is not None:
            # Governance: nobody deletes a version before its time but by a right of its own, which no role here has.
            s3.BucketObjectLockConfiguration(
                name, bucket=made.id, rule={"default_retention": {"mode": "GOVERNANCE", "days": args.lock_days}}, opts=after_version
            )
        self.bucket: pulumi.Output[str] = made.id
        self.arn: pulumi.Output[str] = made.arn
        self.register_outputs({"bucket": made.id})


def tls_only(bucket: str) -> list[Statement]:
    """Refusals of a bucket's policy: no plain HTTP, and no TLS that is broken by now."""
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    everyone = {"AWS": "*"}
    return [
        Statement(
            sid="TlsOnly",
            effect="Deny",
            why="a refusal covers everybody and everything",
            actions=["s3:*"],
            resources=resources,
            principal=everyone,
            condition={"Bool": {"aws:SecureTransport": "false"}},
        ),
        Statement(
            sid="ModernTls",
            effect="Deny",
            why="a refusal covers everybody and everything",
            actions=["s3:*"],
            resources=resources,
            principal=everyone,
            condition={"NumericLessThan": {"s3:TlsVersion": "1.2"}},
        ),
    ]


def _encryption(args: BucketArgs) -> s3.BucketServerSideEncryptionConfigurationRuleArgs:
    default = s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
        sse_algorithm="AES256" if args.key_arn is None else "aws:kms", kms_master_key_id=args.key_arn
    )
    return s3.BucketServerSideEncryptionConfigurationRuleArgs(
        apply_server_side_encryption_by_default=default, bucket_key_enabled=args.key_arn is not None
    )


def _lifecycle(args: BucketArgs) -> s3.BucketLifecycleConfigurationRuleArgsDict:
    rule: s3.BucketLifecycleConfigurationRuleArgsDict = {
        "id": "ends",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "abort_incomplete_multipart_upload": {"days_after_initiation": ABORT_DAYS},
        "noncurrent_version_expiration": {"noncurrent_days": args.noncurrent_days},
    }
    if args.expire_days is not None:
        rule["expiration"] = {"days": args.expire_days}
    return rule
