"""The components, recorded without an engine: what they declare, in which order, and with which names."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from infra.config import ModelConfig, PortsConfig, StackConfig, parse
from infra.errors import ReleaseError
from infra.release import write
from tests.unit.infra.recorded import Recorded
from tests.unit.infra.test_release import document


def declare(recorded: Recorded, store: Path, monkeypatch: pytest.MonkeyPatch, **model: Any) -> Recorded:
    """Run the local stack's program over a store with releases 1 to 3."""
    from infra.local import place
    from stacks import local

    monkeypatch.setattr(place, "STORE", store)
    for number in (1, 2, 3):
        write(store, document(store, number))
    config: StackConfig = parse({"target": "local", "models": {"iris": {"champion": 1, **model}}}, file="Pulumi.local.yaml")

    async def run() -> None:
        local.declare(config)
        for _ in range(200):
            await asyncio.sleep(0)
        while pending := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
            await asyncio.wait(pending)

    asyncio.get_event_loop().run_until_complete(run())
    return recorded


def test_a_model_is_three_resources(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = declare(recorded, tmp_path, monkeypatch)
    assert sorted(resource.name for resource in found.resources) == [
        "gateway",
        "iris",
        "mlflow",
        "platform",
        "route-iris",
        "serve-iris-1",
        "supervisor",
    ]


def test_the_evidence_stands_beside_the_number(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    route = declare(recorded, tmp_path, monkeypatch, champion=2).named("route-iris")
    assert route["champion"] == 2
    assert route["evidence"]["champion"]["metrics"] == {"accuracy": "0.950 [0.900, 1.000]"}
    assert route["plan"]["rollout"].startswith("canary: golden replay -> 10 %")
    assert route["wiring"]["urls"] == {"2": ["http://127.0.0.1:8102"]}


def test_each_release_has_a_server_of_its_own_name(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = declare(recorded, tmp_path, monkeypatch, champion=1, challenger={"release": 3, "share": 10})
    assert {"serve-iris-1", "serve-iris-3"} <= {resource.name for resource in found.resources}
    assert found.named("route-iris")["share"] == 10


def test_no_champion_is_no_resource(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = declare(recorded, tmp_path, monkeypatch, champion="none")
    assert not [resource.name for resource in found.resources if "iris" in resource.name]


@pytest.mark.parametrize(
    ("model", "key"),
    [({"champion": 7}, "iris.champion"), ({"challenger": {"release": 7, "shadow": True}}, "iris.challenger.release")],
)
def test_a_number_without_a_record_is_refused(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: dict[str, Any], key: str
) -> None:
    with pytest.raises(ReleaseError, match=f"Pulumi.local.yaml: mldelivery:models.{key}: release 7 of iris does not exist"):
        declare(recorded, tmp_path, monkeypatch, **model)


def test_type_tokens_never_change(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = declare(recorded, tmp_path, monkeypatch)
    assert {resource.typ for resource in found.resources} == {
        "mldelivery:local:ModelServer",
        "mldelivery:local:Platform",
        "pulumi-python:dynamic/mldelivery:ReleaseServer",
        "pulumi-python:dynamic/mldelivery:Route",
        "pulumi-python:dynamic/mldelivery:Service",
        "pulumi-python:dynamic/mldelivery:Supervisor",
    }


def test_nothing_in_a_resource_names_the_checkouts_folder(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = declare(recorded, tmp_path, monkeypatch)
    root = str(Path(__file__).parents[3])
    assert not [resource.name for resource in found.resources if root in str(resource.inputs)]


def test_defaults_of_the_config_reach_the_route() -> None:
    assert ModelConfig(champion=1).policy().rollback_window == 3
    assert PortsConfig().gateway == 8080
