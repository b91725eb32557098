"""What is asked of a cluster before the engine runs, with a cluster that is only a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.config import StackConfig, load
from infra.errors import PlatformError
from infra.kubernetes import api, needs
from pipelines.cluster import gone_for_good, refreshing
from pipelines.engine import Engine
from toolchain import ROOT


class Table:
    """A cluster with these Rollouts, by namespace and name."""

    where = "context test"

    def __init__(self, *rollouts: tuple[str, str]) -> None:
        self.rollouts = rollouts

    def get(self, kind: api.Kind, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        assert kind is api.ROLLOUT
        return {} if (namespace, name) in self.rollouts else None


@pytest.fixture
def stack() -> StackConfig:
    return load(ROOT, "cluster")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path, "cluster")


def knows(engine: Engine, *rollouts: tuple[str, str]) -> None:
    assert engine.state_file is not None
    engine.state_file.parent.mkdir(parents=True)
    resources: list[dict[str, Any]] = [{"type": "pulumi:pulumi:Stack"}]
    for namespace, name in rollouts:
        metadata = {"name": name, "namespace": namespace}
        resources.append({"type": "kubernetes:argoproj.io/v1alpha1:Rollout", "outputs": {"metadata": metadata}})
    engine.state_file.write_text(json.dumps({"checkpoint": {"latest": {"resources": resources}}}), encoding="utf-8")


def reached(monkeypatch: pytest.MonkeyPatch, cluster: Table) -> None:
    monkeypatch.setattr(api, "connect", lambda *_: cluster)


def test_a_cluster_that_holds_what_the_state_says_is_not_asked_again(
    engine: Engine, stack: StackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    knows(engine, ("mldelivery", "iris"))
    reached(monkeypatch, Table(("mldelivery", "iris")))
    assert refreshing(engine, stack) == ()


def test_a_rollout_that_is_gone_makes_the_engine_look_first(
    engine: Engine, stack: StackConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    knows(engine, ("mldelivery", "iris"), ("mldelivery", "wine"))
    reached(monkeypatch, Table(("mldelivery", "wine"), ("elsewhere", "iris")))
    assert refreshing(engine, stack) == ("--refresh",)
    assert "context test has no iris any more" in capsys.readouterr().out


def test_before_a_first_update_the_cluster_must_be_fit(engine: Engine, stack: StackConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    reached(monkeypatch, Table())

    def unfit(*_: object, has_platform: bool) -> None:
        assert has_platform
        raise PlatformError("Traefik is missing")

    monkeypatch.setattr(needs, "check_cluster", unfit)
    with pytest.raises(PlatformError, match="Traefik is missing"):
        refreshing(engine, stack)


def test_a_laptop_asks_no_cluster(tmp_path: Path) -> None:
    assert refreshing(Engine(tmp_path, "local"), load(ROOT, "local")) == ()


def test_what_to_do_where_a_cluster_was_deleted_is_said() -> None:
    assert gone_for_good("the cluster is unreachable", "cluster").endswith("PULUMI_K8S_DELETE_UNREACHABLE=true make down STACK=cluster")
    assert gone_for_good("forbidden", "cluster") == "make down STACK=cluster"
