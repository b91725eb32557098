"""What scanners are shown of a stack, and which of their findings are left."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from policy import waivers
from policy.resource import UNKNOWN, Finding, Resource
from policy.scan import __main__ as command
from policy.scan import findings, preview, terraform, waived
from policy.scan.documents import documents, unseen
from policy.scan.findings import Found, Seen
from policy.scan.manifests import UNSAID, manifests
from policy.scan.preview import Declared
from toolchain.aws_provider.table import KINDS

TODAY = datetime.date(2026, 11, 24)
REASON = "reason: The old client can't send the header before spring."
UNKNOWN_IN_PREVIEW = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
# As HashiCorp's documentation of its AWS provider names them.
TERRAFORM = {
    "aws:budgets/budget:Budget": "aws_budgets_budget",
    "aws:cloudwatch/logGroup:LogGroup": "aws_cloudwatch_log_group",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "aws_default_security_group",
    "aws:ec2/eip:Eip": "aws_eip",
    "aws:ec2/flowLog:FlowLog": "aws_flow_log",
    "aws:ec2/internetGateway:InternetGateway": "aws_internet_gateway",
    "aws:ec2/launchTemplate:LaunchTemplate": "aws_launch_template",
    "aws:ec2/natGateway:NatGateway": "aws_nat_gateway",
    "aws:ec2/route:Route": "aws_route",
    "aws:ec2/routeTable:RouteTable": "aws_route_table",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "aws_route_table_association",
    "aws:ec2/securityGroup:SecurityGroup": "aws_security_group",
    "aws:ec2/subnet:Subnet": "aws_subnet",
    "aws:ec2/vpc:Vpc": "aws_vpc",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "aws_vpc_endpoint",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": "aws_ecr_lifecycle_policy",
    "aws:ecr/repository:Repository": "aws_ecr_repository",
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "aws_ecr_repository_policy",
    "aws:eks/accessEntry:AccessEntry": "aws_eks_access_entry",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": "aws_eks_access_policy_association",
    "aws:eks/addon:Addon": "aws_eks_addon",
    "aws:eks/cluster:Cluster": "aws_eks_cluster",
    "aws:eks/nodeGroup:NodeGroup": "aws_eks_node_group",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": "aws_eks_pod_identity_association",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": "aws_iam_openid_connect_provider",
    "aws:iam/policy:Policy": "aws_iam_policy",
    "aws:iam/role:Role": "aws_iam_role",
    "aws:iam/rolePolicy:RolePolicy": "aws_iam_role_policy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "aws_iam_role_policy_attachment",
    "aws:kms/alias:Alias": "aws_kms_alias",
    "aws:kms/key:Key": "aws_kms_key",
    "aws:rds/instance:Instance": "aws_db_instance",
    "aws:rds/parameterGroup:ParameterGroup": "aws_db_parameter_group",
    "aws:rds/subnetGroup:SubnetGroup": "aws_db_subnet_group",
    "aws:s3/bucket:Bucket": "aws_s3_bucket",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "aws_s3_bucket_lifecycle_configuration",
    "aws:s3/bucketLogging:BucketLogging": "aws_s3_bucket_logging",
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": "aws_s3_bucket_object_lock_configuration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": "aws_s3_bucket_ownership_controls",
    "aws:s3/bucketPolicy:BucketPolicy": "aws_s3_bucket_policy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "aws_s3_bucket_public_access_block",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "aws_s3_bucket_server_side_encryption_configuration"
    ),
    "aws:s3/bucketVersioning:BucketVersioning": "aws_s3_bucket_versioning",
    "aws:sns/topic:Topic": "aws_sns_topic",
    "aws:sns/topicPolicy:TopicPolicy": "aws_sns_topic_policy",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "aws_vpc_security_group_egress_rule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "aws_vpc_security_group_ingress_rule",
}


def resource(type_: str, name: str = "a", sources: dict[str, list[str]] | None = None, **props: Any) -> Resource:
    return Resource(type=type_, name=name, props=props, urn=f"urn:{type_}::{name}", sources=sources or {})


def test_every_type_that_stacks_use_has_the_name_that_terraform_gives_it() -> None:
    assert set(KINDS) == set(TERRAFORM)
    assert {token: terraform.type_of(token) for token in KINDS} == TERRAFORM


def test_a_plan_says_what_is_known_what_is_not_and_what_refers_to_what() -> None:
    bucket = resource("aws:s3/bucket:Bucket", "a.b", bucket="x", tags={"Name": "x"})
    rules = [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": UNKNOWN}, "bucketKeyEnabled": True}]
    key = resource("aws:kms/key:Key", "k", enableKeyRotation=True)
    encrypted = resource(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        sources={"bucket": [bucket.urn], "rules": [key.urn]},
        bucket=UNKNOWN,
        rules=rules,
    )
    plan = terraform.plan([bucket, key, encrypted])
    values = [each["values"] for each in plan["planned_values"]["root_module"]["resources"]]
    assert values[0] == {"bucket": "x", "tags": {"Name": "x"}}
    assert values[2] == {
        "rule": [{"apply_server_side_encryption_by_default": [{"sse_algorithm": "aws:kms"}], "bucket_key_enabled": True}],
    }
    assert plan["resource_changes"][2]["change"]["after_unknown"] == {
        "bucket": True,
        "rule": [{"apply_server_side_encryption_by_default": [{"kms_master_key_id": True}]}],
    }
    named = plan["configuration"]["root_module"]["resources"][2]["expressions"]
    assert named["bucket"] == {"references": ["aws_s3_bucket.a_b.id", "aws_s3_bucket.a_b"]}
    inside = named["rule"][0]["apply_server_side_encryption_by_default"][0]["kms_master_key_id"]
    assert inside == {"references": ["aws_kms_key.k.id", "aws_kms_key.k"]}


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("subnetIds", [UNKNOWN], "subnet_ids"),
        ("notifications", [{}], "notification"),
        ("blockDeviceMappings", [{}], "block_device_mappings"),
        ("availabilityZoneAddresses", [{}], "availability_zone_address"),
        ("ingress", [{}], "ingress"),
        ("clientIdLists", ["a"], "client_id_list"),
    ],
)
def test_a_list_of_objects_is_a_block_with_a_singular_name(key: str, value: Any, name: str) -> None:
    plan = terraform.plan([resource("aws:ec2/vpc:Vpc", **{key: value})])
    assert list(plan["planned_values"]["root_module"]["resources"][0]["values"]) == [name]


def test_two_resources_with_one_address_are_refused() -> None:
    with pytest.raises(ValueError, match=r"aws_vpc\.a_b"):
        terraform.plan([resource("aws:ec2/vpc:Vpc", "a.b"), resource("aws:ec2/vpc:Vpc", "a_b")])


def test_a_preview_is_read_with_what_it_can_t_know() -> None:
    step = {
        "urn": "urn:pulumi:dev::p::aws:ec2/subnet:Subnet::one",
        "custom": True,
        "type": "aws:ec2/subnet:Subnet",
        "inputs": {"vpcId": UNKNOWN_IN_PREVIEW, "__defaults": [], "tags": {"Name": "one"}},
        "propertyDependencies": {"vpcId": ["urn:vpc"]},
        "sourcePosition": "project:///infra/aws/network.py#77",
    }
    component = {"urn": "urn:x", "custom": False, "type": "mldelivery:aws:Network"}
    (found,) = preview.read(json.dumps({"steps": [{"newState": step}, {"newState": component}, {"op": "delete"}]}))
    assert found.line == "infra/aws/network.py:77"
    assert found.resource.props == {"vpcId": UNKNOWN, "tags": {"Name": "one"}}
    assert (found.resource.name, found.resource.sources) == ("one", {"vpcId": ["urn:vpc"]})
    with pytest.raises(ValueError, match="declares nothing"):
        preview.read('{"steps": []}')


def test_pods_of_rollouts_and_jobs_of_analyses_are_shown_as_kubernetes_own_kinds() -> None:
    template = {"metadata": {}, "spec": {"containers": [{"name": "a", "image": UNKNOWN}]}}
    metadata = {"name": "iris", "namespace": "m", "annotations": {"pulumi.com/patchForce": "true"}}
    rollout = resource(
        "kubernetes:argoproj.io/v1alpha1:Rollout",
        apiVersion="argoproj.io/v1alpha1",
        kind="Rollout",
        metadata=metadata,
        spec={"strategy": {"canary": {}}, "selector": {}, "template": template},
    )
    (shown,) = manifests(rollout)
    assert (shown["apiVersion"], shown["kind"], shown["metadata"]["annotations"]) == ("apps/v1", "Deployment", {})
    assert shown["spec"] == {"selector": {}, "template": {"metadata": {}, "spec": {"containers": [{"name": "a", "image": UNSAID}]}}}
    job = {"spec": {"template": template}}
    metrics = [{"name": "golden", "provider": {"job": job}}, {"name": "errors", "provider": {"prometheus": {}}}]
    analysis = resource(
        "kubernetes:argoproj.io/v1alpha1:AnalysisTemplate", kind="AnalysisTemplate", metadata=metadata, spec={"metrics": metrics}
    )
    (shown,) = manifests(analysis)
    assert (shown["kind"], shown["metadata"]) == ("Job", {"name": "iris-golden", "namespace": "m"})
    target = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "iris"}
    scaler = resource("kubernetes:autoscaling/v2:HorizontalPodAutoscaler", kind="HorizontalPodAutoscaler", spec={"scaleTargetRef": target})
    (shown,) = manifests(scaler)
    assert shown["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "iris"}
    assert list(manifests(resource("kubernetes:helm.sh/v3:Release", chart="traefik"))) == []


def test_policy_documents_are_found_wherever_they_stand() -> None:
    text = '{"Version": "2012-10-17", "Statement": []}'
    role = resource("aws:iam/role:Role", assumeRolePolicy=text, inlinePolicies=[{"name": "x", "policy": text}], description='"Statement"')
    assert list(documents(role)) == [("assumeRolePolicy", text), ("inlinePolicies[0].policy", text)]
    hidden = resource("aws:s3/bucketPolicy:BucketPolicy", policy=UNKNOWN, bucket=UNKNOWN)
    assert (list(documents(hidden)), list(unseen(hidden)), list(unseen(role))) == ([], ["policy"], [])
    assert list(documents(resource("kubernetes:core/v1:ConfigMap", data={"a": text}))) == []


def test_a_statement_is_named_by_the_column_that_a_finding_gives() -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "One", "Action": "a:B"}, {"Action": "c:D"}]})
    assert findings._statement(text, text.index("One") + 1) == "One"
    assert findings._statement(text, text.index("c:D") + 1) == "1"
    assert findings._statement(text, None) == ""


BUCKET = resource("aws:s3/bucket:Bucket", "store")
FOUND = Found(
    "checkov", "CKV_AWS_144", Declared(BUCKET, "infra/aws/bucket.py:41"), Finding(what="w", at="", got="", allowed="", act="mend it")
)


def left(text: str, stack: str = "prod", found: list[Found] | None = None) -> tuple[int, int]:
    """How many findings are left, and how many waivers are without use."""
    kept, idle = waived.left([FOUND] if found is None else found, [BUCKET], waivers.read(text), stack, TODAY)
    return len(kept), len(idle)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("name: store", (0, 0)),
        ("name: st*\n  stack: [dev, prod]", (0, 0)),
        ("name: store\n  stack: dev", (1, 0)),
        ("name: store\n  at: somewhere", (1, 1)),
        ("name: store\n  at: somewhere\n  sometimes: true", (1, 0)),
        ("name: store\n  until: 2026-11-23", (1, 1)),
        ("name: stroe", (1, 1)),
        # What it is for is not in this stack now: a model that does not serve.
        ("type: kubernetes:argoproj.io/v1alpha1:Rollout", (1, 0)),
    ],
)
def test_a_finding_is_waived_by_name_and_a_waiver_without_use_is_told(words: str, expected: tuple[int, int]) -> None:
    assert left(f"- rule: CKV_AWS_144\n  {words}\n  {REASON}\n") == expected


def test_a_waiver_of_a_rule_that_finds_nothing_is_told() -> None:
    assert left(f"- rule: CKV_AWS_1\n  name: store\n  {REASON}\n") == (1, 1)
    assert left(f"- rule: CKV_AWS_144\n  name: store\n  {REASON}\n", found=[]) == (0, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"- rule: [CKV_AWS_144]\n  name: a\n  {REASON}\n", "name one"),
        (f"- rule: CKV_AWS_144\n  {REASON}\n", "waives all of CKV_AWS_144"),
        (f"- rule: CKV_AWS_144\n  name: a\n  sometimes: maybe\n  {REASON}\n", "sometimes: got 'maybe'"),
        ("- rule: CKV_AWS_144\n  name: a\n", "reason"),
    ],
)
def test_a_wrong_waiver_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(waivers.WaiverError, match="allowed: ") as refused:
        waivers.read(text, file="policy/scan/waivers.yaml")
    assert says in str(refused.value) and "policy/scan/waivers.yaml: waiver 1" in str(refused.value)


def test_the_report_names_rule_resource_line_and_next_act() -> None:
    (idle,) = waivers.read(f"- rule: CKV_AWS_1\n  name: store\n  {REASON}\n")
    seen = Seen(3, 2, 1, [FOUND], ["traefik: the objects inside the chart"])
    text = command.report(seen, [FOUND], [idle], "prod")
    assert text.startswith("not seen: traefik: the objects inside the chart\n")
    assert "CKV_AWS_144: store (aws:s3/bucket:Bucket): w" in text and "do:      mend it" in text
    assert "policy/scan/waivers.yaml: waiver 1 (CKV_AWS_1) matches nothing in prod; do: take it out" in text
    assert text.endswith(
        "prod: 3 resources of AWS and 1 policy documents, 2 manifests: 1 found, 0 waived with a reason, 1 waivers without use"
    )


def test_the_waivers_of_this_repository_are_good() -> None:
    assert waived.read()
