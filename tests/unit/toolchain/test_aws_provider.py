"""The stand-in for the AWS provider without an engine: names and types of inputs, their translation to the API, its table."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.model import StructureShape
from pulumi.runtime.proto import provider_pb2

from toolchain.aws_provider import functions, shapes
from toolchain.aws_provider.kinds import Call, Fixed, Kind, Made, Read, prepare, with_tags
from toolchain.aws_provider.provider import Provider
from toolchain.aws_provider.resources import Resource
from toolchain.aws_provider.schema import NoSuchType, schema
from toolchain.aws_provider.session import Session
from toolchain.aws_provider.shapes import BadParameter
from toolchain.aws_provider.table import KINDS
from toolchain.providers.service import Log, Refused
from toolchain.providers.urn import Urn
from toolchain.providers.values import UNKNOWN, Secret, encode

CLUSTER = {
    "name": "one",
    "roleArn": "arn:aws:iam::123456789012:role/one",
    "vpcConfig": {"subnetIds": ["subnet-1"], "endpointPublicAccess": False},
}


def words(token: str, inputs: dict[str, Any]) -> list[str]:
    return [problem.words for problem in schema(token).problems(inputs)]


def resource(token: str) -> Resource:
    session = Session(Log(None), is_offline=True)
    session.configure({"aws:config:region": "eu-central-1", "aws:config:defaultTags": '{"tags":{"team":"ml"}}'}, "")
    return Resource(session, Urn(f"urn:pulumi:s::p::{token}::one"), KINDS[token], schema(token))


def prepared(token: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the call that makes it."""
    return prepare(KINDS[token], KINDS[token].create, inputs, {"region": "eu-central-1", "account": "123456789012"}).params


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"roelArn": "x"}, ["unknown input 'roelArn'; did you mean 'roleArn'?"]),
        ({"vpcConfig": {}}, ["missing required input 'vpcConfig.subnetIds'"]),
        ({"vpcConfig": {"subnetIds": "subnet-1"}}, ["input 'vpcConfig.subnetIds' must be a list, got: 'subnet-1'"]),
        ({"vpcConfig": {"subnetIds": UNKNOWN}}, []),
        ({"vpcConfig": Secret({"subnetIds": [1], "endpointPublicAccess": "false"})}, []),
        (
            {"vpcConfig": {"subnetIds": [], "endpointPublicAccess": 3}},
            ["input 'vpcConfig.endpointPublicAccess' must be true or false, got: 3"],
        ),
        ({"tags": {"a": ["b"]}}, ["input 'tags.a' must be a text, got: a list"]),
        ({"__defaults": ["name"]}, []),
    ],
)
def test_what_the_official_provider_would_refuse_by_name_is_refused(change: dict[str, Any], said: list[str]) -> None:
    assert words("aws:eks/cluster:Cluster", {**CLUSTER, **change}) == said


def test_whole_numbers_are_not_words_or_fractions() -> None:
    given = {"cidrBlock": "10.0.0.0/16", "ipv4NetmaskLength": "1.5"}
    assert words("aws:ec2/vpc:Vpc", given) == ["input 'ipv4NetmaskLength' must be a whole number, got: '1.5'"]
    assert words("aws:ec2/vpc:Vpc", {**given, "ipv4NetmaskLength": "24"}) == []


def test_a_type_that_does_not_exist_is_none() -> None:
    with pytest.raises(NoSuchType, match="no resource type aws:ec2/vpc:Vcp"):
        schema("aws:ec2/vpc:Vcp")


def test_where_the_plain_name_is_a_nested_types_the_arguments_are_found() -> None:
    assert schema("aws:s3/bucketVersioning:BucketVersioning").required == {"bucket", "versioningConfiguration"}


@pytest.mark.parametrize("token", KINDS)
def test_each_entry_of_the_table_names_what_exists(token: str) -> None:
    kind, found = KINDS[token], schema(token)
    more = [call for call in (kind.delete, kind.tag, kind.untag, kind.emptying) if call is not None]
    reads = [read for read in (kind.read, kind.contents, *kind.also) if read is not None]
    calls: list[Call | Read] = [kind.create, *kind.sets, *kind.after, *kind.before_delete, *more, *reads]
    for call in calls:
        shape = shapes.operation(getattr(call, "service", "") or kind.service, call.operation).input_shape
        assert isinstance(shape, StructureShape)
        assert {name.split(".")[0] for name in call.takes} <= set(shape.members), call.operation
        named = {source for source in call.takes.values() if isinstance(source, str)} | set((getattr(call, "only", "") or "").split())
        assert named <= set(found.inputs), call.operation
    given = {path.split(".")[0] for path in kind.replaces.split()} - {"*"}
    assert given | set(kind.silent.split()) | set(kind.empty.split()) | set(kind.defaults) <= set(found.inputs)
    assert set(kind.outputs) <= set(found.outputs)
    assert not kind.name or kind.name in found.inputs


