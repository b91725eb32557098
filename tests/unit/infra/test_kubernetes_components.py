"""The cluster's components, recorded without an engine: what they declare, in which order, and which fields they leave alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra.config import parse
from infra.errors import ConfigError, ReleaseError
from infra.kubernetes.platform import charts
from infra.release import write
from stacks import cluster as program
from tests.unit.infra.kubernetes_models import cluster
from tests.unit.infra.recorded import Recorded
from tests.unit.infra.test_release import document

CLUSTER: dict[str, Any] = {
    "registry": "registry.test/models",
    "prometheus": "http://prometheus.test:9090",
    "gateway": {"url": "https://models.test", "internal-url": "http://traefik.test:8082"},
}


def image_of(number: int) -> str:
    return "iris@sha256:" + f"{number:x}" * 64


def declare(recorded: Recorded, store: Path, monkeypatch: pytest.MonkeyPatch, *, with_images: bool = True, **config: Any) -> Recorded:
    """Run the cluster stack's program over a store with releases 1 to 3."""
    monkeypatch.setattr(program, "ROOT", store)
    for number in (1, 2, 3):
        write(store / ".local", {**document(store / ".local", number), **({"image": image_of(number)} if with_images else {})})
    kubernetes = {**CLUSTER, **config.pop("kubernetes", {})}
    values = {
        "target": "kubernetes",
        "releases": "machine",
        "kubernetes": kubernetes,
        "models": {"iris": {"champion": 1, **config}},
    }
    parsed = parse(values, file="Pulumi.cluster.yaml")

    async def run() -> None:
        program.declare(parsed)
        for _ in range(400):
            await asyncio.sleep(0)
        while pending := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
            await asyncio.wait(pending)

    asyncio.get_event_loop().run_until_complete(run())
    return recorded


def names(found: Recorded) -> list[str]:
    return [resource.name for resource in found.resources]


