"""``python -m infra.aws.bootstrap STACK``: makes what must be there before Pulumi: the bucket of its state, and the key that encrypts it.

Once for an account and region, whose stacks share them. Every step may be repeated: what is there is brought in line and never replaced.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from infra.aws import names
from infra.aws.bucket import tls_only
from infra.aws.iam import policy
from infra.aws_config import AwsConfig
from infra.config import file_name, load
from infra.errors import ConfigError, DeliveryError, PlatformError

ROOT = Path(__file__).resolve().parents[2]
ALIAS = f"alias/{names.STATE_PREFIX}"
OLD_VERSIONS_DAYS = 365


def bootstrap(aws: AwsConfig) -> None:
    """Make the key and the bucket, or bring them in line. Raises PlatformError for another account's login, or what AWS refuses."""
    import boto3
    import botocore.exceptions

    try:
        session = boto3.Session(region_name=aws.region)
        account = session.client("sts").get_caller_identity()["Account"]
        if account != aws.account:
            raise PlatformError(
                "this login is to another account",
                where="AWS",
                got=account,
                allowed=aws.account,
                act="choose the account's profile: export AWS_PROFILE=…",
            )
        _bucket(aws, _key(aws, session.client("kms")), session.client("s3"))
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise PlatformError(
            f"AWS refuses: {error}",
            where=f"account {aws.account}",
            act="mend what it says (aws sso login), then run the same command again",
        ) from None


def next_steps(aws: AwsConfig, stack: str) -> str:
    """What a person types next, for a shell."""
    return "\n".join(
        [
            f"export PULUMI_BACKEND_URL='s3://{names.state_bucket(aws.account, aws.region)}?region={aws.region}&awssdk=v2'",
            f"pulumi stack init {stack} --secrets-provider='awskms://{ALIAS}?region={aws.region}'",
        ]
    )


def main(arguments: list[str]) -> int:
    """Bootstrap the account of a stack, and print the next steps."""
    parser = argparse.ArgumentParser(prog="python -m infra.aws.bootstrap", description="Make the bucket and the key of Pulumi's state.")
    parser.add_argument("stack", help="dev, staging or prod: its file names the account and the region")
    stack = parser.parse_args(arguments).stack
    try:
        aws = load(ROOT, stack).aws
        if aws is None:
            raise ConfigError("is no environment on AWS", where=f"{file_name(stack)}: mldelivery:target", allowed="eks")
        bootstrap(aws)
    except DeliveryError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"bucket {names.state_bucket(aws.account, aws.region)} and key {ALIAS} are there; next:\n\n{next_steps(aws, stack)}")
    return 0


def _key(aws: AwsConfig, kms: Any) -> str:
    try:
        found = kms.describe_key(KeyId=ALIAS)["KeyMetadata"]
    except kms.exceptions.NotFoundException:
        tags = [{"TagKey": key, "TagValue": value} for key, value in _tags(aws).items()]
        found = kms.create_key(Description="State of Pulumi's stacks", Tags=tags)["KeyMetadata"]
        kms.create_alias(AliasName=ALIAS, TargetKeyId=found["KeyId"])
    kms.enable_key_rotation(KeyId=found["KeyId"])
    return str(found["Arn"])


def _bucket(aws: AwsConfig, key_arn: str, s3: Any) -> None:
    import botocore.exceptions

    name = names.state_bucket(aws.account, aws.region)
    ours = {"Bucket": name, "ExpectedBucketOwner": aws.account}
    try:
        s3.head_bucket(**ours)
    except botocore.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        # The oldest region has no name of its own here.
        where = {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
        s3.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerEnforced", **where)
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(**ours, PublicAccessBlockConfiguration=closed)
    s3.put_bucket_versioning(**ours, VersioningConfiguration={"Status": "Enabled"})
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_arn}
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(**ours, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_bucket_policy(**ours, Policy=policy(tls_only(name)))
    ends = {"NoncurrentDays": OLD_VERSIONS_DAYS}
    old = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": ends}
    s3.put_bucket_lifecycle_configuration(**ours, LifecycleConfiguration={"Rules": [old]})
    s3.put_bucket_tagging(**ours, Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in _tags(aws).items()]})


def _tags(aws: AwsConfig) -> dict[str, str]:
    """All environments of the account share it, so that it is no environment's."""
    return {key: value for key, value in names.tags(aws).items() if key not in (names.ENVIRONMENT_TAG, "managed-by")}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
