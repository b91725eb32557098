"""A model in an environment: declared as in any cluster, after what the stack below has seen of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra import ladder
from infra.errors import ReleaseError
from infra.kubernetes.analysis import GOLDEN_SECONDS
from infra.release import Release, write
from stacks import environment
from tests.unit.aws.declared import Declared, declare, declared
from tests.unit.infra.test_release import document

IMAGE = "iris@sha256:" + "b" * 64


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    return write(tmp_path, {**document(tmp_path, 5), "image": IMAGE})


def test_it_runs_the_registrys_image_in_the_environments_cluster(cloud: Declared, tmp_path: Path, record: Release) -> None:
    ladder.write(tmp_path, record, "staging", since="2026-11-24T12:00:00Z", baked=True)
    declare(cloud, "prod", models={"iris": {"champion": 5}})
    pod = cloud.named("Rollout", "iris-rollout")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"111122223333.dkr.ecr.eu-central-1.amazonaws.com/mldelivery/{IMAGE}"
    watch = cloud.named("RolloutWatch", "rollout-iris")
    assert watch["evidence"]["champion"]["below"] == "staging serves it since 2026-11-24T12:00:00Z, baked"
    assert "eks" in watch["wiring"]["kubeconfig"] and watch["wiring"]["kubeconfig"] == cloud.named("kubernetes", "cluster")["kubeconfig"]
    assert cloud.named("RolloutGuard", "guard-iris")["kubeconfig"] == watch["wiring"]["kubeconfig"]
    made = [each for each in cloud.resources if each.typ.startswith("kubernetes:")]
    assert {each.provider for each in made} == {"cluster"}


def test_its_pods_and_jobs_have_the_time_that_auto_mode_needs_to_start_a_node(cloud: Declared, record: Release) -> None:
    declare(cloud, "dev", models={"iris": {"champion": record.release}})
    node_seconds = 300
    assert cloud.named("Rollout", "iris-rollout")["spec"]["progressDeadlineSeconds"] == 20 + node_seconds
    (golden,) = cloud.named("AnalysisTemplate", "iris-golden-analysistemplate")["spec"]["metrics"]
    assert golden["provider"]["job"]["spec"]["activeDeadlineSeconds"] == GOLDEN_SECONDS + node_seconds
    # While a node starts nothing moves, and the watch does not give up before Argo Rollouts does.
    assert cloud.named("RolloutWatch", "rollout-iris")["wiring"]["node_seconds"] == node_seconds


def test_dev_is_the_bottom_and_shows_nothing_below(cloud: Declared, record: Release) -> None:
    declare(cloud, "dev", models={"iris": {"champion": record.release}})
    assert "below" not in cloud.named("RolloutWatch", "rollout-iris")["evidence"]["champion"]


def test_what_did_not_climb_is_refused_before_anything_of_it_is_declared(cloud: Declared, record: Release) -> None:
    with pytest.raises(
        ReleaseError, match=r"Pulumi.prod.yaml: mldelivery:models.iris.champion: release 5 of iris was never served on staging"
    ):
        declare(cloud, "prod", models={"iris": {"champion": record.release}})
    assert not cloud.of("Rollout")


def test_a_model_adds_few_resources(cloud: Declared, tmp_path: Path, record: Release) -> None:
    ladder.write(tmp_path, record, "staging", since="2026-11-24T12:00:00Z", baked=True)
    without = len(declared("prod").resources)
    added = len(declare(cloud, "prod", models={"iris": {"champion": 5}}).resources) - without
    assert added <= 25, added


def test_mlflow_runs_there_when_it_is_told_where_its_database_is(cloud: Declared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    tracking = {
        "url": "https://models.example.com/mlflow",
        "image": "mlflow@sha256:" + "c" * 64,
        "database": {"host": "database.test", "secret": "mlflow-database", "ca-config-map": "rds-ca"},
        "artifacts": {"bucket": "mldelivery-prod-artifacts-111122223333"},
    }
    declare(cloud, "prod", kubernetes={"tracking": tracking})
    pod = cloud.named("Deployment", "mlflow-deployment")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"].startswith("111122223333.dkr.ecr.eu-central-1.amazonaws.com/mldelivery/mlflow@sha256:")
    told = cloud.named("PodIdentityAssociation", "workload-roles-tracking")
    assert (told["namespace"], told["serviceAccount"]) == ("mldelivery-tracking", pod["serviceAccountName"])
    order = [each.name for each in cloud.resources]
    assert order.index("traefik") < order.index("mlflow-deployment")
