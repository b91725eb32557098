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

pytestmark = pytest.mark.timeout(600)

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
    """A project whose program is up; the tests go on from there, in their order."""
    made = Project(tmp_path_factory.mktemp("stack"), environment)
    made.init()
    made.write(PROGRAM)
    (made.folder / "up.txt").write_text(made.up(), encoding="utf-8")
    yield made


def outputs(project: Project) -> dict[str, Any]:
    return dict(json.loads(project.ok("stack", "output", "--json")))


def test_offline_all_is_previewed_from_nothing_without_account_plugin_or_network(tmp_path: Path) -> None:
    nowhere = {**without_plugins(tmp_path), "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    with attached(nowhere, "aws", is_offline=True) as environment:
        project = Project(tmp_path, environment)
        project.init()
        project.write(PROGRAM)
        out = project.ok("preview", "--json")
        steps = json.loads(out[out.index("{") :])["steps"]
        assert {step["newState"]["type"] for step in steps} - {"pulumi:pulumi:Stack", "pulumi:providers:aws"} == set(KINDS)
        assert {step["op"] for step in steps} == {"create"}
        assert "nothing is asked of AWS" in out
        zones = {step["newState"]["inputs"]["availabilityZone"] for step in steps if step["newState"]["type"] == "aws:ec2/subnet:Subnet"}
        assert zones == {f"{REGION}a", f"{REGION}b"}


SMALL = """
import pulumi
from pulumi_aws import Provider, s3
here = Provider("here", region="eu-central-1", allowed_account_ids=["123456789012"])
options = pulumi.ResourceOptions(provider=here)
bucket = s3.Bucket("one", opts=options)
lock = {"mode": "GOVERNANCE", "days": 1}
s3.BucketObjectLockConfiguration("one", bucket=bucket.id, rule={"default_retention": lock}, opts=options)
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"days": 1', '"dais": 1', "unknown input 'rule.defaultRetention.dais'; did you mean 'days'?"),
        ("123456789012", "210987654321", "the account of these credentials is 123456789012, which is not in allowed_account_ids"),
    ],
)
def test_a_mistake_is_refused_by_name_before_anything_is_made(
    tmp_path: Path, environment: dict[str, str], old: str, new: str, words: str
) -> None:
    project = Project(tmp_path, environment)
    project.init()
    assert old in SMALL
    project.write(SMALL.replace(old, new))
    assert words in project.refused("preview")


def test_what_the_simulator_lacks_is_kept_in_the_state_and_said(stack: Project) -> None:
    said = (stack.folder / "up.txt").read_text(encoding="utf-8")
    for operation in ("CreateAddon", "CreateAccessEntry", "AssociateAccessPolicy", "CreatePodIdentityAssociation"):
        assert f"kept in Pulumi's state alone: the simulator has no {operation}" in said
    assert stack.resource("AccessEntry::admin")["id"] == "test:arn:aws:iam::123456789012:role/admin"


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
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == stack.resource("Key::data")["outputs"]["arn"]
    assert set(s3.get_public_access_block(**name)["PublicAccessBlockConfiguration"].values()) == {True}
    assert s3.get_bucket_versioning(**name)["Status"] == "Enabled"
    lock = s3.get_object_lock_configuration(**name)["ObjectLockConfiguration"]
    retention = lock["Rule"]["DefaultRetention"]
    assert (retention["Mode"], retention["Days"]) == ("GOVERNANCE", 30)
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
    assert cluster["resourcesVpcConfig"]["endpointPublicAccess"] is False
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


def test_one_field_changes_one_resource_in_place_and_what_cannot_change_is_replaced(stack: Project, aws: Simulator) -> None:
    stack.write(PROGRAM.replace("retention_in_days=30", "retention_in_days=90"))
    assert stack.changes() == {"LogGroup::flow": "update"}
    edits = {
        "retention_in_days=30": "retention_in_days=90",
        '"expiration": {"days": 90}': '"expiration": {"days": 60}',
        "multi_az=False": "multi_az=True",
        'cidr_ipv4="10.0.0.0/16"': 'cidr_ipv4="10.0.0.0/24"',
        'tags={"Name": "store"}': 'tags={"Title": "store"}',
        "enable_key_rotation=True": "enable_key_rotation=False",
        'name="test-alarms"': 'name="test-alerts"',
    }
    program = PROGRAM
    for old, new in edits.items():
        assert program.count(old) == 1, old
        program = program.replace(old, new)
    before = stack.resource("Topic::alarms")["id"]
    stack.write(program)
    out = stack.up()
    assert "~ 6 updated" in out and "+-2 replaced" in out
    assert aws.client("logs").describe_log_groups(logGroupNamePrefix="/test/flow")["logGroups"][0]["retentionInDays"] == 90
    s3 = aws.client("s3")
    assert s3.get_bucket_lifecycle_configuration(Bucket="test-store")["Rules"][0]["Expiration"]["Days"] == 60
    tags = {each["Key"]: each["Value"] for each in s3.get_bucket_tagging(Bucket="test-store")["TagSet"]}
    assert tags == {"Title": "store", "environment": "test"}
    assert aws.client("rds").describe_db_instances()["DBInstances"][0]["MultiAZ"]
    assert not aws.client("kms").get_key_rotation_status(KeyId=stack.resource("Key::data")["id"])["KeyRotationEnabled"]
    topics = [each["TopicArn"] for each in aws.client("sns").list_topics()["Topics"]]
    assert topics == [stack.resource("Topic::alarms")["id"]] and before not in topics


def test_a_refresh_sees_what_others_changed_and_took_away(stack: Project, aws: Simulator) -> None:
    aws.client("logs").put_retention_policy(logGroupName="/test/flow", retentionInDays=7)
    aws.client("s3").delete_bucket_policy(Bucket="test-store")
    out = stack.ok("refresh", "--yes", "--skip-preview")
    assert "~ 1 updated" in out and "- 1 deleted" in out
    assert stack.changes() == {"LogGroup::flow": "update", "BucketPolicy::store": "create"}


def test_nothing_is_left_after_its_end(stack: Project, aws: Simulator) -> None:
    aws.client("s3").put_object(Bucket="test-records", Key="a", Body=b"b")
    key = stack.resource("Key::data")["id"]
    stack.ok("destroy", "--yes", "--skip-preview")
    ec2, iam = aws.client("ec2"), aws.client("iam")
    assert [vpc["IsDefault"] for vpc in ec2.describe_vpcs()["Vpcs"]] == [True]
    assert ec2.describe_addresses()["Addresses"] == [] and ec2.describe_flow_logs()["FlowLogs"] == []
    assert ec2.describe_launch_templates()["LaunchTemplates"] == []
    assert [gateway["State"] for gateway in ec2.describe_nat_gateways()["NatGateways"]] in ([], ["deleted"])
    assert aws.client("s3").list_buckets()["Buckets"] == [] and aws.client("eks").list_clusters()["clusters"] == []
    assert aws.client("rds").describe_db_instances()["DBInstances"] == [] and aws.client("sns").list_topics()["Topics"] == []
    assert aws.client("ecr").describe_repositories()["repositories"] == []
    assert not [role for role in iam.list_roles()["Roles"] if role["RoleName"].startswith("test-")]
    assert iam.list_policies(Scope="Local")["Policies"] == [] and iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
    assert aws.client("logs").describe_log_groups(logGroupNamePrefix="/test/")["logGroups"] == []
    assert aws.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
