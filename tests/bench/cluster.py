"""The same promotions in a cluster, against pods that merely start and against a plain Deployment's rolling update of the same images."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from infra import release
from infra.config import KubernetesConfig
from infra.config import load as load_config
from infra.kubernetes import api, gateway, manifests, view, words
from infra.kubernetes.api import POD, REPLICA_SET, ROLLOUT, TRAEFIK_SERVICE, Cluster, Kind, Object
from infra.kubernetes.labels import HTTP_PORT, SERVER_PORT, Names, image, selector
from pipelines.image import push
from serving.golden import difference
from tests import faulty, invariants
from tests.bench.ground import UNWATCHED, WATCHED, Ground
from tests.bench.measure import percentile, ratio
from tests.bench.row import Row
from tests.bench.traffic import Window, answers_to, counted, distinct, during, is_in
from tests.clustered import CLUSTER, ClusterStack
from tests.load import Load

PLAIN = "plain"
"""Name of the Deployment, its Service and its route, beside the model's own."""
LOOK_SECONDS = 0.03
DEPLOYMENT = Kind("apps/v1", "deployments")
SERVICE = Kind("v1", "services")
ROUTE = Kind("traefik.io/v1alpha1", "ingressroutes")
WAIT_SECONDS = 30
"""A rolling update that has not ended by then waits for pods that never get ready."""


@dataclass
class Seen:
    """When a rollout's moments were first seen, seconds of the monotonic clock, by their names."""

    at: dict[str, float] = field(default_factory=dict)

    def between(self, first: str, second: str) -> float:
        """Seconds from one moment to another. Raises AssertionError where one was never seen."""
        assert first in self.at and second in self.at, f"of {first!r} and {second!r} only {sorted(self.at)} were seen"
        return self.at[second] - self.at[first]


def measure(ground: Ground) -> Iterator[Row]:
    """Rows: number to 100 %, abort to 0 %, users' latency and bad answers during promotions, and those of rolling updates."""
    town = ground.town
    cluster = api.connect(str(CLUSTER / "kubeconfig"), None)
    yield from promotion(ground, town, cluster)
    yield abort(ground, town, cluster)
    yield from traffic(ground, town)
    yield from rolling(ground, town, cluster)


def promotion(ground: Ground, town: ClusterStack, cluster: Cluster) -> list[Row]:
    """From the changed Rollout, and from the command's start, to 100 %, against the pod's own way from its creation to ready."""
    town.champion(1, rollout=UNWATCHED)
    town.up()
    seen: list[Seen] = []
    with Load(town.connect, "/iris/predict", distinct(town), rate=ground.size.rate):
        for _ in range(ground.size.repetitions):
            number = ground.fresh_in_town(2)
            town.champion(number)
            with Watching(cluster, town.namespace, number) as found:
                found.at["command"] = time.monotonic()
                town.up()
            seen.append(found)
    ready = [found.between("pod", "ready") for found in seen]
    whole = [found.between("asked", "all") for found in seen]
    parts = {
        "pod created to ready, s": statistics.median(ready),
        "Rollout changed to pod created, s": statistics.median(found.between("asked", "pod") for found in seen),
        "ready to all traffic, s": statistics.median(found.between("ready", "all") for found in seen),
        "Rollout changed to all traffic, s": statistics.median(whole),
        "command to all traffic, s": statistics.median(found.between("command", "all") for found in seen),
    }
    why = "medians of this run: " + "; ".join(f"{name.removesuffix(', s')} {value:.2f} s" for name, value in parts.items())
    return [
        Row(
            name="cluster: edited number to 100 %, from the Rollout's change / pod created to ready",
            value=ratio(whole, ready),
            most=2,
            floor=f"1 x: a pod's start, {statistics.median(ready):.2f} s",
            why=why,
            parts=parts,
        )
    ]


def abort(ground: Ground, town: ClusterStack, cluster: Cluster) -> Row:
    """From the controller's decision to go back to the last answer that the bad release gave."""
    town.champion(1, rollout=WATCHED)
    town.up()
    number = ground.fresh_in_town(2, faulty.fails_after(0))
    with Load(town.connect, "/iris/predict", distinct(town), rate=ground.size.rate) as load:
        with Watching(cluster, town.namespace, number) as found:
            town.refused("promote", "iris", str(number), "--stack", town.stack)
        load.wait_for(20)
    last = max((answer.at + answer.seconds for answer in load.answers if answer.release == number), default=found.at["aborted"])
    return Row(
        name="cluster: abort decided to 0 %",
        value=found.between("aborted", "none"),
        unit="s",
        most=1,
        floor="0.1 s: the gateway takes changes together so long",
        why=f"the weights were seen at 0 {found.between('aborted', 'none'):.2f} s after status.abort",
        parts={"last answer of the bad release after the decision, s": max(0.0, last - found.at["aborted"])},
    )


