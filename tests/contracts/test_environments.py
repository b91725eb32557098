"""Nothing that an environment declares is untagged, unprotected in prod, too widely allowed, or a secret; each rule is seen to fail."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from infra.aws import roles
from infra.aws.bucket import tls_only
from infra.aws.iam import Statement, policy
from infra.aws.keys import key_statements
from infra.aws.names import BUCKETS, bucket
from infra.aws.registry import pulls
from infra.aws.storage import delivery
from infra.aws_config import AwsConfig
from tests.contracts import environments as rules
from tests.unit.aws.declared import CLOUD, Registered, config_of, declared
from toolchain import ROOT

VARIANTS: dict[str, dict[str, Any]] = {
    "dev": {},
    "staging": {},
    "prod": {},
    "prod with node groups": {"cluster": {"compute": "node-groups"}},
    "prod that makes the registry": {"registry": {"made-here": True, "pullers": ["222233334444"]}},
    "prod in a network that exists": {
        "network": {"existing": {"vpc-id": "vpc-1f", "private-subnet-ids": ["subnet-1a", "subnet-1b"]}},
        "cluster": {"private-cidrs": ["10.0.0.0/8"]},
    },
}

READ_OR_LINKED = ("iam:CreateServiceLinkedRole", "iam:GetInstanceProfile")


def resources(variant: str) -> list[Registered]:
    return declared(variant.split()[0], aws=VARIANTS[variant]).resources


def aws_of(variant: str) -> AwsConfig:
    found = config_of(variant.split()[0], aws=VARIANTS[variant]).aws
    assert found is not None
    return found


def known_statements(aws: AwsConfig) -> list[Statement]:
    """Every statement that a component may put into a policy."""
    found = [each for spec in roles.all_roles(aws).values() for each in spec.rights]
    found += [*roles.boundary(aws), *key_statements(aws, for_logs=True), delivery(aws), pulls(aws.registry.pullers)]
    return [*found, *(each for purpose in (*BUCKETS, "access-logs") for each in tls_only(bucket(aws, purpose)))]


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_is_tagged_for_costs_and_hangs_on_a_component(variant: str) -> None:
    assert rules.untagged(resources(variant)) == []
    assert rules.outside_components(resources(variant)) == []


@pytest.mark.parametrize("variant", [each for each in VARIANTS if each.startswith(("prod", "staging"))])
def test_what_holds_data_is_protected(variant: str) -> None:
    assert rules.unprotected(resources(variant)) == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_secret_lies_in_plain_state(variant: str) -> None:
    assert rules.plain_secrets(resources(variant)) == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_right_is_too_wide_and_each_has_its_reason(variant: str) -> None:
    found = list(rules.documents(resources(variant)))
    assert len(found) > 15
    known = known_statements(aws_of(variant))
    # A boundary grants nothing: its own test is below.
    assert [each for where, document in found if where != "Policy boundary" for each in rules.too_wide(where, document)] == []
    assert [each for where, document in found for each in rules.unreasoned(where, document, known)] == []


def test_nobody_within_the_boundary_can_widen_rights() -> None:
    allowed = [action for statement in roles.boundary(aws_of("prod")) if statement.resources == ("*",) for action in statement.actions]
    assert allowed and not [each for each in allowed if each.startswith(("iam:", "organizations:", "*")) and each not in READ_OR_LINKED]
    assert "sts:AssumeRole" not in allowed and "sts:*" not in allowed


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_role_on_the_list_is_made_and_no_other(variant: str) -> None:
    aws = aws_of(variant)
    made = {each.inputs["name"]: each.inputs for each in resources(variant) if each.typ == "aws:iam/role:Role"}
    assert set(made) == {f"{aws.name}-{role}" for role in roles.all_roles(aws)}
    # The two that workflows log in as are outside: a person makes them, and they can't change themselves.
    unbounded = {name for name, inputs in made.items() if "permissionsBoundary" not in inputs}
    assert unbounded == {f"{aws.name}-deploy", f"{aws.name}-preview"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_policies_and_names_are_within_aws_limits_with_the_longest_name(variant: str) -> None:
    aws = aws_of(variant).model_copy(update={"name": "a" * 23})
    for name, spec in roles.all_roles(aws).items():
        assert size(spec.statements) <= 10_240, name
        assert all(size(part) <= 6_144 for part in spec.parts.values()), name
        assert len(f"{aws.name}-{name}") <= 64
    assert size(roles.boundary(aws)) <= 6_144
    assert max(len(bucket(aws, purpose)) for purpose in (*BUCKETS, "access-logs")) <= 63


def test_the_credentials_of_an_update_last_as_long_as_its_job_may() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/cd.yml").read_text(encoding="utf-8"))["jobs"]["up"]
    (login,) = (step["with"] for step in job["steps"] if step.get("uses") == "./.github/actions/aws-login")
    asked = int(login["seconds"])
    assert job["timeout-minutes"] * 60 <= asked
    made = next(each.inputs for each in resources("prod") if each.inputs.get("name") == "mldelivery-prod-deploy")
    assert asked <= made["maxSessionDuration"]
    action = (ROOT / ".github/actions/aws-login/action.yml").read_text(encoding="utf-8")
    assert '--duration-seconds "$DURATION"' in action and "DURATION: ${{ inputs.seconds }}" in action


def size(statements: Sequence[Statement]) -> int:
    """As AWS counts: without spaces."""
    return len(json.dumps(json.loads(policy(statements)), separators=(",", ":")))


def a_resource(typ: str, *, parent: str = "network", provider: str = "aws", protected: bool = False, **inputs: Any) -> Registered:
    return Registered(
        typ=typ, name="it", urn="", inputs=inputs, parent=parent, provider=provider, is_protected=protected, after=(), ignored=()
    )


TAGGING = a_resource("pulumi:providers:aws", parent="", provider="", defaultTags=json.dumps({"tags": dict.fromkeys(rules.COST_TAGS, "x")}))


def test_a_violation_of_each_rule_is_found() -> None:
    vpc, route = a_resource("aws:ec2/vpc:Vpc"), a_resource("aws:ec2/route:Route")
    assert rules.untagged([vpc, route]) == ["aws:ec2/vpc:Vpc it"]
    assert rules.untagged([a_resource("aws:ec2/vpc:Vpc", provider="it"), TAGGING]) == []
    assert rules.outside_components([a_resource("aws:ec2/vpc:Vpc", parent="")]) == ["aws:ec2/vpc:Vpc it"]
    assert rules.unprotected([a_resource("aws:s3/bucket:Bucket", forceDestroy=True)]) == ["it: forceDestroy is True", "it: not protected"]
    assert rules.unprotected([a_resource("aws:s3/bucket:Bucket", forceDestroy=False, protected=True)]) == []
    assert rules.plain_secrets([a_resource("aws:rds/instance:Instance", password="hunter2")]) == ["it: password"]
    assert rules.plain_secrets([a_resource("x", data={"stringData": {"token": "abc"}})]) == ["it: data.stringData.token"]
    assert rules.plain_secrets([a_resource("x", env="AKIAABCDEFGHIJKLMNOP")]) == ["it: env"]
    assert rules.plain_secrets([a_resource("x", secretArn="arn:aws:secretsmanager:x", secretName="database")]) == []


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ({"Action": ["s3:PutObject"], "Resource": ["*"]}, "on everything"),
        ({"Action": ["*"], "Resource": ["arn:aws:s3:::it"]}, "every action"),
        ({"Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::it"], "Principal": {"AWS": "*"}}, "everybody"),
        ({"Action": ["sts:AssumeRoleWithWebIdentity"], "Principal": {"Federated": "github"}}, "every subject"),
    ],
)
def test_a_right_that_is_too_wide_is_found(statement: dict[str, Any], says: str) -> None:
    document = {"Statement": [{"Sid": "It", "Effect": "Allow", **statement}]}
    assert [each for each in rules.too_wide("here", document) if says in each]
    assert rules.unreasoned("here", document, []) == ["here It: no reason"]


def test_a_right_with_a_condition_or_that_only_reads_is_fine() -> None:
    reading = {"Effect": "Allow", "Action": ["ec2:DescribeVpcs", "rds:Describe*"], "Resource": ["*"]}
    bound = {"Effect": "Allow", "Action": ["kms:CreateKey"], "Resource": ["*"], "Condition": {"Null": {"x": "false"}}}
    assert rules.too_wide("here", {"Statement": [reading, bound]}) == []


@pytest.mark.parametrize("stack", CLOUD)
def test_reading_the_program_needs_no_credentials_and_no_network(stack: str) -> None:
    code = (
        "import socket\n"
        "def refuse(*_, **__): raise AssertionError('the network was asked')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        f"import stacks.{stack}, infra.aws.roles, infra.aws.reference\n"
    )
    clean = {"PATH": "/usr/bin:/bin", "AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
