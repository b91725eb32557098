"""What ``make status`` shows of a model in a cluster."""

from __future__ import annotations

import pytest

from infra.kubernetes import view
from infra.kubernetes.labels import Names


@pytest.mark.parametrize(
    ("shares", "release", "share", "expected"),
    [
        ({"1": 100}, 2, 30, {"1": 70, "2": 30}),
        ({"1": 80, "3": 20}, 2, 50, {"1": 40, "3": 10, "2": 50}),
        ({"1": 100}, 2, 0, {"1": 100, "2": 0}),
    ],
)
def test_a_challengers_share_comes_off_the_champions(shares: dict[str, int], release: int, share: int, expected: dict[str, int]) -> None:
    beside = Names("iris", "challenger")
    members = [{"name": "iris-rollout", "weight": 100 - share}, {"name": beside.stable, "weight": share}]
    live = {"spec": {"weighted": {"services": members}}}
    assert view.with_challenger(shares, release, live, beside) == expected
