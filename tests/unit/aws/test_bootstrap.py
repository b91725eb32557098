"""The bucket and the key of Pulumi's state: made once, brought in line each time, refused with another account's login."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID

from infra.aws import bootstrap
from infra.aws_config import AwsConfig
from infra.errors import PlatformError
from tests.unit.aws.declared import config_of

REGION = "eu-central-1"
BUCKET = f"mldelivery-state-{DEFAULT_ACCOUNT_ID}-{REGION}"


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty account, in this process."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "simulated")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "simulated")
    with mock_aws():
        yield


def aws(**changes: str) -> AwsConfig:
    changes = {"account": DEFAULT_ACCOUNT_ID, "region": REGION, **changes}
    near = f"arn:aws:acm:{changes['region']}:{changes['account']}:certificate/1"
    found = config_of("dev", aws={**changes, "gateway": {"certificate": near}}).aws
    assert found is not None
    return found


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)


def aliases() -> list[str]:
    return [each["TargetKeyId"] for each in client("kms").list_aliases()["Aliases"] if each["AliasName"] == "alias/mldelivery-state"]


@pytest.mark.usefixtures("simulated")
def test_a_fresh_account_gets_a_key_that_rotates_and_a_closed_bucket() -> None:
    bootstrap.bootstrap(aws())
    [key] = aliases()
    assert client("kms").get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is True
    s3 = client("s3")
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == REGION
    assert set(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values()) == {True}
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    [rule] = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"].endswith(key)
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=BUCKET)["Policy"]
    assert {each["Key"] for each in s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"]} == {"project", "owner", "cost-center"}


@pytest.mark.usefixtures("simulated")
def test_a_second_time_nothing_is_made_and_what_was_loosened_is_closed() -> None:
    bootstrap.bootstrap(aws())
    before, s3 = aliases(), client("s3")
    s3.delete_public_access_block(Bucket=BUCKET)
    # The simulator refuses everything to everybody under a policy that refuses plain HTTP.
    s3.delete_bucket_policy(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=".pulumi/meta.yaml", Body=b"version: 1")
    bootstrap.bootstrap(aws())
    assert aliases() == before and len(s3.list_buckets()["Buckets"]) == 1
    assert s3.get_public_access_block(Bucket=BUCKET) and s3.get_bucket_policy(Bucket=BUCKET)
    s3.delete_bucket_policy(Bucket=BUCKET)
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == [".pulumi/meta.yaml"]


@pytest.mark.usefixtures("simulated")
def test_another_accounts_login_is_refused_before_anything_is_made() -> None:
    with pytest.raises(PlatformError, match="this login is to another account"):
        bootstrap.bootstrap(aws(account="999999999999"))
    assert not aliases() and not client("s3").list_buckets()["Buckets"]


@pytest.mark.usefixtures("simulated")
def test_the_oldest_region_is_not_named_when_a_bucket_is_made() -> None:
    bootstrap.bootstrap(aws(region="us-east-1"))
    assert [each["Name"] for each in client("s3").list_buckets()["Buckets"]] == [f"mldelivery-state-{DEFAULT_ACCOUNT_ID}-us-east-1"]


def test_without_a_login_the_command_says_what_to_do(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert bootstrap.main(["dev"]) == 1
    assert "AWS refuses: Unable to locate credentials" in capsys.readouterr().err


def test_the_command_ends_with_the_next_two(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bootstrap, "bootstrap", lambda _aws: None)
    assert bootstrap.main(["dev"]) == 0
    out = capsys.readouterr().out
    assert f"export PULUMI_BACKEND_URL='s3://mldelivery-state-111122223333-{REGION}?region={REGION}&awssdk=v2'" in out
    assert f"pulumi stack init dev --secrets-provider='awskms://alias/mldelivery-state?region={REGION}'" in out


def test_a_stack_that_is_no_environment_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main(["local"]) == 1
    assert "Pulumi.local.yaml: mldelivery:target: is no environment on AWS" in capsys.readouterr().err
