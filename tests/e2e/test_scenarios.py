"""The scenario table on a laptop: real engine, real gateway, real servers, real load."""

from __future__ import annotations

import pytest

from tests.laptop import Laptop
from tests.promotion import play
from tests.scenarios import SCENARIOS, Scenario

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(("number", "scenario"), list(enumerate(SCENARIOS, start=10)), ids=[scenario.name for scenario in SCENARIOS])
def test_scenario(home: Laptop, number: int, scenario: Scenario) -> None:
    play(home, number, scenario)
