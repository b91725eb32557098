"""Which MLflow the steps of a release reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.config import load
from pipelines import tracking
from toolchain import ROOT


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URI", "USERNAME", "PASSWORD", "SERVER_CERT_PATH"):
        # Set first, so that what is set below goes away with the test.
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}")


def account(root: Path) -> None:
    (root / ".cluster" / "tracking").mkdir(parents=True)
    (root / ".cluster" / "tracking" / "users.json").write_text('{"username": "mlflow", "password": "p"}')


def test_a_stack_with_a_server_of_its_own_is_tracked_there(tmp_path: Path) -> None:
    account(tmp_path)
    tracking.use(tmp_path, "cluster", load(ROOT, "cluster"))
    assert os.environ["MLFLOW_TRACKING_URI"] == "https://10.99.0.2:8443/mlflow"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "p"


def test_what_a_person_sets_counts_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://elsewhere.test")
    tracking.use(tmp_path, "cluster", load(ROOT, "cluster"))
    assert os.environ["MLFLOW_TRACKING_URI"] == "https://elsewhere.test"
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ


def test_a_stack_without_one_is_tracked_in_its_store(tmp_path: Path) -> None:
    tracking.use(tmp_path, "local", load(ROOT, "local"))
    assert "MLFLOW_TRACKING_URI" not in os.environ
