"""An environment on AWS whose pods run in a real cluster: dev, by its own program and command, up, promoted and taken down.

Its account is a simulator of AWS. Where EKS and charts would be stands the node here (``compute: elsewhere``); where MLflow would
reach RDS and S3, the node's PostgreSQL and its S3 server, with a bucket of the name that dev declares.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from infra import ladder
from infra.release import load
from tests import invariants
from tests.clustered import NODE, ClusterStack
from tests.laptop import ROOT
from tests.project import without_plugins
from tests.simulator import Simulator, simulator
from tests.tracked import Tracked, tracked_by
from toolchain.cluster import STORE, Place
from toolchain.providers import attached
from toolchain.providers.attach import VARIABLE

pytestmark = pytest.mark.timeout(900)

AWS = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8"))["config"]["mldelivery:aws"]
ARTIFACTS = f"{AWS['name']}-artifacts-{AWS['account']}"
BUCKETS = [f"{AWS['name']}-{purpose}-{AWS['account']}" for purpose in ("access-logs", "artifacts", "releases", "requests", "snapshots")]


@dataclass
class Environment(ClusterStack):
    """A copy whose stack is dev, its models elsewhere than in EKS; records lie in the checkout, as for every environment on AWS."""

    stack: str = "dev"

    @property
    def state(self) -> Path:
        """Beside the checkout: an environment's is shared by all who work on it."""
        return self.root.parent / "shared" / ".pulumi"

    @property
    def releases(self) -> Path:
        return self.root

    def configure(self, models: Mapping[str, Mapping[str, Any]]) -> None:
        super().configure(models)
        document = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        document["config"]["mldelivery:aws"]["cluster"]["compute"] = "elsewhere"
        self.config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def resources(self) -> list[dict[str, Any]]:
        """What the engine's state holds."""
        file = self.state / "stacks" / "mldelivery" / "dev.json"
        if not file.is_file():
            return []
        return list(json.loads(file.read_text(encoding="utf-8"))["checkpoint"]["latest"].get("resources", []))


@pytest.fixture(scope="module")
def aws() -> Iterator[Simulator]:
    """A simulator whose account is dev's."""
    with simulator(AWS["account"]) as made:
        assert made.contents() == {}
        yield made


@pytest.fixture(scope="module")
def tracked(town: ClusterStack, aws: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracked]:
    """Dev, up: its account, MLflow in the cluster, and iris 1, which was made before and whose image the registry has."""
    dev = Environment.make(tmp_path_factory.mktemp("environment"))
    for path in (*(f"releases/iris/1{end}" for end in (".yaml", ".image.yaml", ".dsse.json")), "bentos/iris/1", "snapshots/iris"):
        take(town.store / path, dev.root / path)
    take(town.store / "keys", dev.store / "keys")
    # How slow is too slow is asked by the scenarios; here MLflow and a simulator of AWS share the machine.
    dev.configure({"iris": {"champion": 1, "slo": {"error-rate": 0.02, "p99-ms": 1000}}})
    folder = tmp_path_factory.mktemp("engine")
    settings = {**without_plugins(folder), "AWS_ENDPOINT_URL": aws.endpoint}
    with attached(settings, "aws") as environment, tracked_by(dev, bucket=ARTIFACTS) as made:
        dev.environment |= {
            VARIABLE: environment[VARIABLE],
            "PULUMI_BACKEND_URL": f"file://{dev.state.parent}",
            "PULUMI_CONFIG_PASSPHRASE": "of this test",
        }
        made.configure()
        try:
            dev.said = dev.up()
            yield made
        finally:
            if dev.resources():
                dev.destroy()


def take(source: Path, target: Path) -> None:
    """Copy a file or folder of a release to where it lies in another store."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)


@pytest.fixture
def dev(tracked: Tracked) -> Environment:
    assert isinstance(tracked.stack, Environment)
    return tracked.stack


def test_one_command_makes_the_account_and_the_cluster_what_dev_declares(dev: Environment, aws: Simulator) -> None:
    assert f"https://{dev.host}" in dev.said and f"MLflow     https://{NODE}" in dev.said, dev.said
    assert dev.ask(dev.golden(1)[-1]["request"])[1]["x-release"] == "1"
    s3 = aws.client("s3")
    assert sorted(each["Name"] for each in s3.list_buckets()["Buckets"]) == BUCKETS
    (rule,) = s3.get_bucket_encryption(Bucket=ARTIFACTS)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert set(s3.get_public_access_block(Bucket=ARTIFACTS)["PublicAccessBlockConfiguration"].values()) == {True}
    (database,) = aws.client("rds").describe_db_instances()["DBInstances"]
    assert (database["DBInstanceIdentifier"], database["DBName"], database["PubliclyAccessible"]) == (AWS["name"], "mlflow", False)
    repositories = aws.client("ecr").describe_repositories()["repositories"]
    assert {each["repositoryName"] for each in repositories} == {"mldelivery/iris", "mldelivery/mlflow"}
    # The models run elsewhere.
    assert aws.client("eks").list_clusters()["clusters"] == []


def test_a_release_of_dev_is_tracked_by_mlflow_in_pods_with_its_artifacts_in_an_s3_server(tracked: Tracked, dev: Environment) -> None:
    out = dev.ok("release", "iris", "--stack", "dev")
    assert "MLflow version 1 is released" in out and "release 2 is made" in out, out
    assert tracked.ready() == 1
    keys = dict(line.split("=", 1) for line in (Place().accounts / "store.env").read_text().split())
    named = {"aws_access_key_id": keys["ROOT_ACCESS_KEY_ID"], "aws_secret_access_key": keys["ROOT_SECRET_ACCESS_KEY"]}
    s3 = boto3.session.Session().client("s3", region_name="us-east-1", endpoint_url=f"http://{NODE}:{STORE}", **named)
    kept = [each["Key"] for each in s3.list_objects_v2(Bucket=ARTIFACTS)["Contents"]]
    assert [key for key in kept if key.endswith("/model.skops")], kept
    code = """
        found = client.get_model_version("iris", "1")
        mlflow.artifacts.download_artifacts(artifact_uri=client.get_model_version_download_uri("iris", "1"), dst_path="downloaded")
        print(json.dumps([found.tags["mldelivery.state"], sorted(path.name for path in Path("downloaded").rglob("*.skops"))]))
    """
    assert json.loads(tracked.client(code).splitlines()[-1]) == ["released", ["model.skops"]]
    assert not (dev.releases / "mlflow").exists()
    assert "nothing changed" in dev.ok("release", "iris", "--stack", "dev")


def test_the_number_is_the_promotion_and_the_record_that_staging_asks_for_comes_of_it(dev: Environment) -> None:
    before = invariants.records(dev)
    dev.champion(2)
    with dev.load(rate=30) as users:
        out = dev.up()
        users.wait_for(20)
    assert "iris: 1 -> 2 | 4/4 bake at 100 % | pass" in out, out
    assert {run["status"]["phase"] for run in dev.objects("analysisruns")} == {"Successful"}
    invariants.check(dev, champion=2, load=users, between={1, 2}, before=before, reconcile=False)
    served = ladder.check_climb(load(dev.root, "iris", 2), dev.root, "staging", where="staging")
    assert served is not None and served.baked


def test_nothing_is_left_in_the_account_nor_in_the_cluster(tracked: Tracked, dev: Environment, aws: Simulator) -> None:
    dev.destroy()
    assert aws.contents() == {}
    # What its Secrets' owner put there stays.
    assert not tracked.kubectl("get", "deployments,pods,ingressroutes,services,networkpolicies", "--output=name")