def test_the_order_is_guard_then_rollout_then_watch_then_the_way_in(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = names(declare(recorded, tmp_path, monkeypatch))

    def comes_before(first: str, second: str) -> bool:
        return order.index(first) < order.index(second)

    assert comes_before("mldelivery-namespace", "predict-middleware")
    for middleware in ("body", "predict", "retry", "livez"):
        assert comes_before(f"{middleware}-middleware", "iris-internal-ingressroute")
    assert comes_before("predict-middleware", "iris-rollout-traefikservice")
    for before in ("iris-stable-service", "iris-canary-service", "iris-golden-analysistemplate", "iris-traffic-analysistemplate"):
        assert comes_before("guard-iris", before)
        assert comes_before(before, "iris-rollout")
    assert comes_before("iris-rollout-traefikservice", "iris-rollout")
    assert comes_before("iris-rollout", "rollout-iris")
    assert comes_before("rollout-iris", "iris-traefikservice")
    assert comes_before("iris-traefikservice", "iris-ingressroute")
    assert order[-1] == "iris-ingressroute"


def test_the_evidence_stands_beside_the_number_as_on_a_laptop(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = declare(recorded, tmp_path, monkeypatch, champion=2).named("rollout-iris")
    assert watch["champion"] == 2
    assert watch["evidence"]["champion"]["metrics"] == {"accuracy": "0.950 [0.900, 1.000]"}
    assert watch["plan"]["rollout"].startswith("canary: golden replay -> 10 %")
    assert watch["policy"]["steps"] == [10, 50]


def test_the_image_is_pulled_by_digest_from_the_stacks_registry(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = declare(recorded, tmp_path, monkeypatch, champion=3)
    pod = found.named("iris-rollout")["spec"]["template"]
    assert pod["spec"]["containers"][0]["image"] == f"registry.test/models/{image_of(3)}"
    assert pod["metadata"]["labels"]["mldelivery/release"] == "3"
    assert found.named("guard-iris")["image"] == found.named("rollout-iris")["wiring"]["image"]


def test_a_challenger_has_a_rollout_and_services_of_its_own(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = declare(recorded, tmp_path, monkeypatch, champion=1, challenger={"release": 3, "share": 10})
    rollout = found.named("iris-challenger-rollout")
    assert rollout["spec"]["strategy"]["blueGreen"]["activeService"] == "iris-challenger-stable"
    assert found.named("rollout-iris-challenger")["champion"] == 3
    assert names(found).index("rollout-iris-challenger") < names(found).index("iris-live-traefikservice")
    assert found.named("rollout-iris")["share"] == 10


def test_no_champion_is_nothing_of_the_model(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = declare(recorded, tmp_path, monkeypatch, champion="none")
    assert not [name for name in names(found) if "iris" in name]
    assert "mldelivery-namespace" in names(found)


def test_an_autoscaler_comes_with_its_config_and_not_without(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ignored: dict[str, Any] = {}
    made = pulumi.CustomResource.__init__

    def noted(self: Any, kind: str, name: str, props: Any = None, opts: Any = None, *more: Any) -> None:
        ignored[name] = list(opts.ignore_changes or ()) if opts is not None else []
        made(self, kind, name, props, opts, *more)

    monkeypatch.setattr(pulumi.CustomResource, "__init__", noted)
    found = declare(recorded, tmp_path, monkeypatch, autoscale={"maximum": 4})
    assert found.named("iris-horizontalpodautoscaler")["spec"]["maxReplicas"] == 4
    assert found.named("iris-rollout")["spec"]["replicas"] == 1
    assert ignored["iris-rollout"] == ["spec.replicas"], "an update would undo the autoscaler's work"
    assert ignored["iris-stable-service"] == ["spec.selector"]


def test_a_release_without_an_image_is_refused(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReleaseError, match=r"models.iris.champion: release 1 of iris has no image") as error:
        declare(recorded, tmp_path, monkeypatch, with_images=False)
    assert "python -m pipelines image iris 1 --stack cluster" in str(error.value)


def test_another_target_is_refused() -> None:
    config = parse({"target": "local", "models": {}}, file="Pulumi.cluster.yaml")
    with pytest.raises(ConfigError, match=r"Pulumi.cluster.yaml: mldelivery:target: this stack runs in a cluster"):
        program.declare(config)


def test_type_tokens_never_change(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = declare(recorded, tmp_path, monkeypatch)
    own = {resource.typ for resource in found.resources if "mldelivery:" in resource.typ}
    assert own == {
        "mldelivery:kubernetes:Middlewares",
        "mldelivery:kubernetes:ModelServer",
        "mldelivery:kubernetes:Platform",
        "mldelivery:kubernetes:RolledRelease",
        "pulumi-python:dynamic/mldelivery:RolloutGuard",
        "pulumi-python:dynamic/mldelivery:RolloutWatch",
    }


def test_everything_in_the_cluster_is_made_by_the_stacks_own_provider(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the default one, a resource would land in whatever cluster a shell happens to point at."""
    found = declare(recorded, tmp_path, monkeypatch, kubernetes={"kubeconfig": "some/kubeconfig", "context": "there"})
    made = [resource for resource in found.resources if resource.typ.startswith("kubernetes:")]
    assert len(made) > 15
    assert {(resource.provider or "").rpartition("::")[0].rpartition("::")[2] for resource in made} == {"cluster"}
    assert found.named("cluster")["kubeconfig"] == "some/kubeconfig"
    assert found.named("cluster")["context"] == "there"


def test_nothing_in_a_resource_names_the_checkouts_folder(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = declare(recorded, tmp_path, monkeypatch, kubernetes={"kubeconfig": ".cluster/kubeconfig"})
    root = str(Path(__file__).parents[3])
    assert not [resource.name for resource in found.resources if root in str(resource.inputs)]


def test_charts_come_before_any_model_and_only_where_asked_for(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = names(declare(recorded, tmp_path, monkeypatch, kubernetes={"platform": "charts"}))
    for chart in ("argo-rollouts", "traefik", "prometheus"):
        assert order.index(chart) < order.index("guard-iris")
        assert order.index(chart) < order.index("iris-rollout-traefikservice")


def test_an_existing_platform_gets_no_charts(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [resource for resource in declare(recorded, tmp_path, monkeypatch).resources if "helm" in resource.typ]


def test_the_gateways_values_are_written_as_its_chart_reads_them_from_version_40_on() -> None:
    """Since version 39 it refuses keys that it does not know, and since 40 all of a Service's spec stands in `spec`."""
    (traefik,) = (
        chart for chart in charts(cluster(), {"annotations": {"a": "b"}, "spec": {"loadBalancerClass": "c"}}) if chart.name == "traefik"
    )
    assert int(traefik.version.split(".")[0]) >= 40
    assert "globalArguments" not in traefik.values
    assert traefik.values["global"] == {"checkNewVersion": False, "sendAnonymousUsage": False}
    assert traefik.values["service"] == {
        "annotations": {"a": "b"},
        "spec": {"type": "LoadBalancer", "loadBalancerClass": "c"},
        "additionalServices": {"internal": {"spec": {"type": "ClusterIP"}}},
    }


def test_the_gateway_is_open_for_tls_alone() -> None:
    (traefik,) = (chart for chart in charts(cluster()) if chart.name == "traefik")
    assert {name for name, port in traefik.values["ports"].items() if port["expose"]["default"]} == {"websecure"}
    assert traefik.values["ports"]["web"]["expose"] == {"default": False}, "by itself the chart opens it"


def test_a_node_that_goes_never_takes_the_whole_gateway() -> None:
    (traefik,) = (chart for chart in charts(cluster()) if chart.name == "traefik")
    assert traefik.values["deployment"]["replicas"] == 2
    assert traefik.values["podDisruptionBudget"] == {"enabled": True, "maxUnavailable": 1}
    assert "--entryPoints.websecure.transport.lifeCycle.requestAcceptGraceTimeout=30s" in traefik.values["additionalArguments"]
    keys = {each["topologyKey"]: each["labelSelector"] for each in traefik.values["topologySpreadConstraints"]}
    assert set(keys) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert all(each == {"matchLabels": {"app.kubernetes.io/name": "traefik"}} for each in keys.values())


def test_charts_are_pinned_and_set_what_the_rollouts_rely_on() -> None:
    found = {chart.name: chart for chart in charts(cluster())}
    assert all(chart.version.count(".") == 2 for chart in found.values())
    crds = found["traefik"].values["providers"]["kubernetesCRD"]
    # A canary whose only pod crashed must not take the whole route with it.
    assert crds["allowEmptyServices"] is True
    # Probes reach it by a Service of its own; users' Service does not have it.
    assert found["traefik"].values["ports"]["internal"]["expose"] == {"default": False, "internal": True}
    assert found["traefik"].values["service"]["additionalServices"] == {"internal": {"spec": {"type": "ClusterIP"}}}
    assert found["traefik"].values["metrics"]["prometheus"]["addServicesLabels"] is True
    assert any("traefik.io/v1alpha1" in argument for argument in found["argo-rollouts"].values["controller"]["extraArgs"])
