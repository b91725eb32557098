"""``python -m infra.aws.bootstrap STACK``: makes what must be there before Pulumi: the bucket of its state, and the key that encrypts it.

Once for an account and region, whose stacks share them. Every step may be repeated: what is there is brought in line and never replaced.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.aws import names
from infra.aws.bucket import tls_only
from infra.aws.iam import policy
from infra.aws_config import AwsConfig
from infra.config import file_name, load
from infra.errors import ConfigError, DeliveryError, PlatformError

ROOT = Path(__file__).resolve().parents[2]
ALIAS = f"alias/{names.STATE_PREFIX}"

Run = Callable[[Sequence[str]], str | None]
"""Runs one command of the AWS command line: what it prints, or None where it says that there is no such thing."""


def bootstrap(aws: AwsConfig, run: Run) -> None:
    """Make the key and the bucket, or bring them in line. Raises PlatformError for another account's login, or what AWS refuses."""
    account = run(["sts", "get-caller-identity", "--query", "Account"])
    if json.loads(account or "null") != aws.account:
        raise PlatformError(
            "this login is to another account",
            where="aws sts get-caller-identity",
            got=json.loads(account or "null"),
            allowed=aws.account,
            act="choose the account's profile: export AWS_PROFILE=…",
        )
    key_arn = _key(aws, run)
    _bucket(aws, key_arn, run)


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
        bootstrap(aws, _aws_in(aws.region))
    except DeliveryError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"bucket {names.state_bucket(aws.account, aws.region)} and key {ALIAS} are there; next:\n\n{next_steps(aws, stack)}")
    return 0


def _key(aws: AwsConfig, run: Run) -> str:
    found = run(["kms", "describe-key", "--key-id", ALIAS])
    if found is None:
        tags = [f"TagKey={key},TagValue={value}" for key, value in _tags(aws).items()]
        made = run(["kms", "create-key", "--description", "State of Pulumi's stacks", "--tags", *tags])
        key_id = str(json.loads(made or "{}")["KeyMetadata"]["KeyId"])
        run(["kms", "create-alias", "--alias-name", ALIAS, "--target-key-id", key_id])
        found = made
    metadata = json.loads(found or "{}")["KeyMetadata"]
    run(["kms", "enable-key-rotation", "--key-id", metadata["KeyId"]])
    return str(metadata["Arn"])


def _bucket(aws: AwsConfig, key_arn: str, run: Run) -> None:
    name = names.state_bucket(aws.account, aws.region)
    place = ["--bucket", name, "--expected-bucket-owner", aws.account]
    if run(["s3api", "head-bucket", *place]) is None:
        # The oldest region has no name of its own here.
        where = [] if aws.region == "us-east-1" else ["--create-bucket-configuration", f"LocationConstraint={aws.region}"]
        run(["s3api", "create-bucket", "--bucket", name, "--object-ownership", "BucketOwnerEnforced", *where])
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_arn}
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]}
    old = {"ID": "old", "Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 365}}
    tagging = {"TagSet": [{"Key": key, "Value": value} for key, value in _tags(aws).items()]}
    for part, option, document in (
        ("public-access-block", "--public-access-block-configuration", closed),
        ("bucket-versioning", "--versioning-configuration", {"Status": "Enabled"}),
        ("bucket-encryption", "--server-side-encryption-configuration", encryption),
        ("bucket-policy", "--policy", json.loads(policy(tls_only(name)))),
        ("bucket-lifecycle-configuration", "--lifecycle-configuration", {"Rules": [old]}),
        ("bucket-tagging", "--tagging", tagging),
    ):
        run(["s3api", f"put-{part}", *place, option, json.dumps(document)])


def _tags(aws: AwsConfig) -> dict[str, str]:
    """All environments of the account share it, so that it is no environment's."""
    return {key: value for key, value in names.tags(aws).items() if key not in (names.ENVIRONMENT_TAG, "managed-by")}


def _aws_in(region: str) -> Run:
    program = shutil.which("aws")
    if program is None:
        raise PlatformError("aws is not on PATH", act="install the AWS command line, version 2")

    def run(arguments: Sequence[str]) -> str | None:
        command = [program, "--region", region, "--output", "json", "--no-cli-pager", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout
        said = done.stderr.strip()
        if any(word in said for word in ("(404)", "NoSuchBucket", "NotFoundException")):
            return None
        raise PlatformError(
            f"AWS refuses: {said}", where=f"aws {' '.join(arguments[:2])}", act="mend what it says, then run the same command again"
        )

    return run


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
