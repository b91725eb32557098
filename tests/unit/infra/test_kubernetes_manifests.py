"""The objects of a model in a cluster, as data: the policy's stages, the pod, and what surrounds it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.kubernetes import manifests
from infra.kubernetes.labels import Names, pod_labels, selector
from infra.rollout import NODE_SECONDS, begin
from tests.unit.infra.kubernetes_models import IMAGE, challenger_rollout, everything, model, workload

policies = st.fixed_dictionaries(
    {
        "steps": st.lists(st.integers(1, 99), max_size=6, unique=True).map(sorted),
        "step-seconds": st.integers(0, 5_000),
        "bake-seconds": st.integers(0, 86_400),
        "insufficient": st.sampled_from(["probe", "hold", "abort"]),
    }
)


def seconds(arguments: dict[str, str]) -> float:
    return float(arguments["verdict-delay"].removesuffix("s"))


def given_to(step: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in step["args"]}


@given(policies)
def test_a_canary_walks_the_same_stages_as_on_a_laptop(rollout: dict[str, Any]) -> None:
    """Argo's steps, read back: the same percents in the same order, each watched for the same time, after the same golden replay."""
    config = model(rollout=rollout)
    scale, golden, *moves = manifests.canary_steps(workload(config))
    assert scale == {"setCanaryScale": {"weight": 100}}
    assert golden["analysis"]["templates"] == [{"templateName": "iris-golden"}]
    verify, *watched = begin(config.policy(), old=1, new=2, is_proven=False).stages
    assert verify.kind == "verify"
    assert [move["setWeight"] for move in moves[::2]] == [stage.percent for stage in watched]
    assert [move["analysis"]["templates"] for move in moves[1::2]] == [[{"templateName": "iris-traffic"}]] * len(watched)
    assert len(moves) == 2 * len(watched)
    for stage, move in zip(watched, moves[1::2], strict=True):
        arguments = given_to(move["analysis"])
        assert arguments["stage"] == str(stage)
        assert stage.seconds <= seconds(arguments) <= max(stage.seconds + 1, 2.5)


@given(policies)
def test_blue_green_is_the_replay_then_the_same_bake(rollout: dict[str, Any]) -> None:
    config = model(rollout={**rollout, "strategy": "blue-green"})
    strategy = manifests.rollout(workload(config))["spec"]["strategy"]["blueGreen"]
    verify, bake = begin(config.policy(), old=1, new=2, is_proven=False).stages
    assert (verify.kind, bake.kind) == ("verify", "bake")
    assert strategy["prePromotionAnalysis"]["templates"] == [{"templateName": "iris-golden"}]
    arguments = given_to(strategy["postPromotionAnalysis"])
    assert arguments["stage"] == str(bake)
    assert bake.seconds <= seconds(arguments) <= max(bake.seconds + 1, 2.5)


def test_blue_green_is_never_promoted_by_time() -> None:
    strategy = manifests.rollout(workload(model(rollout={"strategy": "blue-green"})))["spec"]["strategy"]["blueGreen"]
    assert strategy["autoPromotionEnabled"] is True
    assert "autoPromotionSeconds" not in strategy
    assert (strategy["activeService"], strategy["previewService"]) == ("iris-stable", "iris-canary")


def test_a_rollout_has_one_strategy_and_is_ended_when_it_does_not_start() -> None:
    spec = manifests.rollout(workload(model(**{"ready-seconds": 12})))["spec"]
    assert list(spec["strategy"]) == ["canary"]
    assert spec["progressDeadlineAbort"] is True
    assert spec["progressDeadlineSeconds"] == 12 + NODE_SECONDS
    assert spec["strategy"]["canary"]["trafficRouting"] == {"traefik": {"weightedTraefikServiceName": "iris-rollout"}}


@pytest.mark.parametrize(("window", "expected"), [(0, None), (3, {"revisions": 3})])
def test_proven_releases_come_back_within_the_window(window: int, expected: object) -> None:
    spec = manifests.rollout(workload(model(rollout={"rollback-window": window})))["spec"]
    assert spec.get("rollbackWindow") == expected
    assert spec["revisionHistoryLimit"] > window


def test_blue_green_has_no_window_of_argos_own() -> None:
    # Within its window Argo Rollouts skips the analysis before the switch, and then waits for it until the deadline.
    assert "rollbackWindow" not in manifests.rollout(workload(model(rollout={"strategy": "blue-green"})))["spec"]