def traffic(ground: Ground, town: ClusterStack) -> list[Row]:
    """Latency and answers of one unbroken load during promotions and returns."""
    size = ground.size
    town.champion(1, rollout=WATCHED)
    town.up()
    windows: list[Window] = []
    champion = 1
    back_from: list[float] = []
    with Load(town.connect, "/iris/predict", distinct(town), rate=size.rate) as load:
        load.wait_for(int(size.rate))
        for index in range(size.promotions):
            number = ground.fresh_in_town(2 if index % 2 == 0 else 1)
            with during(windows, "rest", {champion}):
                time.sleep(size.rest_seconds)
            with during(windows, "promotion", {champion, number}):
                town.ok("promote", "iris", str(number), "--stack", town.stack)
            if index < size.returns:
                began = time.monotonic()
                with during(windows, "return", {champion, number}):
                    out = town.ok("promote", "iris", str(champion), "--stack", town.stack)
                back_from.append(time.monotonic() - began)
                assert "pass: proven before" in out, out
            else:
                champion = number
        load.wait_for(20)
    windows.append(Window("rest", windows[-1].ended, time.monotonic(), frozenset({champion})))
    invariants.only_one_answers(town, champion)
    by_kind = {
        kind: [1000 * each.seconds for each in load.answers if is_in(each, kind, windows)] for kind in ("rest", "promotion", "return")
    }
    p99 = {kind: percentile(values, 0.99) for kind, values in by_kind.items()}
    p50 = {kind: percentile(values, 0.5) for kind, values in by_kind.items()}
    failed, stray, wrong = counted(town, load, windows)
    return [
        Row(
            name=f"cluster: p99 during {size.promotions} promotions / at rest",
            value=p99["promotion"] / p99["rest"],
            most=1.3,
            floor="1 x",
            why=(
                f"p99 is {p99['rest']:.1f} ms at rest, {p99['promotion']:.1f} ms during promotions, {p99['return']:.1f} ms during returns; "
                f"p50 {p50['rest']:.1f}, {p50['promotion']:.1f}, {p50['return']:.1f} ms. "
                "Engine, control plane and a new pod share the processors"
            ),
            parts={f"p99 in {kind}, ms": value for kind, value in p99.items()},
        ),
        Row(
            name=f"cluster: failed or wrong-release answers, {size.promotions} promotions and {size.returns} returns",
            value=failed + stray + wrong,
            unit="",
            most=0,
            floor=f"0 of {len(load.answers)} sent",
            why=f"{failed} failed, {stray} came from a release that may not answer then, {wrong} differ from the golden answer",
            parts={"failed": failed, "wrong release": stray, "wrong answer": wrong, "requests": len(load.answers)},
        ),
        Row(
            name="cluster: a return, from the command's start to its end",
            value=statistics.median(back_from),
            unit="s",
            floor="an update that changes nothing comes first",
        ),
    ]


def rolling(ground: Ground, town: ClusterStack, cluster: Cluster) -> Iterator[Row]:
    """What users get of a good release and of bad ones: ours against a plain Deployment of the same pods, updated in the same namespace."""
    kubernetes = load_config(town.root, town.stack).kubernetes
    assert kubernetes is not None
    town.champion(1, rollout=WATCHED)
    town.up()
    _plain_route(town, cluster, kubernetes)
    first = _pushed(town, kubernetes, 1)
    expected = answers_to(town, 1, distinct(town)), answers_to(town, 2, distinct(town))

    def harmed(load: Load) -> int:
        wrong = (
            answer.status == 200 and all(difference(answers[answer.request], answer.body, invariants.TOLERANCE) for answers in expected)
            for answer in load.answers
        )
        return len(load.failed) + sum(wrong)

    faults: dict[str, faulty.Fault | None] = {"good": None, "answering 5xx": faulty.fails_after(0), "swapped labels": faulty.swapped_labels}
    for kind, fault in faults.items():
        number = ground.fresh_in_town(2, fault)
        assert _deploy(town, cluster, first)
        with Load(town.connect, f"/{PLAIN}/predict", distinct(town), rate=ground.size.rate) as plain:
            plain.wait_for(int(ground.size.rate))
            is_out = _deploy(town, cluster, _pushed(town, kubernetes, number))
            plain.wait_for(2 * int(ground.size.rate))
        with Load(town.connect, "/iris/predict", distinct(town), rate=ground.size.rate) as ours:
            ours.wait_for(int(ground.size.rate))
            (town.ok if fault is None else town.refused)("promote", "iris", str(number), "--stack", town.stack)
            ours.wait_for(2 * int(ground.size.rate))
        yield Row(
            name=f"cluster: failed or wrong answers, promotion of a release that is: {kind}",
            value=harmed(ours),
            unit="",
            most=0 if fault is None else harmed(plain),
            floor=f"a Deployment's rolling update: {harmed(plain)} of {len(plain.answers)}, {'' if is_out else 'never '}rolled out",
            parts={
                "ours, of requests": len(ours.answers),
                "rolling update": harmed(plain),
                "rolling update, of requests": len(plain.answers),
                "rolling update, rolled out": is_out,
            },
        )


