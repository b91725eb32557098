"""Buckets, database and image registry: closed, encrypted, recoverable."""

from __future__ import annotations

import json

import pytest

from infra.aws.names import BUCKETS
from tests.unit.aws.declared import CLOUD, declared

PURPOSES = (*BUCKETS, "access-logs")


@pytest.mark.parametrize("stack", CLOUD)
def test_every_bucket_is_closed_encrypted_versioned_and_for_tls_alone(stack: str) -> None:
    cloud = declared(stack)
    for purpose in PURPOSES:
        name = f"storage-{purpose}"
        closed = cloud.named("BucketPublicAccessBlock", name)
        assert all(closed[key] for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"))
        assert cloud.named("BucketVersioning", name)["versioningConfiguration"] == {"status": "Enabled"}
        assert cloud.named("BucketOwnershipControls", name)["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
        default = cloud.named("BucketServerSideEncryptionConfiguration", name)["rules"][0]["applyServerSideEncryptionByDefault"]
        assert default["sseAlgorithm"] == ("AES256" if purpose == "access-logs" else "aws:kms")
        refusals = {each["Sid"]: each for each in json.loads(cloud.named("BucketPolicy", name)["policy"])["Statement"]}
        assert refusals["TlsOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert refusals["TlsOnly"]["Effect"] == refusals["ModernTls"]["Effect"] == "Deny"
        rule = cloud.named("BucketLifecycleConfiguration", name)["rules"][0]
        assert rule["status"] == "Enabled" and rule["noncurrentVersionExpiration"]["noncurrentDays"] == 30
    assert {each.name for each in cloud.of("BucketLogging")} == {f"storage-{purpose}" for purpose in BUCKETS}


def test_requests_end_and_releases_stay() -> None:
    cloud = declared("prod")
    assert cloud.named("BucketLifecycleConfiguration", "storage-requests")["rules"][0]["expiration"] == {"days": 365}
    for purpose in ("artifacts", "snapshots", "releases"):
        assert "expiration" not in cloud.named("BucketLifecycleConfiguration", f"storage-{purpose}")["rules"][0]


def test_prods_releases_are_locked_and_devs_are_not() -> None:
    cloud = declared("prod")
    lock = cloud.of("BucketObjectLockConfiguration")
    assert [each.name for each in lock] == ["storage-releases"]
    assert lock[0].inputs["rule"]["defaultRetention"] == {"mode": "GOVERNANCE", "days": 365}
    assert cloud.named("Bucket", "storage-releases")["objectLockEnabled"] is True


@pytest.mark.parametrize("stack", CLOUD)
def test_the_database_is_private_encrypted_and_holds_no_password_of_ours(stack: str) -> None:
    cloud = declared(stack)
    found = cloud.named("Instance", "database")
    assert found["publiclyAccessible"] is False and found["storageEncrypted"] is True and found["kmsKeyId"]
    assert found["manageMasterUserPassword"] is True and not {"password", "passwordWo"} & set(found)
    assert found["iamDatabaseAuthenticationEnabled"] and found["copyTagsToSnapshot"] and found["autoMinorVersionUpgrade"]
    assert found["backupRetentionPeriod"] >= 1
    assert set(found["enabledCloudwatchLogsExports"]) == {"postgresql", "upgrade"}
    parameters = {each["name"]: each["value"] for each in cloud.named("ParameterGroup", "database")["parameters"]}
    assert parameters["rds.force_ssl"] == "1"
    rule = cloud.named("SecurityGroupIngressRule", "database")
    assert rule["referencedSecurityGroupId"] == "sg-cluster" and "cidrIpv4" not in rule and rule["fromPort"] == rule["toPort"] == 5432


def test_prods_database_outlives_a_zone_and_a_mistake() -> None:
    cloud = declared("prod")
    found = cloud.named("Instance", "database")
    assert found["multiAz"] and found["deletionProtection"] and found["backupRetentionPeriod"] == 30
    assert not found["skipFinalSnapshot"] and found["finalSnapshotIdentifier"] == "mldelivery-prod-final"


def test_one_stack_makes_the_registry_and_all_pull_from_it() -> None:
    cloud = declared("dev", aws={"registry": {"pullers": ["222233334444"]}}, models={"docs-router": {"champion": "none"}})
    assert {each.inputs["name"] for each in cloud.of("Repository")} == {"mldelivery/iris", "mldelivery/docs-router", "mldelivery/mlflow"}
    found = cloud.named("Repository", "registry-iris")
    assert found["imageTagMutability"] == "IMMUTABLE" and found["imageScanningConfiguration"] == {"scanOnPush": True}
    assert found["forceDelete"] is False and found["encryptionConfigurations"][0]["encryptionType"] == "KMS"
    assert json.loads(cloud.named("LifecyclePolicy", "registry-iris")["policy"])["rules"][0]["selection"]["countNumber"] == 100
    pull = json.loads(cloud.named("RepositoryPolicy", "registry-iris")["policy"])["Statement"][0]
    assert pull["Principal"] == {"AWS": ["arn:aws:iam::222233334444:root"]} and "ecr:PutImage" not in pull["Action"]
    assert "Resource" not in pull, "ECR refuses a repository's policy that names resources"


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_the_others_make_no_repository(stack: str) -> None:
    assert not declared(stack).of("Repository")


def test_somebody_is_told_before_the_money_is_gone() -> None:
    cloud = declared("prod")
    found = cloud.named("Budget", "budget")
    assert found["limitAmount"] == "1500" and found["costFilters"] == [
        {"name": "TagKeyValue", "values": ["user:environment$mldelivery-prod", "aws:eks:cluster-name$mldelivery-prod"]}
    ]
    assert [(each["notificationType"], each["threshold"]) for each in found["notifications"]] == [("ACTUAL", 80), ("FORECASTED", 100)]
