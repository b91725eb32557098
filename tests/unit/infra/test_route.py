"""The tree of services: shares reach the releases that they should, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.route import Route, document, services

URLS = {release: [f"http://127.0.0.1:{8100 + release}"] for release in range(1, 10)}


def reached(tree: dict[str, Any], name: str, percent: float = 100) -> dict[str, float]:
    """Percent of live traffic by leaf, as Traefik would spread it."""
    node = tree[name]
    if "loadBalancer" in node:
        return {name: percent}
    if "mirroring" in node:
        return reached(tree, node["mirroring"]["service"], percent)
    members = node["weighted"]["services"]
    total = sum(member["weight"] for member in members)
    result: dict[str, float] = {}
    for member in members:
        for leaf, share in reached(tree, member["name"], percent * member["weight"] / total).items():
            result[leaf] = result.get(leaf, 0) + share
    return result


@given(st.integers(0, 100), st.integers(0, 50), st.booleans())
def test_shares_arrive_as_configured(percent: int, share: int, shadow: bool) -> None:
    weights = {release: weight for release, weight in ((1, 100 - percent), (2, percent)) if weight}
    route = Route(
        model="iris",
        weights=weights,
        urls=URLS,
        challenger=3 if share else None,
        share=share,
        shadow=4 if shadow else None,
    )
    found = reached(services(route), "iris")
    assert sum(found.values()) == pytest.approx(100)
    assert found.get("iris-3", 0) == pytest.approx(share)
    assert found.get("iris-2", 0) == pytest.approx(percent * (100 - share) / 100)
    assert "iris-4" not in found


def test_a_model_at_rest_is_one_leaf_under_its_own_name() -> None:
    assert services(Route(model="iris", weights={1: 100}, urls=URLS)) == {
        "iris-1": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:8101"}], "passHostHeader": True}},
        "iris": {"weighted": {"services": [{"name": "iris-1", "weight": 100}]}},
    }


def test_a_shadow_gets_a_copy_of_everything() -> None:
    tree = services(Route(model="iris", weights={1: 100}, urls=URLS, shadow=2))
    assert tree["iris"]["mirroring"]["mirrors"] == [{"name": "iris-2", "percent": 100}]
    assert reached(tree, "iris") == {"iris-1": 100}


@pytest.mark.parametrize("weights", [{1: 90}, {1: 60, 2: 50}, {}])
def test_weights_that_do_not_sum_to_100_are_refused(weights: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="sum to"):
        services(Route(model="iris", weights=weights, urls=URLS))


def test_a_release_without_servers_is_refused() -> None:
    with pytest.raises(ValueError, match="no servers"):
        services(Route(model="iris", weights={1: 100}, urls={1: []}))


def test_no_weights_is_no_route_at_all() -> None:
    assert document(Route(model="iris", weights={}, urls=URLS)) == {}


def test_probes_need_the_rollouts_own_token_and_are_counted_apart() -> None:
    found = document(Route(model="iris", weights={1: 100}, urls=URLS, probe=(2, "secret")))["http"]
    router = found["routers"]["iris-2-probe"]
    assert router["rule"] == "Path(`/iris/predict`) && Header(`X-Probe`, `secret`)"
    assert router["service"] == "iris-2-probe"
    assert found["services"]["iris-2-probe"]["loadBalancer"]["servers"] == [{"url": "http://127.0.0.1:8102"}]
    assert reached(found["services"], "iris") == {"iris-1": 100}


def test_only_the_prediction_is_public() -> None:
    routers = document(Route(model="iris", weights={1: 100}, urls=URLS))["http"]["routers"]
    assert [router["rule"] for router in routers.values()] == ["Path(`/iris/predict`)"]