def test_an_autoscaler_alone_says_how_many_pods_there_are() -> None:
    scaled = model(replicas=2, autoscale={"maximum": 6})
    found = manifests.autoscaler(workload(scaled), scaled.autoscale) if scaled.autoscale else {}
    # A number to begin with, which is ignored from then on; left out, Argo Rollouts would make it one pod until the autoscaler's turn.
    assert manifests.rollout(workload(scaled))["spec"]["replicas"] == 2
    assert (found["spec"]["minReplicas"], found["spec"]["maxReplicas"]) == (2, 6)
    assert found["spec"]["scaleTargetRef"]["name"] == "iris"
    alone = manifests.rollout(workload(model(replicas=2)))
    assert alone["spec"]["replicas"] == 2
    assert alone["metadata"] != manifests.rollout(workload(scaled))["metadata"], "without an autoscaler again, its number must be applied"


def test_a_pod_gets_what_config_says_and_no_more() -> None:
    resources = {"cpu-millis": 200, "cpu-limit-millis": 800, "memory-mib": 300}
    server = manifests.pod_template(workload(model(resources=resources)))["spec"]["containers"][0]
    assert server["image"] == IMAGE
    assert server["resources"] == {"requests": {"cpu": "200m", "memory": "300Mi"}, "limits": {"cpu": "800m", "memory": "300Mi"}}


def test_a_pod_that_ends_answers_until_the_gateway_knows() -> None:
    spec = manifests.pod_template(workload(model()))["spec"]
    assert spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == manifests.PRE_STOP_SECONDS
    assert spec["terminationGracePeriodSeconds"] > manifests.PRE_STOP_SECONDS + 10


def test_a_start_has_the_time_that_config_allows() -> None:
    probe = manifests.pod_template(workload(model(**{"ready-seconds": 2.5})))["spec"]["containers"][0]["startupProbe"]
    assert (probe["periodSeconds"], probe["failureThreshold"]) == (1, 3)


def test_services_and_rollout_choose_pods_by_labels_that_outlast_a_release() -> None:
    names = Names("iris")
    assert "mldelivery/release" not in selector(names)
    assert selector(names).items() <= pod_labels(names, 7).items()
    assert all(service["spec"]["selector"] == selector(names) for service in manifests.services(workload(model())))


def test_a_challengers_pods_are_never_the_champions() -> None:
    champion, challenger = Names("iris"), Names("iris", "challenger")
    assert not selector(champion).items() <= pod_labels(challenger, 5).items()
    found = challenger_rollout(model())
    assert found["metadata"]["name"] == "iris-challenger"
    assert found["spec"]["strategy"]["blueGreen"]["previewService"] == "iris-challenger-canary"
    assert "postPromotionAnalysis" not in found["spec"]["strategy"]["blueGreen"]


def test_the_namespace_enforces_restricted() -> None:
    assert manifests.namespace("x")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_nothing_may_talk_but_for_what_is_needed() -> None:
    deny, servers, jobs = manifests.network_policies("x", "existing")
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert servers["spec"]["policyTypes"] == ["Ingress"]
    assert servers["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 3000}]
    assert jobs["spec"]["policyTypes"] == ["Egress"]


@pytest.mark.parametrize(
    ("platform", "spaces"), [("charts", {"matchLabels": {"kubernetes.io/metadata.name": "mldelivery-platform"}}), ("existing", {})]
)
def test_a_gateway_is_known_by_its_namespace_where_the_stack_installs_it(platform: str, spaces: dict[str, Any]) -> None:
    """Any pod may carry the label of Traefik; nobody but the platform gets into its namespace."""
    _, servers, _ = manifests.network_policies("x", platform)
    assert servers["spec"]["ingress"][0]["from"][0] == {
        "namespaceSelector": spaces,
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "traefik"}},
    }


def test_no_promotion_changes_what_argo_rollouts_moves() -> None:
    """Services and the weighted service are the same whatever the release, so that an update never writes them."""
    owned = {"iris-stable", "iris-canary", "iris-rollout", "iris", "iris-probe", "iris-mark", "iris-internal"}

    def moved(number: int) -> list[dict[str, Any]]:
        kinds = ("Service", "TraefikService", "IngressRoute")
        return [each for each in everything(model(champion=number)) if each["kind"] in kinds and each["metadata"]["name"] in owned]

    assert moved(5) == moved(6)
    assert {each["metadata"]["name"] for each in moved(5)} == owned
