"""MLflow's server in a cluster as plain objects: what it is told, who reaches it, and that no secret stands in any of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra.config import TrackingConfig, parse
from infra.errors import ConfigError
from infra.kubernetes import tracking
from infra.tracking import IMAGE, client_environment, image_in_use
from tests.contracts.workloads import unsafe_pods
from tests.unit.infra.kubernetes_models import cluster
from tests.unit.infra.recorded import Recorded
from tests.unit.infra.test_kubernetes_components import declare, names

MADE = "mlflow@sha256:" + "b" * 64
VALUES: dict[str, Any] = {
    "url": "https://models.test:8443/mlflow",
    "database": {"host": "10.1.2.3", "secret": "db", "ca-config-map": "db-ca"},
    "artifacts": {"bucket": "runs", "endpoint": "http://10.1.2.4:9000", "secret": "store"},
}


def config(**values: Any) -> TrackingConfig:
    return TrackingConfig.model_validate({**VALUES, **values})


def objects(given: TrackingConfig) -> list[dict[str, Any]]:
    return [
        tracking.service_account(given),
        *tracking.network_policies(given, "existing"),
        tracking.disruption_budget(given),
        tracking.deployment(given, f"registry.test/{MADE}"),
        tracking.service(given),
        *tracking.middlewares(given),
        tracking.route(given, cluster().gateway),
    ]


def pod(given: TrackingConfig) -> dict[str, Any]:
    return dict(tracking.deployment(given, f"registry.test/{MADE}")["spec"]["template"]["spec"])


def environment(given: TrackingConfig) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in pod(given)["containers"][0]["env"]}


@pytest.mark.parametrize(
    "given", [config(), config(artifacts={"bucket": "runs"}, database={"host": "db", "secret": "s", "ssl-mode": "require"})]
)
def test_its_pods_are_as_confined_as_all_others(given: TrackingConfig) -> None:
    assert unsafe_pods(objects(given)) == []


def test_what_is_secret_comes_from_secrets_by_name() -> None:
    found = environment(config())
    for name, (holder, key) in {
        "PGUSER": ("db", "username"),
        "PGPASSWORD": ("db", "password"),
        "AWS_ACCESS_KEY_ID": ("store", "access-key-id"),
        "AWS_SECRET_ACCESS_KEY": ("store", "secret-access-key"),
    }.items():
        assert found[name] == {"secretKeyRef": {"name": holder, "key": key}}
    assert all("@" not in word for word in tracking.command(config()))


def test_without_a_secret_for_the_store_the_service_account_has_the_rights() -> None:
    found = environment(config(artifacts={"bucket": "runs", "region": "eu-central-1"}))
    assert not [name for name in found if "KEY" in name or "ENDPOINT" in name]
    assert found["AWS_DEFAULT_REGION"] == "eu-central-1"
    assert tracking.service_account(config())["automountServiceAccountToken"] is False


def test_the_database_is_checked_by_the_certificate_that_config_names() -> None:
    assert environment(config())["PGSSLMODE"] == "verify-full"
    assert environment(config())["PGSSLROOTCERT"] == "/etc/database/ca.crt"
    assert {"name": "ca", "configMap": {"name": "db-ca"}} in pod(config())["volumes"]
    plain = config(database={"host": "db", "secret": "db", "ssl-mode": "disable"})
    assert "PGSSLROOTCERT" not in environment(plain)
    assert [volume["name"] for volume in pod(plain)["volumes"]] == ["tmp"]


def test_it_answers_to_its_names_alone_and_runs_no_jobs_and_no_telemetry() -> None:
    (hosts,) = [word.partition("=")[2] for word in tracking.command(config()) if word.startswith("--allowed-hosts=")]
    assert hosts.split(",") == [
        "models.test:8443",
        "mlflow",
        "mlflow.mldelivery-tracking",
        "mlflow.mldelivery-tracking.svc",
        "mlflow.mldelivery-tracking.svc.cluster.local",
    ]
    assert "--cors-allowed-origins=https://models.test:8443" in tracking.command(config())
    found = environment(config())
    assert found["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert found["MLFLOW_DISABLE_TELEMETRY"] == found["DO_NOT_TRACK"] == "true"


def test_the_database_is_migrated_before_the_server_of_the_same_image_starts() -> None:
    spec = pod(config())
    (migration,), (server,) = spec["initContainers"], spec["containers"]
    assert migration["image"] == server["image"] == f"registry.test/{MADE}"
    assert migration["env"] == server["env"]
    assert migration["command"][-1].startswith("postgresql+psycopg://10.1.2.3:5432/mlflow?")
    compile(migration["command"][2], "migrate", "exec")
    assert "pg_advisory_lock" in migration["command"][2]


def test_readiness_asks_the_database_and_liveness_does_not() -> None:
    (server,) = pod(config())["containers"]
    assert "experiments/search" in server["readinessProbe"]["httpGet"]["path"]
    assert server["livenessProbe"]["httpGet"]["path"] == server["startupProbe"]["httpGet"]["path"] == "/health"
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        assert server[probe]["httpGet"]["httpHeaders"] == [{"name": "Host", "value": "mlflow"}]


def test_every_path_is_behind_the_account_which_the_server_never_sees() -> None:
    first, *_ = tracking.middlewares(config(**{"users-secret": "people"}))
    assert first["spec"] == {"basicAuth": {"secret": "people", "realm": "mlflow", "removeHeader": True}}
    (rule,) = tracking.route(config(), cluster().gateway)["spec"]["routes"]
    assert [each["name"] for each in rule["middlewares"]] == ["mlflow-users", "mlflow-slash", "mlflow-strip"]
    assert rule["match"] == "Host(`models.test`) && (Path(`/mlflow`) || PathPrefix(`/mlflow/`))"


def test_a_host_of_its_own_needs_no_path() -> None:
    given = config(url="https://mlflow.models.test")
    route = tracking.route(given, cluster(**{"tls-secret": "certificate"}).gateway)["spec"]
    (rule,) = route["routes"]
    assert rule["match"] == "Host(`mlflow.models.test`)"
    assert [each["name"] for each in rule["middlewares"]] == ["mlflow-users"]
    assert route["tls"] == {"secretName": "certificate"} and route["entryPoints"] == ["websecure"]


def test_only_the_gateway_reaches_it_and_it_only_what_it_needs() -> None:
    deny, own = tracking.network_policies(config(), "existing")
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (way,) = own["spec"]["ingress"]
    assert way["from"] == [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "traefik"}}}]
    names_, database, store = own["spec"]["egress"]
    assert {port["port"] for port in names_["ports"]} == {53}
    assert database == {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"protocol": "TCP", "port": 5432}]}
    assert store == {"to": [{"ipBlock": {"cidr": "10.1.2.4/32"}}], "ports": [{"protocol": "TCP", "port": 9000}]}
    _, aws = tracking.network_policies(config(artifacts={"bucket": "runs"}), "existing")
    assert aws["spec"]["egress"][2]["ports"] == [{"protocol": "TCP", "port": 443}]


def test_a_server_without_a_secret_for_its_store_reaches_the_agent_that_hands_out_its_rights() -> None:
    _, policy = tracking.network_policies(config(artifacts={"bucket": "runs"}), "charts")
    agent = {"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": [{"protocol": "TCP", "port": 80}]}
    assert agent in policy["spec"]["egress"]
    _, policy = tracking.network_policies(config(), "charts")
    assert agent not in policy["spec"]["egress"]


def test_it_is_one_component_in_a_namespace_of_its_own(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".local" / IMAGE).parent.mkdir(parents=True)
    (tmp_path / ".local" / IMAGE).write_text(f"{MADE}\n")
    found = declare(recorded, tmp_path, monkeypatch, kubernetes={"tracking": VALUES})
    order = names(found)
    for before, after in (
        ("mldelivery-tracking-namespace", "mlflow-deployment"),
        ("mlflow-networkpolicy", "mlflow-deployment"),
        ("mlflow-deployment", "mlflow-service"),
        ("mlflow-users-middleware", "mlflow-ingressroute"),
    ):
        assert order.index(before) < order.index(after)
    server = found.named("mlflow-deployment")
    assert server["metadata"]["namespace"] == "mldelivery-tracking"
    assert server["spec"]["template"]["spec"]["containers"][0]["image"] == f"registry.test/models/{MADE}"
    assert "mldelivery:kubernetes:Tracking" in {resource.typ for resource in found.resources}


def test_a_preview_where_the_image_was_never_made_shows_it_as_unknown_and_an_update_refuses(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi.runtime.set_mocks(recorded, project="mldelivery", stack="cluster", preview=True)
    found = declare(recorded, tmp_path, monkeypatch, kubernetes={"tracking": VALUES}).named("mlflow-deployment")
    (server,) = found["spec"]["template"]["spec"]["containers"]
    # What is not known yet is left out of what is recorded here.
    assert "image" not in server and server["name"] == "mlflow"
    pulumi.runtime.set_mocks(recorded, project="mldelivery", stack="cluster", preview=False)
    with pytest.raises(ConfigError, match="no image yet"):
        declare(recorded, tmp_path / "new", monkeypatch, kubernetes={"tracking": VALUES})


def test_there_is_none_where_config_asks_for_none(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [name for name in names(declare(recorded, tmp_path, monkeypatch)) if "mlflow" in name]


def test_the_image_is_what_config_names_or_what_was_made_here(tmp_path: Path) -> None:
    named = cluster().model_copy(update={"tracking": config(image=MADE)})
    assert image_in_use(named, tmp_path, file="Pulumi.cluster.yaml") == MADE
    unnamed = cluster().model_copy(update={"tracking": config()})
    with pytest.raises(ConfigError, match=r"Pulumi.cluster.yaml: mldelivery:kubernetes.tracking.image: .*no image yet") as error:
        image_in_use(unnamed, tmp_path, file="Pulumi.cluster.yaml")
    assert "make up STACK=cluster" in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"namespace": "mldelivery"}, "would go with it"),
        ({"url": "http://models.test"}, "should match pattern"),
        ({"url": "https://models.test/a/b"}, "should match pattern"),
        ({"image": "mlflow:latest"}, "should match pattern"),
        ({"database": {"host": "db", "secret": "db"}}, "needs a ca-config-map"),
        ({"database": {"host": "db", "secret": "db", "password": "x"}}, "unknown key 'password'"),
        ({"artifacts": {"bucket": "s3://runs"}}, "should match pattern"),
    ],
)
def test_what_can_not_be_right_is_refused(change: dict[str, Any], words: str) -> None:
    kubernetes = {
        "registry": "registry.test",
        "prometheus": "http://prometheus.test:9090",
        "gateway": {"url": "https://models.test", "internal-url": "http://traefik.test:8082"},
        "tracking": {**VALUES, **change},
    }
    with pytest.raises(ConfigError, match=words) as error:
        parse({"target": "kubernetes", "kubernetes": kubernetes, "models": {}}, file="Pulumi.cluster.yaml")
    assert "Pulumi.cluster.yaml: mldelivery:kubernetes" in str(error.value)


def test_a_client_is_told_where_and_by_which_account(tmp_path: Path) -> None:
    (tmp_path / "account.json").write_text(json.dumps({"username": "mlflow", "password": "p"}))
    kubernetes = cluster(ca="ca.crt").model_copy(update={"tracking": config(account="account.json")})
    assert client_environment(kubernetes, tmp_path, file="Pulumi.cluster.yaml") == {
        "MLFLOW_TRACKING_URI": "https://models.test:8443/mlflow",
        "MLFLOW_TRACKING_SERVER_CERT_PATH": str(tmp_path / "ca.crt"),
        "MLFLOW_TRACKING_USERNAME": "mlflow",
        "MLFLOW_TRACKING_PASSWORD": "p",
    }
    assert client_environment(cluster(), tmp_path, file="Pulumi.cluster.yaml") == {}


@pytest.mark.parametrize("text", [None, "not json", "[]", "{}"])
def test_an_account_that_can_not_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "account.json").write_text(text)
    kubernetes = cluster().model_copy(update={"tracking": config(account="account.json")})
    with pytest.raises(ConfigError, match=r"kubernetes.tracking.account: the account for MLflow cannot be read"):
        client_environment(kubernetes, tmp_path, file="Pulumi.cluster.yaml")
