"""The real engine over the environments on AWS: each previewed offline from nothing, and dev brought up against a simulator of AWS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.laptop import Laptop
from tests.project import Project, without_plugins
from tests.simulator import Simulator, simulator
from toolchain.providers import attached

pytestmark = pytest.mark.timeout(600)

# The cluster's own part needs a cluster, which a simulator of AWS has not.
CLOUD_ONLY = ("--exclude", "**kubernetes:**", "--exclude-dependents")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A copy of the checkout, with nothing running."""
    made = Laptop.make(tmp_path_factory.mktemp("environments"))
    yield made
    made.destroy()


@pytest.fixture(scope="module")
def aws(copy: Laptop) -> Iterator[Simulator]:
    """A simulator whose account is dev's."""
    document = yaml.safe_load((copy.root / "Pulumi.dev.yaml").read_text(encoding="utf-8"))
    with simulator(document["config"]["mldelivery:aws"]["account"]) as made:
        yield made


@pytest.fixture(scope="module")
def dev(copy: Laptop, aws: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The dev environment, up but for what is inside its cluster."""
    folder = tmp_path_factory.mktemp("engine")
    state = folder / "state"
    state.mkdir()
    settings = {"AWS_ENDPOINT_URL": aws.endpoint, "PULUMI_BACKEND_URL": f"file://{state}", "PYTHONPATH": str(copy.root)}
    with attached({**without_plugins(folder), **settings}, "kubernetes", "aws") as environment:
        made = Project(copy.root, environment, stack="dev")
        made.ok("stack", "init", "--no-select")
        made.ok("up", "--yes", "--skip-preview", *CLOUD_ONLY)
        yield made


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_each_environment_is_previewed_from_nothing_without_account_plugin_or_network(copy: Laptop, stack: str, tmp_path: Path) -> None:
    file = copy.root / f"Pulumi.{stack}.yaml"
    before = file.read_bytes()
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1", "PULUMI_BACKEND_URL": "s3://nowhere"}
    # Nor is anything left behind: the engine keeps its log in its user's folder.
    nowhere["PULUMI_HOME"] = str(tmp_path / "engine")
    copy.environment |= nowhere
    try:
        out = copy.ok("preview", "--stack", stack, "--offline")
    finally:
        for name in nowhere:
            del copy.environment[name]
    assert f"offline: all of {stack} is shown as new" in out
    assert "AWS provider: this repository's stand-in" in out and "Kubernetes provider: this repository's stand-in" in out
    assert "nothing is asked of AWS" in out
    assert "to create" in out and not any(word in out for word in ("to update", "to delete", "errored"))
    for declared in ("aws:eks/cluster:Cluster::cluster", "aws:rds/instance:Instance::database", "kubernetes:core/v1:Namespace::"):
        assert declared in out
    assert file.read_bytes() == before
    assert not (tmp_path / "engine").exists()


def test_what_is_up_has_no_changes(dev: Project) -> None:
    dev.has_no_changes(*CLOUD_ONLY)


def test_all_buckets_are_encrypted_and_closed_and_all_keys_rotate(dev: Project, aws: Simulator) -> None:
    assert dev.stack == "dev"
    s3, kms = aws.client("s3"), aws.client("kms")
    buckets = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert len(buckets) == 5
    for bucket in buckets:
        assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
        assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    # Others are AWS's own, such as that of a database's secret.
    keys = [alias["TargetKeyId"] for alias in kms.list_aliases()["Aliases"] if alias["AliasName"].startswith("alias/mldelivery-dev-")]
    assert len(keys) >= 2 and all(kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] for key in keys)


def test_one_number_changes_what_it_is_about_alone(dev: Project, copy: Laptop) -> None:
    file = copy.root / "Pulumi.dev.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count("backup-days: 1\n") == 1
    file.write_text(text.replace("backup-days: 1\n", "backup-days: 2\n"), encoding="utf-8")
    try:
        assert dev.changes(*CLOUD_ONLY) == {"Instance::database": "update"}
    finally:
        file.write_text(text, encoding="utf-8")


def test_nothing_is_left_after_its_end(dev: Project, aws: Simulator) -> None:
    dev.ok("destroy", "--yes", "--skip-preview")
    assert aws.contents() == {}
