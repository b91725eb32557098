"""The watch and the guard against real Rollouts, driven without the engine: good and bad releases, in a namespace of the test's own."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra import driver
from infra.config import ClusterGatewayConfig, ResourcesConfig
from infra.errors import PlatformError, RolloutAborted
from infra.kubernetes import analysis, gateway, ledger, manifests
from infra.kubernetes.api import POD, REPLICA_SET, ROLLOUT, Cluster, Kind, Object, connect
from infra.kubernetes.guard import RolloutGuardProvider
from infra.kubernetes.labels import RELEASE, Names, image, selector
from infra.kubernetes.needs import check_cluster
from infra.kubernetes.watcher import RolloutWatchProvider, is_settled
from infra.kubernetes.words import release_of
from infra.release import Release, load
from infra.rollout import Policy, Slo
from pipelines.image import push
from tests import faulty
from tests.clustered import CLUSTER, NODE, _Gateway
from tests.laptop import ROOT, wait_until
from tests.load import Load
from toolchain.cluster.node import Node

pytestmark = pytest.mark.timeout(900)

REGISTRY = f"{NODE}:5000"
PLURALS = {"Namespace": "namespaces", "NetworkPolicy": "networkpolicies", "ServiceAccount": "serviceaccounts", "Service": "services"}
FAST = Policy(
    strategy="canary",
    steps=(20, 60),
    step_seconds=0.6,
    bake_seconds=0.6,
    minimum_sample=30,
    insufficient="probe",
    hold_seconds=10,
    rollback_window=3,
    slo=Slo(error_rate=0.02, p99_ms=2500),
)


@dataclass
class Place:
    """One model in a namespace of its own; ``promote`` does what an update does: guard, Rollout, watch, route."""

    cluster: Cluster
    store: Path
    namespace: str = field(default_factory=lambda: f"watch-{secrets.token_hex(3)}")
    olds: dict[str, Any] = field(default_factory=dict)
    names: Names = field(default_factory=lambda: Names("iris"))

    def put(self, document: Object) -> None:
        """Create an object, or merge into the one that is there."""
        kind = Kind(document["apiVersion"], PLURALS.get(document["kind"], document["kind"].lower() + "s"))
        inside = None if document["kind"] == "Namespace" else self.namespace
        if self.cluster.get(kind, document["metadata"]["name"], inside) is None:
            self.cluster.create(kind, document, inside)
        elif document["kind"] in ("Rollout", "AnalysisTemplate"):
            # What the new one does not have must go: one strategy of the two.
            strategy = {"strategy": {"canary": None, "blueGreen": None, **document["spec"].get("strategy", {})}}
            spec = {**document["spec"], **(strategy if document["kind"] == "Rollout" else {})}
            self.cluster.patch(kind, document["metadata"]["name"], self.namespace, {"spec": spec})

    def record(self, release: int) -> Release:
        return load(self.store, "iris", release)

    def make(self, release: int, fault: faulty.Fault | None = None) -> None:
        """Make a release from release 1, with its image in the cluster's registry."""
        faulty.make(self.store, release, source=1, fault=fault, with_image=True)

    def props(self, release: int, policy: Policy = FAST) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the program gives to the guard and to the watch."""
        where = {"kubeconfig": str(CLUSTER / "kubeconfig"), "context": None, "namespace": self.namespace}
        record = self.record(release)
        rolled = {"model": "iris", "role": "champion", "champion": release, "image": image(REGISTRY, record.image or "")}
        told = {**dataclasses.asdict(policy), "steps": list(policy.steps)}
        wiring = {**where, **rolled, "digest": record.digest, "config_file": "Pulumi.test.yaml"}
        guarded = {**where, **rolled, "rollback_window": policy.rollback_window}
        return guarded, {"model": "iris", "champion": release, "policy": told, "wiring": wiring}

    def change(self, release: int, policy: Policy = FAST, *, ready_seconds: float = 20, memory: int = 256) -> None:
        """What comes before the watch: the guard, what a rollout needs, and the changed Rollout."""
        guarded, _ = self.props(release, policy)
        push(self.store, self.record(release), REGISTRY)
        provider = RolloutGuardProvider()
        provider.check({}, guarded)
        provider.create(guarded)
        workload = manifests.Workload(
            names=self.names,
            namespace=self.namespace,
            release=release,
            image=guarded["image"],
            replicas=1,
            resources=ResourcesConfig.model_validate({"memory-mib": memory}),
            ready_seconds=ready_seconds,
            policy=policy,
        )
        watch = analysis.Watch(
            names=self.names, namespace=self.namespace, policy=policy, prometheus=f"http://{NODE}:9090", internal_url=f"http://{NODE}:8082"
        )
        entrance = self.entrance()
        for document in (
            manifests.namespace(self.namespace),
            manifests.service_account(self.namespace),
            *manifests.network_policies(self.namespace, "existing"),
            *manifests.services(workload),
            analysis.golden(self.names, self.namespace),
            analysis.traffic(watch),
            gateway.inner(entrance),
            *gateway.middlewares(self.namespace),
            *gateway.internal_routes(entrance),
            manifests.rollout(workload),
        ):
            self.put(document)

    def entrance(self) -> gateway.Entrance:
        urls = {"url": f"https://{self.namespace}.gateway.local:8443", "internal-url": f"http://{NODE}:8082"}
        return gateway.Entrance(model="iris", namespace=self.namespace, gateway=ClusterGatewayConfig.model_validate(urls))

    def watch(self, release: int, policy: Policy = FAST) -> None:
        """The watch as the engine would call it, and then the route. Raises what it raises; its inputs then stay the old ones."""
        _, watched = self.props(release, policy)
        provider = RolloutWatchProvider()
        if self.olds:
            assert provider.diff("", self.olds, watched).changes
            provider.update("", self.olds, watched)
        else:
            provider.create(watched)
        self.olds = watched
        for document in (*gateway.outer_services(self.entrance(), None), gateway.user_route(self.entrance())):
            self.put(document)

    def promote(self, release: int, policy: Policy = FAST, **how: Any) -> None:
        self.change(release, policy, **how)
        self.watch(release, policy)

    def refused(self, release: int, policy: Policy = FAST, **how: Any) -> str:
        """Promote what must not pass; returns the message. The old number is put back, as a person would."""
        with pytest.raises(RolloutAborted) as raised:
            self.promote(release, policy, **how)
        old = int(self.olds["champion"])
        self.change(old, policy)
        self.settle(old, policy)
        return str(raised.value)

    def settle(self, release: int, policy: Policy = FAST) -> None:
        """The update after the old number was put back: looks, and has nothing to do in the end."""
        _, watched = self.props(release, policy)
        if RolloutWatchProvider().diff("", self.olds, watched).changes:
            RolloutWatchProvider().update("", self.olds, watched)
        self.olds = watched
        assert is_settled(watched)

    def rollout(self) -> Object:
        found = self.cluster.get(ROLLOUT, "iris", self.namespace)
        assert found is not None
        return found

    def is_switched(self) -> bool:
        """Whether blue-green has switched to a release that is not proven yet."""
        status = self.rollout()["status"]
        return bool(status.get("blueGreen", {}).get("activeSelector") == status["currentPodHash"] != status["stableRS"])

    def available(self, release: int) -> int:
        """How many pods of a release are ready, as its ReplicaSet has counted."""
        found = self.cluster.find(REPLICA_SET, self.namespace, {RELEASE: str(release)})
        return sum(each.get("status", {}).get("availableReplicas", 0) for each in found)

    def users(self, rate: float = 60) -> Load:
        """Users who ask at a constant rate."""
        golden = self.store / "bentos/iris/1/src/release/golden.jsonl"
        bodies = [json.loads(line)["request"] for line in golden.read_text(encoding="utf-8").splitlines()]
        return Load(self.connection, "/iris/predict", bodies, rate=rate)

    def connection(self) -> http.client.HTTPConnection:
        return _Gateway(f"{self.namespace}.gateway.local", 8443, timeout=20)

    @property
    def account(self) -> ledger.Ledger:
        return ledger.read(self.cluster, self.namespace, "iris")


@pytest.fixture(scope="module")
def place(cluster: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A model whose release 1 serves, rolled out as its first."""
    assert cluster is not None
    store = tmp_path_factory.mktemp("watch")
    command = [sys.executable, "-m", "pipelines", "release", "iris", "--first", "--image", "--store", str(store)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    found = Place(connect(str(CLUSTER / "kubeconfig"), None), store)
    try:
        found.promote(1)
        yield found
    finally:
        found.cluster.delete(Kind("v1", "namespaces"), found.namespace, "")  # an empty namespace: it is cluster-wide


@contextlib.contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """What the command line does on Ctrl-C, a while from now, and again: a watch that has just begun takes what is older for another's."""
    stop = threading.Event()

    def note() -> None:
        driver.INTERRUPT.parent.mkdir(parents=True, exist_ok=True)
        while not stop.wait(seconds):
            driver.INTERRUPT.write_text("test", encoding="utf-8")

    thread = threading.Thread(target=note)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        driver.INTERRUPT.unlink(missing_ok=True)


def test_the_first_release_is_verified_before_its_route(place: Place) -> None:
    account = place.account
    assert account.serving == 1 and account.proven[0].hash == place.rollout()["status"]["stableRS"]
    assert not place.cluster.find(Kind("batch/v1", "jobs"), place.namespace, {}), "the replay's Job is left"
    _, watched = place.props(1)
    assert not RolloutWatchProvider().diff("", watched, watched).changes


def test_a_good_release_is_followed_to_its_end(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.make(10)
    with place.users() as load:
        place.promote(10)
        load.wait_for(20)
    out = capfd.readouterr().out
    assert "iris: 1 -> 10 | 1/4 golden replay | pass: " in out and "golden answers of 10 as recorded" in out
    assert "iris: 1 -> 10 | 2/4 20 % | pass: " in out and "4/4 bake at 100 % | pass: " in out
    assert "10 answers everything; 1 retires" in out
    assert not load.failed
    assert place.account.serving == 10
    began = time.monotonic()
    place.promote(1)
    assert "iris: 10 -> 1 | 2/2 switch to 100 % | pass: proven before" in capfd.readouterr().out
    assert time.monotonic() - began < 20
    assert place.account.serving == 1


def test_blue_green_switches_at_once_and_back_at_once(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    policy = dataclasses.replace(FAST, strategy="blue-green", steps=())
    place.promote(1, policy)
    place.make(24)
    with place.users() as load:
        place.promote(24, policy)
        load.wait_for(10)
    assert "1 -> 24 | 2/2 bake at 100 % | pass: " in capfd.readouterr().out
    assert not load.failed
    place.promote(1, policy)
    place.make(25, faulty.fails_after(0))
    place.change(25, policy)
    with place.users(), pytest.raises(RolloutAborted, match=r"at 'bake at 100 %': .* requests failed with 5xx") as raised:
        place.watch(25, policy)
    assert "At most 100 % of the traffic reached 25, for " in str(raised.value)
    place.change(1, policy)
    place.settle(1, policy)
    place.promote(1)


def test_blue_green_leads_users_back_where_argo_would_leave_them(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    policy = dataclasses.replace(FAST, strategy="blue-green", steps=(), bake_seconds=120)
    place.promote(1, policy)
    place.make(26)
    with place.users() as load:
        place.change(26, policy)
        wait_until(place.is_switched, what="26 is baked")
        place.change(1, policy)
        began = time.monotonic()
        place.settle(1, policy)
        assert time.monotonic() - began < 45, "the old number waited for the deadline of Argo Rollouts"
        place.change(26, policy)
        wait_until(place.is_switched, what="26 is baked again")
        for pod in place.cluster.find(POD, place.namespace, {RELEASE: "26"}):
            place.cluster.delete(POD, pod["metadata"]["name"], place.namespace)
        wait_until(lambda: not place.available(26), what="not all pods of 26 are ready")
        place.cluster.patch(ROLLOUT, "iris", place.namespace, {"status": {"abort": True}}, part="status")
        capfd.readouterr()
        with pytest.raises(RolloutAborted, match=r"At most 100 % of the traffic reached 26, for .* All traffic is on 1 again\."):
            place.watch(26, policy)
        assert "bake at 100 % | pass" not in capfd.readouterr().out, "for Argo Rollouts an analysis that it ended has passed"
        # The gateway takes changes together for a moment.
        back = time.monotonic() + 1
        wait_until(lambda: sum(answer.at > back for answer in load.answers) >= 40, what="users ask on")
    assert {answer.release for answer in load.answers if answer.at > back} == {1}
    place.change(1, policy)
    place.settle(1, policy)
    place.promote(1)


def test_an_image_that_is_not_there_is_told_at_once(place: Place) -> None:
    place.make(18)
    place.change(18)
    missing = f"{REGISTRY}/iris@sha256:{'0' * 64}"
    containers = place.rollout()["spec"]["template"]["spec"]["containers"]
    containers[0]["image"] = missing
    place.cluster.patch(ROLLOUT, "iris", place.namespace, {"spec": {"template": {"spec": {"containers": containers}}}})
    with pytest.raises(RolloutAborted, match=r"its image cannot be pulled: .*not found"):
        place.watch(18)
    place.change(1)
    place.settle(1)


def test_too_little_memory_is_named(place: Place) -> None:
    place.make(19, needs_too_much)
    said = place.refused(19, memory=64)
    assert "exited while starting, killed for using more than 64Mi of memory (OOMKilled)" in said


def needs_too_much(bento: Path, _number: int) -> None:
    """Takes more memory than it may while it starts."""
    text = "import sys\nif 'serving' in sys.orig_argv:\n    taken = [bytearray(b'1') * 2**20 for _ in range(500)]\n"
    (bento / "sitecustomize.py").write_text(text, encoding="utf-8")


def test_a_watch_that_is_stopped_leaves_the_controller_to_finish(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.make(20)
    place.change(20)
    with interrupted_after(1), pytest.raises(PlatformError, match=r"Argo Rollouts goes on with 20 by itself"):
        place.watch(20)
    deadline = time.monotonic() + 90
    while place.rollout()["status"].get("phase") != "Healthy" and time.monotonic() < deadline:
        time.sleep(0.5)
    generation = place.rollout()["metadata"]["generation"]
    place.watch(20)
    assert "20 answers everything" in capfd.readouterr().out
    assert place.rollout()["metadata"]["generation"] == generation, "the next update did more than look"
    place.promote(1)


def test_an_abort_that_nobody_saw_is_reported_and_then_tried_again(place: Place) -> None:
    place.make(21, faulty.one_wrong_answer)
    place.change(21)
    deadline = time.monotonic() + 90
    while not place.rollout()["status"].get("abort") and time.monotonic() < deadline:
        time.sleep(0.5)
    with pytest.raises(RolloutAborted, match=r"1 of .* golden requests"):
        place.watch(21)
    first = place.account.reported[0]
    with pytest.raises(RolloutAborted, match=r"1 of .* golden requests"):
        place.watch(21)
    assert place.account.reported[0] != first, "it was not tried a second time"
    place.change(1)
    place.settle(1)


def test_what_was_aborted_never_passes_for_proven(place: Place) -> None:
    place.make(22, faulty.one_wrong_answer)
    place.refused(22)
    place.make(23)
    place.promote(23)
    left = {release_of(found["spec"]["template"]) for found in place.cluster.find(REPLICA_SET, place.namespace, selector(place.names))}
    assert 22 not in left and {1, 23} <= left
    # 22's pods would be older than the stable ones: without the guard Argo Rollouts would bring it back without verification.
    with pytest.raises(RolloutAborted, match=r"1 of .* golden requests"):
        place.promote(22)
    place.change(23)
    place.settle(23)
    place.promote(1)


def test_the_cluster_of_these_tests_is_fit(place: Place) -> None:
    check_cluster(place.cluster, place.namespace)


def test_where_to_look_for_a_cluster_is_said() -> None:
    with pytest.raises(PlatformError, match=r"there is no such kubeconfig"):
        connect("nowhere/kubeconfig", None)
    with pytest.raises(PlatformError, match=r"kubeconfig .*kubeconfig: there is no such context") as raised:
        connect(str(CLUSTER / "kubeconfig"), "elsewhere")
    assert "mldelivery" in str(raised.value)
