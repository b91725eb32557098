"""The network: three private zones, ways out by size, private ways to AWS; or somebody else's, read and never changed."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

from infra.aws.existing_network import existing_network, terraform_outputs
from infra.aws.network import INTERFACE_ENDPOINTS, cut
from infra.aws_config import ExistingNetworkConfig
from infra.errors import ConfigError
from stacks import environment
from tests.unit.aws.declared import Declared, declare, declared


def state(**outputs: Any) -> str:
    return json.dumps({"version": 4, "outputs": {name: {"value": value} for name, value in outputs.items()}})


TERRAFORM = state(vpc_id="vpc-1f", private_subnets=["subnet-1a", "subnet-1b"], db_password="not looked at")


@pytest.mark.parametrize(("cidr", "zones"), [("10.0.0.0/16", 3), ("10.0.0.0/20", 3), ("172.16.0.0/18", 2)])
def test_networks_are_cut_without_overlap_and_lie_inside(cidr: str, zones: int) -> None:
    found = cut(cidr, zones)
    networks = [ipaddress.ip_network(each) for each in (*found.private, *found.public)]
    assert len(networks) == 2 * zones
    assert all(each.subnet_of(ipaddress.ip_network(cidr)) for each in networks)  # type: ignore[arg-type]
    assert not any(one.overlaps(other) for one in networks for other in networks if one is not other)


@pytest.mark.parametrize(("nat", "gateways", "public"), [("none", 0, 0), ("one", 1, 1), ("zone", 3, 3)])
def test_ways_out_are_as_many_as_config_says(nat: str, gateways: int, public: int) -> None:
    cloud = declared("prod", aws={"network": {"nat": nat}})
    assert len(cloud.of("NatGateway")) == len(cloud.of("Eip")) == gateways
    assert len([each for each in cloud.of("Subnet") if "public" in each.name]) == public
    assert len([each for each in cloud.of("Subnet") if "private" in each.name]) == 3
    assert len(cloud.of("InternetGateway")) == (1 if gateways else 0)
    out = [each.inputs for each in cloud.of("Route") if "natGatewayId" in each.inputs]
    assert len(out) == (3 if gateways else 0)
    assert len({each["natGatewayId"] for each in out}) == gateways


def test_no_machine_gets_a_public_address_and_the_default_group_reaches_nothing() -> None:
    cloud = declared("prod")
    assert {each.inputs["mapPublicIpOnLaunch"] for each in cloud.of("Subnet")} == {False}
    default = cloud.named("DefaultSecurityGroup", "network")
    assert default["ingress"] == [] and default["egress"] == []


def test_prod_reaches_aws_by_endpoints_and_dev_by_its_way_out() -> None:
    cloud = declared("prod")
    services = {each.inputs["serviceName"].removeprefix("com.amazonaws.eu-central-1.") for each in cloud.of("VpcEndpoint")}
    assert services == {"s3", *INTERFACE_ENDPOINTS}
    interfaces = [each.inputs for each in cloud.of("VpcEndpoint") if each.inputs["vpcEndpointType"] == "Interface"]
    assert all(each["privateDnsEnabled"] and len(each["subnetIds"]) == 3 for each in interfaces)
    assert cloud.named("SecurityGroupIngressRule", "network-endpoints")["cidrIpv4"] == "10.30.0.0/16"


def test_every_connection_is_recorded() -> None:
    cloud = declared("dev")
    assert cloud.named("FlowLog", "network-flow")["trafficType"] == "ALL"
    group = cloud.named("LogGroup", "network-flow")
    assert group["retentionInDays"] == 30 and group["kmsKeyId"]


@pytest.mark.parametrize(
    "existing",
    [
        {"vpc-id": "vpc-1f", "private-subnet-ids": ["subnet-1a", "subnet-1b"]},
        {"terraform-state": "estate/terraform.tfstate"},
        {"terraform-state": "s3://estate/network.tfstate"},
    ],
)
def test_an_existing_network_is_used_and_not_touched(
    cloud: Declared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: dict[str, Any]
) -> None:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    (tmp_path / "estate").mkdir()
    (tmp_path / "estate" / "terraform.tfstate").write_text(TERRAFORM)
    cloud.answers["aws:s3/getObject:getObject"] = {"body": TERRAFORM}
    declare(cloud, "prod", aws={"network": {"existing": existing}, "cluster": {"private-cidrs": ["10.0.0.0/8"]}})
    made = {each.typ for each in cloud.resources if each.typ.startswith("aws:ec2/")}
    assert made == {"aws:ec2/securityGroup:SecurityGroup"}, "the groups of the database and of the cluster's API are all"
    assert {each.inputs["vpcId"] for each in cloud.of("SecurityGroup")} == {"vpc-1f"}
    assert cloud.named("Cluster", "cluster")["vpcConfig"]["subnetIds"] == ["subnet-1a", "subnet-1b"]
    assert not [each for each in cloud.resources if "not looked at" in str(each.inputs.values())]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not JSON", "is not a Terraform state"),
        ('{"outputs": {}}', "is not a Terraform state"),
        ('{"version": 3, "outputs": {}}', "of a version that is not known"),
        (state(vpc="vpc-1"), "has no output 'vpc_id'"),
        (state(vpc_id="vpc-1", private_subnets=["subnet-1"]), "has outputs of another kind"),
        (state(vpc_id=["vpc-1"], private_subnets=["subnet-1", "subnet-2"]), "has outputs of another kind"),
    ],
)
def test_a_terraform_state_that_does_not_fit_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        terraform_outputs(text, ExistingNetworkConfig.model_validate({"terraform-state": "x"}), state="x", where="Pulumi.prod.yaml: key")
    assert says in str(refused.value) and "Pulumi.prod.yaml: key" in str(refused.value)


def test_a_terraform_state_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    config = ExistingNetworkConfig.model_validate({"terraform-state": "gone.tfstate"})
    with pytest.raises(ConfigError, match=r"Pulumi.prod.yaml: key: cannot be read.*\n.*gone.tfstate"):
        existing_network(config, root=tmp_path, where="Pulumi.prod.yaml: key")