class Watching:
    """Notes the moments of the rollout to ``number`` while its block runs."""

    def __init__(self, cluster: Cluster, namespace: str, number: int) -> None:
        self.cluster, self.namespace, self.number = cluster, namespace, number
        self.seen = Seen()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Seen:
        self._thread.start()
        return self.seen

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _work(self) -> None:
        names = Names("iris")
        while not self._stop.is_set():
            rollout = self.cluster.get(ROLLOUT, names.rollout, self.namespace)
            if rollout is not None and words.release_of(rollout["spec"]["template"]) == self.number:
                self._note("asked")
                self._look(rollout, names)
            self._stop.wait(LOOK_SECONDS)

    def _look(self, rollout: Object, names: Names) -> None:
        pods = self.cluster.find(POD, self.namespace, {**selector(names), "mldelivery/release": str(self.number)})
        if pods:
            self._note("pod")
        conditions = [found for pod in pods for found in (pod.get("status") or {}).get("conditions") or ()]
        if any(found["type"] == "Ready" and found["status"] == "True" for found in conditions):
            self._note("ready")
        sets = self.cluster.find(REPLICA_SET, self.namespace, selector(names))
        shares = view.traffic(rollout, self.cluster.get(TRAEFIK_SERVICE, names.weights, self.namespace), sets, names)
        if shares == {str(self.number): 100}:
            self._note("all")
        if (rollout.get("status") or {}).get("abort"):
            self._note("aborted")
            if not shares.get(str(self.number)):
                self._note("none")

    def _note(self, moment: str) -> None:
        self.seen.at.setdefault(moment, time.monotonic())


def _pushed(town: ClusterStack, kubernetes: KubernetesConfig, number: int) -> str:
    """The image of a release, in the cluster's registry."""
    record = release.load(town.store, "iris", number)
    push(town.store, record, kubernetes.registry)
    return image(kubernetes.registry, record.image or "")


def _plain_route(town: ClusterStack, cluster: Cluster, kubernetes: KubernetesConfig) -> None:
    metadata = {"name": PLAIN, "namespace": town.namespace}
    entrance = gateway.Entrance(model=PLAIN, namespace=town.namespace, gateway=kubernetes.gateway)
    route = gateway.user_route(entrance)
    route["spec"]["routes"][0]["services"] = [{"name": PLAIN, "kind": "Service", "port": HTTP_PORT}]
    ports = [{"name": "http", "port": HTTP_PORT, "targetPort": SERVER_PORT}]
    spec = {"selector": {"app": PLAIN}, "ports": ports}
    cluster.create(SERVICE, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}, town.namespace)
    cluster.create(ROUTE, route, town.namespace)


def _deploy(town: ClusterStack, cluster: Cluster, from_image: str) -> bool:
    """Bring the Deployment to an image; whether its rolling update ended before ``WAIT_SECONDS`` were over."""
    model = json.loads(town.kubectl("get", "rollout.argoproj.io", "iris", "--output=json"))["spec"]["template"]
    template: manifests.Manifest = {"metadata": {"labels": {"app": PLAIN}}, "spec": model["spec"]}
    template["spec"].pop("topologySpreadConstraints", None)
    template["spec"]["containers"][0]["image"] = from_image
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": PLAIN}}, "template": template}
    document = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": PLAIN, "namespace": town.namespace}, "spec": spec}
    if cluster.get(DEPLOYMENT, PLAIN, town.namespace) is None:
        cluster.create(DEPLOYMENT, document, town.namespace)
    else:
        cluster.patch(DEPLOYMENT, PLAIN, town.namespace, {"spec": {"template": template}})
    deadline = time.monotonic() + WAIT_SECONDS
    while not (is_out := _is_rolled_out(cluster.get(DEPLOYMENT, PLAIN, town.namespace) or {})) and time.monotonic() < deadline:
        time.sleep(0.1)
    return is_out


def _is_rolled_out(deployment: Object) -> bool:
    status = deployment.get("status") or {}
    is_observed = status.get("observedGeneration") == deployment.get("metadata", {}).get("generation")
    return bool(is_observed and status.get("updatedReplicas") == status.get("availableReplicas") == status.get("replicas") == 1)
