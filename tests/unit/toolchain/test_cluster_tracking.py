"""The passwords of the development cluster's MLflow: made at random, once, and read by their owner only."""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.config import load
from toolchain import ROOT
from toolchain.cluster import DATABASE, NODE, STORE, Place, pki, settings, tracking


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A checkout's place with fresh keys and passwords."""
    made = Place(tmp_path_factory.mktemp("checkout") / ".cluster")
    pki.make(made)
    tracking.make_accounts(made)
    return made


def found(place: Place, kind: str) -> dict[str, Any]:
    documents = yaml.safe_load_all(tracking.documents(place))
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == kind}


def test_passwords_are_their_owners_alone_and_stay(place: Place, tmp_path: Path) -> None:
    files = sorted(place.accounts.iterdir())
    assert [path.name for path in files] == ["database.json", "store.env", "users.json"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    assert stat.S_IMODE(place.accounts.stat().st_mode) == 0o700
    before = [path.read_text() for path in files]
    tracking.make_accounts(place)
    assert [path.read_text() for path in files] == before
    other = Place(tmp_path / ".cluster")
    tracking.make_accounts(other)
    assert not {path.read_text() for path in other.accounts.iterdir()} & set(before)


def test_the_supervisors_file_names_no_password(place: Place) -> None:
    listed = settings.programs(place, Path("/programs"), "/traefik", Path("/postgresql"))
    text = settings.supervisor(place, listed)
    secrets = [json.loads((place.accounts / f"{name}.json").read_text())["password"] for name in ("database", "users")]
    secrets += [line.partition("=")[2] for line in (place.accounts / "store.env").read_text().split()]
    assert not [each for each in secrets if each in text]


def test_the_store_reads_its_keys_as_a_shell_does(place: Place) -> None:
    for line in (place.accounts / "store.env").read_text().splitlines():
        name, _, value = line.partition("=")
        assert shlex.split(value) == [value] and name.startswith("ROOT_")


def test_the_repositorys_stack_finds_what_is_made_here(place: Place) -> None:
    kubernetes = load(ROOT, "cluster").kubernetes
    assert kubernetes is not None and kubernetes.tracking is not None
    config = kubernetes.tracking
    secrets = found(place, "Secret")
    assert set(secrets[config.database.secret]["stringData"]) == set(secrets[config.users_secret]["stringData"]) == {"username", "password"}
    assert set(secrets[config.artifacts.secret or ""]["stringData"]) == {"access-key-id", "secret-access-key"}
    assert secrets[config.users_secret]["type"] == "kubernetes.io/basic-auth"
    assert "ca.crt" in found(place, "ConfigMap")[config.database.ca_config_map or ""]["data"]
    assert list(found(place, "Namespace")) == [config.namespace]
    assert (config.database.host, config.database.port, config.database.name) == (NODE, DATABASE, tracking.MLFLOW)
    assert (config.artifacts.endpoint, config.artifacts.bucket) == (f"http://{NODE}:{STORE}", tracking.MLFLOW)
    assert config.account == ".cluster/tracking/users.json"
