"""The scenario table on the cluster: real engine, real Argo Rollouts, real gateway, real pods, real load."""

from __future__ import annotations

import pytest

from tests.clustered import ClusterStack
from tests.promotion import play
from tests.scenarios import SCENARIOS, Scenario

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(("number", "scenario"), list(enumerate(SCENARIOS, start=10)), ids=[scenario.name for scenario in SCENARIOS])
def test_scenario(town: ClusterStack, number: int, scenario: Scenario) -> None:
    play(town, number, scenario)