def test_names_are_translated_through_all_levels() -> None:
    inputs = {
        "bucket": "one",
        "rules": [
            {
                "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "k"},
                "bucketKeyEnabled": True,
            }
        ],
    }
    assert prepared("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration", inputs) == {
        "Bucket": "one",
        "ServerSideEncryptionConfiguration": {
            "Rules": [
                {
                    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"},
                    "BucketKeyEnabled": True,
                }
            ]
        },
    }


def test_a_block_becomes_a_list_and_a_list_of_one_a_block() -> None:
    cluster = prepared("aws:eks/cluster:Cluster", {**CLUSTER, "encryptionConfig": {"provider": {"keyArn": "k"}, "resources": ["secrets"]}})
    assert cluster["encryptionConfig"] == [{"provider": {"keyArn": "k"}, "resources": ["secrets"]}]
    assert cluster["resourcesVpcConfig"] == {"subnetIds": ["subnet-1"], "endpointPublicAccess": False}
    repository = prepared("aws:ecr/repository:Repository", {"name": "one", "encryptionConfigurations": [{"encryptionType": "KMS"}]})
    assert repository["encryptionConfiguration"] == {"encryptionType": "KMS"}


def test_a_security_groups_rule_is_a_permission() -> None:
    inputs = {"securityGroupId": "sg-1", "ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "cidrIpv4": "10.0.0.0/16"}
    assert prepared("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", inputs) == {
        "GroupId": "sg-1",
        "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}],
    }


def test_what_is_not_known_yet_is_a_value_that_the_model_allows() -> None:
    params = prepared("aws:rds/instance:Instance", {"identifier": "one", "instanceClass": UNKNOWN, "engine": "postgres", "port": UNKNOWN})
    shapes.checked("rds", "CreateDBInstance", params)
    assert params["DBInstanceClass"] == "x" and params["Port"] == 1


@pytest.mark.parametrize(
    ("token", "inputs", "said"),
    [
        ("aws:ec2/flowLog:FlowLog", {"vpcId": "v", "trafficType": "SOME"}, "'SOME' is not allowed; allowed: ACCEPT, REJECT, ALL"),
        ("aws:ec2/subnet:Subnet", {"vpcId": ["v"]}, r"vpcId must be a text, got: \['v'\]"),
        ("aws:kms/key:Key", {"description": "x" * 9000}, "description: 9000 characters are not allowed; allowed: at most 8192"),
        ("aws:eks/cluster:Cluster", {**CLUSTER, "vpcConfig": {"subnets": ["s"]}}, "no such parameter"),
        ("aws:ec2/routeTable:RouteTable", {"vpcId": "v", "routes": [{"cidrBlock": "x"}]}, "routes: .* only an empty list"),
        ("aws:budgets/budget:Budget", {"budgetType": "COST", "timeUnit": "MONTHLY", "metrics": "m"}, "what to do with metrics"),
    ],
)
def test_what_the_api_would_refuse_is_refused_before_it_is_asked(token: str, inputs: dict[str, Any], said: str) -> None:
    with pytest.raises((BadParameter, Refused), match=said):
        resource(token).check({"name": "one", **inputs} if KINDS[token].name == "name" else inputs)


def test_tags_are_the_providers_and_the_programs() -> None:
    vpc, cluster = resource("aws:ec2/vpc:Vpc"), resource("aws:eks/cluster:Cluster")
    tags = vpc.tags({"tags": {"Name": "one"}})
    assert tags == {"team": "ml", "Name": "one"}
    assert with_tags(vpc.kind, vpc.kind.create, {}, tags) == {
        "TagSpecifications": [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "one"}, {"Key": "team", "Value": "ml"}]}]
    }
    assert with_tags(cluster.kind, cluster.kind.create, {}, tags) == {"tags": tags}
    assert vpc.tags({"tags": UNKNOWN}) is UNKNOWN


