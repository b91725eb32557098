"""What is asked of a cluster before the engine runs, with a cluster that is only a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.config import StackConfig, load
from infra.errors import PlatformError
from infra.kubernetes import api, needs
from pipelines.cluster import check_before_first, gone_for_good, refreshing
from pipelines.engine import Engine
from toolchain import ROOT


class Table:
    """A cluster with these Rollouts in one namespace, and the release of each."""

    where = "context test"

    def __init__(self, **rollouts: int) -> None:
        self.rollouts = rollouts

    def get(self, kind: api.Kind, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        assert kind is api.ROLLOUT
        return rollout(name, self.rollouts[name]) if namespace == "mldelivery" and name in self.rollouts else None


def rollout(name: str, release: int) -> dict[str, Any]:
    """As much of a Rollout as is looked at."""
    template = {"metadata": {"labels": {"mldelivery/release": str(release)}}}
    return {"metadata": {"name": name, "namespace": "mldelivery"}, "spec": {"template": template}}


@pytest.fixture
def stack() -> StackConfig:
    return load(ROOT, "cluster")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path, "cluster")


def knows(engine: Engine, **rollouts: int) -> None:
    assert engine.state_file is not None
    engine.state_file.parent.mkdir(parents=True)
    resources: list[dict[str, Any]] = [{"type": "pulumi:pulumi:Stack"}]
    for name, release in rollouts.items():
        resources.append({"type": "kubernetes:argoproj.io/v1alpha1:Rollout", "outputs": rollout(name, release)})
    engine.state_file.write_text(json.dumps({"checkpoint": {"latest": {"resources": resources}}}), encoding="utf-8")


def reached(monkeypatch: pytest.MonkeyPatch, cluster: Table) -> None:
    monkeypatch.setattr(api, "connect", lambda *_: cluster)


def test_a_cluster_that_holds_what_the_state_says_is_not_asked_again(
    engine: Engine, stack: StackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    knows(engine, iris=1)
    reached(monkeypatch, Table(iris=1))
    assert refreshing(engine, stack) == ()


def test_a_rollout_that_is_gone_makes_the_engine_look_first(
    engine: Engine, stack: StackConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    knows(engine, iris=1, wine=1)
    reached(monkeypatch, Table(wine=1))
    assert refreshing(engine, stack) == ("--refresh",)
    assert capsys.readouterr().out == "context test: the Rollout iris is not there any more\n"


def test_a_rollout_that_somebody_gave_another_release_makes_the_engine_look_first(
    engine: Engine, stack: StackConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    knows(engine, iris=1)
    reached(monkeypatch, Table(iris=2))
    assert refreshing(engine, stack) == ("--refresh",)
    assert capsys.readouterr().out == "context test: somebody else gave the Rollout iris release 2, not 1\n"


def test_a_rollout_that_a_killed_update_has_changed_already_is_no_news(
    engine: Engine, stack: StackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    knows(engine, iris=4)
    reached(monkeypatch, Table(iris=1))
    assert stack.models["iris"].champion == 1
    assert refreshing(engine, stack) == ()


def test_before_a_first_update_the_cluster_must_be_fit(engine: Engine, stack: StackConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    reached(monkeypatch, Table())

    def unfit(*_: object, has_platform: bool) -> None:
        assert has_platform
        raise PlatformError("Traefik is missing")

    monkeypatch.setattr(needs, "check_cluster", unfit)
    with pytest.raises(PlatformError, match="Traefik is missing"):
        check_before_first(engine, stack)


def test_a_first_preview_asks_the_cluster_nothing(engine: Engine, stack: StackConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "connect", lambda *_: pytest.fail("the cluster was asked"))
    assert refreshing(engine, stack) == ()


def test_a_later_update_is_not_asked_of_its_cluster_again(engine: Engine, stack: StackConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    knows(engine, iris=1)
    monkeypatch.setattr(api, "connect", lambda *_: pytest.fail("the cluster was asked"))
    check_before_first(engine, stack)


def test_an_environments_cluster_may_be_closed_to_whoever_previews(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dev = load(ROOT, "dev")
    assert refreshing(engine, dev) == () and not capsys.readouterr().out, "nothing stands there yet"
    knows(engine, iris=1)
    monkeypatch.setenv("PATH", "")
    assert refreshing(engine, dev) == ()
    assert "warning: whether cluster's own cluster is as the state says is unknown: aws is not on PATH" in capsys.readouterr().out


def test_an_environments_cluster_that_can_be_reached_is_asked(stack: StackConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dev = load(ROOT, "dev").model_copy(update={"models": stack.models})
    assert dev.kubernetes is not None and dev.kubernetes.kubeconfig is not None
    (tmp_path / dev.kubernetes.kubeconfig).parent.mkdir(parents=True)
    (tmp_path / dev.kubernetes.kubeconfig).touch()
    engine = Engine(tmp_path, "cluster")
    knows(engine, iris=1)
    reached(monkeypatch, Table(iris=2))
    assert refreshing(engine, dev) == ("--refresh",)


def test_a_laptop_asks_no_cluster(tmp_path: Path) -> None:
    assert refreshing(Engine(tmp_path, "local"), load(ROOT, "local")) == ()


def test_what_to_do_where_a_cluster_was_deleted_is_said() -> None:
    assert gone_for_good("the cluster is unreachable", "cluster").endswith("PULUMI_K8S_DELETE_UNREACHABLE=true make down STACK=cluster")
    assert gone_for_good("forbidden", "cluster") == "make down STACK=cluster"
