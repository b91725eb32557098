"""The section aws: what can't be right is refused with the key and the next act."""

from __future__ import annotations

from typing import Any

import pytest

from infra.config import StackConfig
from infra.errors import ConfigError
from stacks import program
from tests.unit.aws.declared import CLOUD, config_of

OWN = {
    "registry": "registry.test/models",
    "prometheus": "http://prometheus.test:9090",
    "gateway": {"url": "https://models.test", "internal-url": "http://traefik.test:8082"},
}


@pytest.mark.parametrize("stack", CLOUD)
def test_each_file_is_whole_and_boots_before_its_first_model(stack: str) -> None:
    config = config_of(stack)
    assert config.target == "eks" and config.aws is not None
    assert {model.champion for model in config.models.values()} == {None}
    assert config.aws.name == f"mldelivery-{stack}"


def test_the_cluster_is_known_from_the_account_alone() -> None:
    cluster = config_of("prod").kubernetes
    assert cluster is not None
    assert cluster.registry == "111122223333.dkr.ecr.eu-central-1.amazonaws.com/mldelivery"
    assert cluster.platform == "charts"
    assert cluster.gateway.url == "https://models.example.com"
    assert cluster.kubeconfig == ".local/kubeconfig/mldelivery-prod"


def test_a_role_of_sso_is_known_by_its_whole_path() -> None:
    role = "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-central-1/AWSReservedSSO_Admin_0a1b"
    config = config_of("dev", aws={"cluster": {"admins": [role]}})
    assert config.aws is not None and config.aws.cluster.admins == [role]


def test_the_store_of_mlflow_lies_in_the_environments_region_until_it_is_said_otherwise() -> None:
    database = {"host": "database.test", "secret": "mlflow-database", "ca-config-map": "rds-ca"}
    for given, region in (({}, "eu-central-1"), ({"region": "eu-west-1"}, "eu-west-1")):
        tracking = {"url": "https://models.test/mlflow", "database": database, "artifacts": {"bucket": "runs", **given}}
        cluster = config_of("dev", kubernetes={"tracking": tracking}).kubernetes
        assert cluster is not None and cluster.tracking is not None
        assert cluster.tracking.artifacts.region == region


def test_a_section_kubernetes_of_ones_own_is_taken_as_it_is() -> None:
    cluster = config_of("dev", aws={"cluster": {"compute": "elsewhere"}}, kubernetes=OWN).kubernetes
    assert cluster is not None and cluster.registry == "registry.test/models"


@pytest.mark.parametrize(
    ("changes", "key", "says"),
    [
        ({"account": 111122223333}, "aws.account", "valid string"),
        ({"account": "1234"}, "aws.account", "pattern"),
        ({"acount": "1"}, "aws.acount", "did you mean 'account'?"),
        ({"cluster": {"public-cidrs": ["0.0.0.0/0"]}}, "aws.cluster.public-cidrs.0", "that is everybody"),
        ({"cluster": {"public-cidrs": ["::/0"]}}, "aws.cluster.public-cidrs.0", "that is everybody"),
        (
            {"cluster": {"admins": ["arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0a1b"]}},
            "aws.cluster.admins.0",
            "aws iam get-role --role-name AWSReservedSSO_Admin_0a1b",
        ),
        ({"cluster": {"private-cidrs": ["0.0.0.0/0"]}}, "aws.cluster.private-cidrs.0", "that is everybody"),
        ({"cluster": {"private-cidrs": ["fd00::/8"]}}, "aws.cluster.private-cidrs.0", "IPv4"),
        ({"network": {"existing": {"stack": "a/b/c"}}}, "aws", "nobody reaches the cluster's API: give cluster.private-cidrs"),
        ({"cluster": {"compute": "elsewhere"}}, "", "needs a section 'kubernetes'"),
        ({"cluster": {"node-group": {"minimum": 3, "maximum": 2}}}, "aws.cluster.node-group", "maximum is below minimum"),
        ({"network": {"cidr": "10.0.0.0/24"}}, "aws.network", "/16 to /20"),
        ({"network": {"nat": "none", "endpoints": "gateway"}}, "aws.network", "endpoints: all"),
        ({"network": {"existing": {}}}, "aws.network.existing", "give either"),
        ({"network": {"existing": {"vpc-id": "vpc-1f", "stack": "a/b/c"}}}, "aws.network.existing", "give either"),
        ({"network": {"existing": {"vpc-id": "vpc-1f"}}}, "aws.network.existing", "two 'private-subnet-ids'"),
        ({"database": {"storage-gib": 100}}, "aws.database", "maximum-storage-gib"),
        ({"budget": {"emails": []}}, "aws.budget.emails", "at least 1 item"),
        ({"registry": {"made-here": True, "account": "222233334444"}}, "aws.registry", "lies in this account"),
        ({"gateway": {"certificate": "arn:aws:iam::111122223333:x"}}, "aws.gateway.certificate", "pattern"),
        ({"region": "eu-west-1"}, "aws", "gateway.certificate lies in eu-central-1 of account 111122223333"),
        ({"account": "222233334444"}, "aws", "a load balancer takes one of its own region and account"),
    ],
)
def test_what_cannot_be_right_is_refused(changes: dict[str, Any], key: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config_of("prod", aws=changes)
    assert f"Pulumi.prod.yaml: mldelivery:{key}" in str(refused.value)
    assert says in str(refused.value)


def test_target_and_section_belong_together() -> None:
    with pytest.raises(ConfigError, match="'eks' needs a section 'aws'"):
        config_of("dev", target="kubernetes", kubernetes=OWN)


def test_the_program_reads_every_key_of_a_stacks_config() -> None:
    assert set(program._KEYS) == {field.alias for field in StackConfig.model_fields.values()}
