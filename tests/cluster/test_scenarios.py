"""The scenario table on the cluster: real engine, real Argo Rollouts, real gateway, real pods, real load."""

from __future__ import annotations

import pytest

from tests.clustered import ClusterStack
from tests.laptop import FAST
from tests.promotion import play
from tests.scenarios import SCENARIOS, Scenario

pytestmark = pytest.mark.timeout(400)


PLAYED = [found for found in enumerate(SCENARIOS, start=10) if found[1].config.get("rollout", {}).get("strategy") != "blue-green"]
"""All but blue-green, which a cluster refuses so far (``test_blue_green_is_refused``)."""


@pytest.mark.parametrize(("number", "scenario"), PLAYED, ids=[scenario.name for _, scenario in PLAYED])
def test_scenario(town: ClusterStack, number: int, scenario: Scenario) -> None:
    play(town, number, scenario)


def test_blue_green_is_refused(town: ClusterStack) -> None:
    town.champion(1, rollout={**FAST, "strategy": "blue-green"})
    out = town.refused("preview", "--stack", town.stack)
    town.champion(1, rollout=FAST)
    assert "Pulumi.cluster.yaml: mldelivery:models.iris.rollout.strategy: blue-green is not to be had in a cluster yet" in out
