"""The scenario table on the cluster: real engine, real Argo Rollouts, real gateway, real pods, real load."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clustered import ClusterStack, clustered
from tests.promotion import play
from tests.scenarios import SCENARIOS, Scenario
from toolchain.cluster.node import Node

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def town(cluster: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterStack]:
    """A stack on the cluster that serves iris 1, with release 2 made and not served yet."""
    assert cluster.programs()
    with clustered(tmp_path_factory.mktemp("cluster")) as made:
        made.up()
        made.ok("release", "iris", "--stack", made.stack)
        yield made


@pytest.mark.parametrize(("number", "scenario"), list(enumerate(SCENARIOS, start=10)), ids=[scenario.name for scenario in SCENARIOS])
def test_scenario(town: ClusterStack, number: int, scenario: Scenario) -> None:
    play(town, number, scenario)