def test_a_preview_knows_what_the_program_says_and_nothing_else() -> None:
    found = resource("aws:eks/cluster:Cluster").predicted({**CLUSTER, "tags": {"a": "b"}})
    assert found["arn"] is UNKNOWN and found["endpoint"] is UNKNOWN
    assert found["vpcConfig"]["subnetIds"] == ["subnet-1"] and found["vpcConfig"]["clusterSecurityGroupId"] is UNKNOWN
    assert found["tagsAll"] == {"team": "ml", "a": "b"} and found["region"] == "eu-central-1"
    assert "outpostConfig" not in found


def test_an_answer_is_read_by_the_outputs_names() -> None:
    answer = {
        "name": "one",
        "identity": {"oidc": {"issuer": "https://here"}},
        "certificateAuthority": {"data": "LS0="},
        "tags": {"a": "b"},
        "somethingElse": 1,
    }
    assert shapes.from_api(schema("aws:eks/cluster:Cluster").outputs, answer) == {
        "name": "one",
        "identities": [{"oidcs": [{"issuer": "https://here"}]}],
        "certificateAuthority": {"data": "LS0="},
        "tags": {"a": "b"},
    }
    listed = {"Tags": [{"Key": "a", "Value": "b"}], "EnableDnsSupport": {"Value": True}}
    assert shapes.from_api(schema("aws:ec2/vpc:Vpc").outputs, listed) == {"tags": {"a": "b"}, "enableDnsSupport": True}


def test_a_call_that_is_made_at_one_value_is_left_at_others() -> None:
    kind = KINDS["aws:kms/key:Key"]
    enable, disable = kind.sets[:2]
    for value, is_on in ((True, True), (False, False)):
        assert prepare(kind, enable, {"enableKeyRotation": value}, {"KeyId": "k"}).is_needed is is_on
        assert prepare(kind, disable, {"enableKeyRotation": value}, {"KeyId": "k"}).is_needed is not is_on
    assert prepare(kind, enable, {"enableKeyRotation": True, "rotationPeriodInDays": 90}, {"KeyId": "k"}).params == {
        "KeyId": "k",
        "RotationPeriodInDays": 90,
    }


def test_a_type_is_a_few_lines_of_a_table() -> None:
    queue = Kind(
        "sqs",
        Call("CreateQueue", {"QueueName": "name", "Attributes": Made(lambda delay: {"DelaySeconds": str(delay)}, ("delaySeconds",))}),
        "QueueUrl",
        read=Read("GetQueueAttributes", takes={"AttributeNames": Fixed(["All"])}),
        delete=Call("DeleteQueue"),
    )
    assert prepare(queue, queue.create, {"name": "one", "delaySeconds": 3}, {}).params == {
        "QueueName": "one",
        "Attributes": {"DelaySeconds": "3"},
    }
    shapes.checked("sqs", "CreateQueue", {"QueueName": "one"})


def test_nothing_is_called_without_an_endpoint_and_never_aws_itself() -> None:
    session = resource("aws:kms/key:Key").session
    with pytest.raises(Refused, match="makes previews only"):
        session.ask("kms", "ListKeys", {})
    other = Session(Log(None))
    other.environment = {"AWS_ENDPOINT_URL": "https://kms.eu-central-1.amazonaws.com"}
    with pytest.raises(Refused, match="is AWS itself"):
        other.configure({}, "")


def test_functions_answer_the_documentations_values_or_what_config_says() -> None:
    session = resource("aws:kms/key:Key").session
    assert functions.call(session, "aws:index/getCallerIdentity:getCallerIdentity", {})["accountId"] == "123456789012"
    zones = functions.call(session, "aws:index/getAvailabilityZones:getAvailabilityZones", {})
    assert zones["names"] == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    named = Session(Log(None), is_offline=True)
    named.configure({"aws:config:allowedAccountIds": '["111122223333"]'}, "")
    assert named.account == "111122223333"
    with pytest.raises(Refused, match="aws:ec2/getAmi:getAmi asks an account"):
        functions.call(session, "aws:ec2/getAmi:getAmi", {})


def test_two_mistakes_in_one_resource_are_told_once_each() -> None:
    news = encode({**CLUSTER, "roelArn": "x", "tag": "y"})
    request = provider_pb2.CheckRequest(urn="urn:pulumi:s::p::aws:eks/cluster:Cluster::one", news=news)
    failures = Provider("7.29.0").Check(request, None).failures
    assert sorted(failure.property for failure in failures) == ["roelArn", "tag"]
