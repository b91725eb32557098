"""A model's route in a cluster: the same shares as on a laptop, and nothing public but the prediction."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.kubernetes import gateway
from infra.route import MAX_BODY_BYTES, Route, services
from tests.unit.infra.kubernetes_models import Manifest, entrance, model
from tests.unit.infra.test_route import reached


def spread(objects: list[Manifest], name: str, percent: float = 100) -> dict[str, float]:
    """Percent of live traffic by what it ends at, as Traefik would spread it over TraefikServices."""
    spec = next((each["spec"] for each in objects if each["metadata"]["name"] == name), None)
    if spec is None:
        return {name: percent}
    if "mirroring" in spec:
        return spread(objects, spec["mirroring"]["name"], percent)
    members = spec["weighted"]["services"]
    total = sum(member["weight"] for member in members)
    result: dict[str, float] = {}
    for member in members:
        for leaf, share in spread(objects, member["name"], percent * member["weight"] / total).items():
            result[leaf] = result.get(leaf, 0) + share
    return result


@given(st.integers(1, 50), st.sampled_from(["canary", "blue-green"]), st.sampled_from([1, 9]))
def test_a_challengers_share_arrives_as_on_a_laptop(share: int, strategy: str, number: int) -> None:
    config = model(rollout={"strategy": strategy}, challenger={"release": number, "share": share})
    here = spread(gateway.outer_services(entrance(config), config.challenger), "iris")
    urls = {5: ["http://a"], number: ["http://b"]}
    there = reached(services(Route(model="iris", weights={5: 100}, urls=urls, challenger=number, share=share)), "iris")
    champion = "iris-rollout" if strategy == "canary" else "iris-stable"
    assert here == {champion: pytest.approx(there["iris-5"]), "iris-challenger-stable": pytest.approx(there[f"iris-{number}"])}


def test_a_shadow_gets_a_copy_of_everything_and_answers_nobody() -> None:
    config = model(challenger={"release": 9, "shadow": True})
    objects = gateway.outer_services(entrance(config), config.challenger)
    mirroring = objects[-1]["spec"]["mirroring"]
    assert (mirroring["name"], mirroring["kind"]) == ("iris-rollout", "TraefikService")
    assert mirroring["mirrors"] == [{"name": "iris-challenger-stable", "kind": "Service", "port": 80, "percent": 100}]
    assert spread(objects, "iris") == {"iris-rollout": 100}


def test_blue_green_users_do_not_depend_on_a_preview_that_may_have_no_pods() -> None:
    config = model(rollout={"strategy": "blue-green"})
    (root,) = gateway.outer_services(entrance(config), None)
    assert root["spec"]["weighted"]["services"] == [{"name": "iris-stable", "kind": "Service", "port": 80, "weight": 100}]


def test_a_service_comes_before_the_one_that_names_it() -> None:
    config = model(challenger={"release": 9, "share": 10})
    objects = gateway.outer_services(entrance(config), config.challenger)
    assert [each["metadata"]["name"] for each in objects] == ["iris-live", "iris"]


def test_only_the_prediction_is_public_over_tls_on_the_gateways_host() -> None:
    found = gateway.user_route(entrance(model()))["spec"]
    assert found["entryPoints"] == ["websecure"]
    assert [route["match"] for route in found["routes"]] == ["Host(`models.test`) && Path(`/iris/predict`)"]
    assert found["tls"] == {}
    own = gateway.user_route(entrance(model(), **{"tls-secret": "models-tls"}))["spec"]
    assert own["tls"] == {"secretName": "models-tls"}


def test_a_body_is_capped_before_anything_else_is_done_with_it() -> None:
    chain = [each["name"] for each in gateway.user_route(entrance(model()))["spec"]["routes"][0]["middlewares"]]
    assert chain == ["body", "predict", "retry"]
    found: dict[str, Any] = {each["metadata"]["name"]: each["spec"] for each in gateway.middlewares("mldelivery")}
    assert found["body"] == {"buffering": {"maxRequestBodyBytes": MAX_BODY_BYTES}}
    assert found["predict"] == {"replacePath": {"path": "/predict"}}
    assert found["retry"]["retry"]["retryNonIdempotentMethod"] is True


def test_every_route_names_middlewares_that_stand_in_its_namespace() -> None:
    routes = [gateway.user_route(entrance(model())), *gateway.internal_routes(entrance(model()))]
    named = {each["name"] for route in routes for rule in route["spec"].get("routes", []) for each in rule["middlewares"]}
    assert named == {each["metadata"]["name"] for each in gateway.middlewares("mldelivery")}
    assert {each["metadata"]["namespace"] for each in gateway.middlewares("mldelivery")} == {
        route["metadata"]["namespace"] for route in routes
    }


def test_the_rollouts_own_ways_are_internal_and_counted_apart() -> None:
    objects = {(each["kind"], each["metadata"]["name"]): each["spec"] for each in gateway.internal_routes(entrance(model()))}
    route = objects["IngressRoute", "iris-internal"]
    assert route["entryPoints"] == ["internal"]
    for rule, name, service, port in zip(
        route["routes"], ("iris-probe", "iris-mark"), ("iris-canary", "iris-stable"), (81, 82), strict=True
    ):
        assert rule["services"] == [{"name": name, "kind": "TraefikService"}]
        (member,) = objects["TraefikService", name]["weighted"]["services"]
        assert (member["name"], member["port"]) == (service, port)


def test_stacks_that_share_a_gateway_do_not_share_internal_paths() -> None:
    *_, route = gateway.internal_routes(entrance(model()))
    assert [rule["match"] for rule in route["spec"]["routes"]] == ["Path(`/mldelivery/iris/predict`)", "Path(`/mldelivery/iris/mark`)"]


def test_before_any_rollout_everything_goes_to_the_stable_pods() -> None:
    members = gateway.inner(entrance(model()))["spec"]["weighted"]["services"]
    assert {member["name"]: member["weight"] for member in members} == {"iris-stable": 100, "iris-canary": 0}
