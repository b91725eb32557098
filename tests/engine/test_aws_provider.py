"""The stand-in for the AWS provider under the real engine: previews without an account, and updates against a simulator of AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project, without_plugins
from tests.simulator import ACCOUNT, REGION, Simulator, simulator
from toolchain.aws_provider.table import KINDS
from toolchain.providers import attached

pytestmark = pytest.mark.timeout(180)

PROGRAM = (Path(__file__).parent / "aws_environment.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def aws() -> Iterator[Simulator]:
    with simulator() as made:
        yield made


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, aws: Simulator) -> Iterator[dict[str, str]]:
    """With one stand-in for all tests, whose calls go to the simulator."""
    with attached({**without_plugins(tmp_path_factory.mktemp("engine")), "AWS_ENDPOINT_URL": aws.endpoint}, "aws") as made:
        yield made


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Project]:
    """A project whose program is up."""
    made = Project(tmp_path_factory.mktemp("stack"), environment)
    made.init()
    made.write(PROGRAM)
    made.up()
    yield made


@pytest.fixture
def edited(stack: Project) -> Iterator[Project]:
    """The stack that is up, with its program put back afterwards."""
    yield stack
    stack.write(PROGRAM)


def outputs(project: Project) -> dict[str, Any]:
    return dict(json.loads(project.ok("stack", "output", "--json")))


def test_offline_all_is_previewed_from_nothing_without_account_plugin_or_network(tmp_path: Path) -> None:
    nowhere = {**without_plugins(tmp_path), "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    with attached(nowhere, "aws", is_offline=True) as environment:
        project = Project(tmp_path, environment)
        project.init()
        project.write(PROGRAM)
        assert {step["newState"]["type"] for step in project.steps()} - {"pulumi:pulumi:Stack", "pulumi:providers:aws"} == set(KINDS)
        out = project.ok("preview")
        assert "nothing is asked of AWS" in out
        assert ACCOUNT in out and REGION in out
        assert "makes previews only" in project.fails()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            '"endpoint_public_access": False',
            '"endpointPublicAcces": False',
            "unknown input 'vpcConfig.endpointPublicAcces' of aws:eks/cluster",
        ),
        (
            '"bucket_key_enabled": True',
            '"bucket_key_enabled": "perhaps"',
            "'rules[0].bucketKeyEnabled' must be true or false, got: 'perhaps'",
        ),
        ('"mode": "GOVERNANCE"', '"mode": "GOVERNMENT"', "'GOVERNMENT' is not allowed; allowed: GOVERNANCE, COMPLIANCE"),
        ('limit_unit="USD"', 'limit_unit="USD", metrics="a"', "does not know what to do with metrics of aws:budgets/budget:Budget"),
        ('["123456789012"]', '["210987654321"]', "the account of these credentials is 123456789012, which is not in allowed_account_ids"),
    ],
)
def test_a_mistake_is_refused_by_name_before_anything_is_made(edited: Project, old: str, new: str, words: str) -> None:
    assert old in PROGRAM
    edited.write(PROGRAM.replace(old, new))
    assert words in edited.refused("preview")


def test_what_is_up_has_no_changes(stack: Project) -> None:
    stack.has_no_changes()


def test_functions_and_outputs_come_from_the_simulator(stack: Project) -> None:
    found = outputs(stack)
    assert (found["account"], found["region"], found["partition"]) == (ACCOUNT, REGION, "aws")
    assert found["authority"] and found["host"].endswith(".rds.amazonaws.com")
    assert found["secret"].startswith(f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds")
    assert found["registry"] == f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/test/iris"


def test_the_bucket_is_encrypted_closed_versioned_locked_and_for_tls_alone(stack: Project, aws: Simulator) -> None:
    s3 = aws.client("s3")
    name = {"Bucket": "test-store"}
    rule = s3.get_bucket_encryption(**name)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms" and rule["BucketKeyEnabled"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == stack.resource("data")["outputs"]["arn"]
    assert set(s3.get_public_access_block(**name)["PublicAccessBlockConfiguration"].values()) == {True}
    assert s3.get_bucket_versioning(**name)["Status"] == "Enabled"
    lock = s3.get_object_lock_configuration(**name)["ObjectLockConfiguration"]
    assert lock["Rule"]["DefaultRetention"] == {"Mode": "GOVERNANCE", "Days": 30}
    (statement,) = json.loads(s3.get_bucket_policy(**name)["Policy"])["Statement"]
    assert statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    (ends,) = s3.get_bucket_lifecycle_configuration(**name)["Rules"]
    assert ends["Expiration"]["Days"] == 90 and ends["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert s3.get_bucket_logging(**name)["LoggingEnabled"] == {"TargetBucket": "test-records", "TargetPrefix": "store/"}
    tags = {each["Key"]: each["Value"] for each in s3.get_bucket_tagging(**name)["TagSet"]}
    assert tags == {"Name": "store", "environment": "test"}


def test_the_network_is_private_recorded_and_as_it_was_drawn(stack: Project, aws: Simulator) -> None:
    ec2 = aws.client("ec2")
    net = stack.resource("Vpc::net")["id"]
    here = [{"Name": "vpc-id", "Values": [net]}]
    subnets = ec2.describe_subnets(Filters=here)["Subnets"]
    assert {(each["CidrBlock"], each["MapPublicIpOnLaunch"]) for each in subnets} == {("10.0.0.0/24", False), ("10.0.1.0/24", False)}
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        found = ec2.describe_vpc_attribute(VpcId=net, Attribute=attribute)
        assert found[attribute[0].upper() + attribute[1:]]["Value"] is True
    groups = {each["GroupName"]: each for each in ec2.describe_security_groups(Filters=here)["SecurityGroups"]}
    assert groups["default"]["IpPermissions"] == [] and groups["default"]["IpPermissionsEgress"] == []
    own = next(each for name, each in groups.items() if name.startswith("test-endpoints-"))
    assert [each["IpRanges"][0]["CidrIp"] for each in own["IpPermissions"]] == ["10.0.0.0/16"]
    assert [each["UserIdGroupPairs"][0]["GroupId"] for each in own["IpPermissionsEgress"]] == [own["GroupId"]]
    (table,) = ec2.describe_route_tables(RouteTableIds=[stack.resource("RouteTable::private")["id"]])["RouteTables"]
    assert {each["SubnetId"] for each in table["Associations"]} == {each["SubnetId"] for each in subnets}
    assert any(route.get("NatGatewayId") for route in table["Routes"] if route.get("DestinationCidrBlock") == "0.0.0.0/0")
    (flow,) = ec2.describe_flow_logs()["FlowLogs"]
    assert (flow["ResourceId"], flow["TrafficType"], flow["MaxAggregationInterval"]) == (net, "ALL", 60)
    assert {each["ServiceName"].rsplit(".", 1)[-1] for each in ec2.describe_vpc_endpoints(Filters=here)["VpcEndpoints"]} == {"s3", "sts"}


def test_keys_rotate_and_the_cluster_and_database_are_encrypted_and_private(stack: Project, aws: Simulator) -> None:
    key = stack.resource("Key::data")
    assert aws.client("kms").get_key_rotation_status(KeyId=key["id"])["KeyRotationEnabled"]
    cluster = aws.client("eks").describe_cluster(name="test")["cluster"]
    assert cluster["encryptionConfig"] == [{"resources": ["secrets"], "provider": {"keyArn": key["outputs"]["arn"]}}]
    assert cluster["resourcesVpcConfig"]["endpointPublicAccess"] is False and cluster["accessConfig"]["authenticationMode"] == "API"
    assert cluster["tags"] == {"environment": "test"}
    (database,) = aws.client("rds").describe_db_instances()["DBInstances"]
    assert database["StorageEncrypted"] and not database["PubliclyAccessible"] and database["KmsKeyId"] == key["outputs"]["arn"]
    assert database["MasterUserSecret"]["SecretArn"]


@pytest.mark.usefixtures("stack")
def test_policies_are_as_they_are_meant(aws: Simulator) -> None:
    iam = aws.client("iam")
    document = iam.get_role_policy(RoleName="test-writer", PolicyName="rights")["PolicyDocument"]
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/test/flow:*"
    assert document["Statement"] == [{"Effect": "Allow", "Action": ["logs:PutLogEvents"], "Resource": [arn]}]
    role = iam.get_role(RoleName="test-control")["Role"]
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == f"arn:aws:iam::{ACCOUNT}:policy/test-boundary"
    attached_to = iam.list_attached_role_policies(RoleName="test-control")["AttachedPolicies"]
    assert [each["PolicyName"] for each in attached_to] == ["AmazonEKSClusterPolicy"]
    ecr = aws.client("ecr")
    (repository,) = ecr.describe_repositories()["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE" and repository["imageScanningConfiguration"]["scanOnPush"]
    assert "210987654321" in ecr.get_repository_policy(repositoryName="test/iris")["policyText"]
    (logs,) = aws.client("logs").describe_log_groups(logGroupNamePrefix="/test/flow")["logGroups"]
    assert logs["retentionInDays"] == 30


ENTRY = """
from pulumi_aws import eks
eks.AccessEntry("admin", cluster_name="other", principal_arn="arn:aws:iam::123456789012:role/admin")
"""


def test_what_the_simulator_lacks_is_kept_in_the_state_and_said(tmp_path: Path, environment: dict[str, str]) -> None:
    project = Project(tmp_path, environment)
    project.init()
    project.write(ENTRY)
    assert "kept in Pulumi's state alone: the simulator has no CreateAccessEntry" in project.up()
    assert project.resource("admin")["id"] == "other:arn:aws:iam::123456789012:role/admin"
    project.has_no_changes()
    project.ok("destroy", "--yes", "--skip-preview")


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("retention_in_days=30", "retention_in_days=90", {"LogGroup::flow": "update"}),
        ('"expiration": {"days": 90}', '"expiration": {"days": 60}', {"BucketLifecycleConfiguration::store": "update"}),
        ("multi_az=False", "multi_az=True", {"Instance::database": "update"}),
        ('name="test-alarms"', 'name="test-alerts"', {"Topic::alarms": "replace", "TopicPolicy::alarms": "replace"}),
    ],
)
def test_an_edit_of_one_field_changes_that_resource_alone(edited: Project, old: str, new: str, changes: dict[str, str]) -> None:
    assert old in PROGRAM
    edited.write(PROGRAM.replace(old, new))
    assert edited.changes() == changes
