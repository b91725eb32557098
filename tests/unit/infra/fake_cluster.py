"""A cluster of plain dictionaries, whose Rollout goes through a script: one status a look."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from infra.kubernetes.api import ENDPOINT_SLICE, JOB, REPLICA_SET, ROLLOUT, Kind, Object, Unreachable

STABLE, CURRENT = "aaa", "bbb"
POLICY = {
    "strategy": "canary",
    "steps": [20],
    "step_seconds": 1.0,
    "bake_seconds": 1.0,
    "minimum_sample": 30,
    "insufficient": "probe",
    "hold_seconds": 1.0,
    "rollback_window": 3,
    "slo": {"error_rate": 0.02, "p99_ms": 200.0},
}


def props(champion: int, **policy: Any) -> dict[str, Any]:
    """What the program gives to a watch."""
    wiring = {
        "kubeconfig": None,
        "context": None,
        "namespace": "test",
        "image": f"registry/iris@sha256:{champion}",
        "digest": f"sha256:{champion}",
        "config_file": "Pulumi.test.yaml",
    }
    return {"model": "iris", "champion": champion, "policy": {**POLICY, **policy}, "wiring": wiring}


def rollout(release: int, status: Mapping[str, Any], *, generation: int = 1) -> Object:
    """A Rollout of canary steps: golden replay, 20 %, bake."""

    def analysis(template: str) -> Object:
        return {"analysis": {"templates": [{"templateName": template}]}}

    steps = [
        {"setCanaryScale": {"weight": 100}},
        analysis("iris-golden"),
        {"setWeight": 20},
        analysis("iris-traffic"),
        {"setWeight": 100},
        analysis("iris-traffic"),
    ]
    server = {"name": "server", "startupProbe": {"failureThreshold": 2, "periodSeconds": 1}}
    return {
        "metadata": {"name": "iris", "uid": "u", "generation": generation, "annotations": {"rollout.argoproj.io/revision": "2"}},
        "spec": {
            "strategy": {"canary": {"steps": steps}},
            "template": {"metadata": {"labels": {"mldelivery/release": str(release)}}, "spec": {"containers": [server]}},
        },
        "status": {"observedGeneration": "1", **status},
    }


def replica_set(release: int, pod_hash: str, *, available: int = 1) -> Object:
    """A release's ReplicaSet, owned by the Rollout."""
    labels = {"mldelivery/release": str(release), "rollouts-pod-template-hash": pod_hash}
    metadata = {"name": f"iris-{pod_hash}", "labels": labels, "ownerReferences": [{"uid": "u"}]}
    return {"metadata": metadata, "spec": {"template": {"metadata": {"labels": labels}}}, "status": {"availableReplicas": available}}


def promoted(pod_hash: str) -> dict[str, Any]:
    """The status of a Rollout that has nothing left to do."""
    weights = {"canary": {"weight": 0, "podTemplateHash": pod_hash}, "stable": {"weight": 100, "podTemplateHash": pod_hash}}
    return {"phase": "Healthy", "currentPodHash": pod_hash, "stableRS": pod_hash, "canary": {"weights": weights}}


def switched(release: int, current: str, *, stable: str, active: str, **more: Any) -> Object:
    """A blue-green Rollout whose Service leads users to ``active``."""
    found = rollout(release, {"phase": "Progressing", "currentPodHash": current, "stableRS": stable, **more})
    found["spec"]["strategy"] = {"blueGreen": {"prePromotionAnalysis": {}, "postPromotionAnalysis": {}}}
    found["status"]["blueGreen"] = {"activeSelector": active}
    return found


def under_way(share: int = 0, **more: Any) -> dict[str, Any]:
    """The status of a rollout from STABLE to CURRENT."""
    weights = {"canary": {"weight": share, "podTemplateHash": CURRENT}, "stable": {"weight": 100 - share, "podTemplateHash": STABLE}}
    return {"phase": "Progressing", "currentPodHash": CURRENT, "stableRS": STABLE, "canary": {"weights": weights}, **more}


def run(step: int, phase: str, results: list[Object] | None = None) -> Object:
    """The analysis of one step."""
    labels = {"rollouts-pod-template-hash": CURRENT, "step-index": str(step), "rollout-type": "Step"}
    metadata = {
        "name": f"run-{step}",
        "labels": labels,
        "annotations": {"rollout.argoproj.io/revision": "2"},
        "creationTimestamp": f"2026-01-01T00:00:0{step}Z",
        "ownerReferences": [{"uid": "u"}],
    }
    times = {"startedAt": "2026-01-01T00:00:00Z", "completedAt": "2026-01-01T00:00:03Z"} if phase != "Running" else {}
    return {"metadata": metadata, "status": {"phase": phase, **times, "metricResults": results or []}}


def measured(name: str, value: str, phase: str = "Successful", message: str = "") -> Object:
    """What one metric of an analysis found."""
    found = {"value": value, "phase": phase, "finishedAt": "2026-01-01T00:00:03Z", "message": message}
    return {"name": name, "phase": phase, "measurements": [found], "message": message}


class FakeCluster:
    """Answers like ``infra.kubernetes.api.Cluster``. ``script`` holds what happens at each look at the Rollout, the last one for ever."""

    where = "a fake cluster"

    def __init__(self, *script: Callable[[FakeCluster], None] | Object) -> None:
        self.script = list(script)
        self.objects: dict[tuple[str, str], Object] = {}
        self.patches: list[Object] = []
        self.logs: dict[str, str] = {}
        self.denied: set[tuple[str, str]] = set()
        self.served = {
            "argoproj.io/v1alpha1": {"rollouts", "analysisruns", "analysistemplates"},
            "traefik.io/v1alpha1": {"ingressroutes", "traefikservices", "middlewares"},
        }
        self.outages = 0
        self.leads_to: list[list[str]] = []
        """To the pods of which hashes the stable Service leads, a look each; after them, to those that it should."""

    def put(self, kind: Kind, *documents: Object) -> None:
        for document in documents:
            self.objects[kind.plural, document["metadata"]["name"]] = document

    def get(self, kind: Kind, name: str, _namespace: str | None = None) -> Object | None:
        if kind == ROLLOUT and self.outages:
            self.outages -= 1
            raise Unreachable("connection refused", where=self.where)
        if kind == ROLLOUT and self.script:
            step = self.script[0] if len(self.script) == 1 else self.script.pop(0)
            if callable(step):
                step(self)
            else:
                self.objects["rollouts", "iris"] = step
        return copy.deepcopy(self.objects.get((kind.plural, name)))

    def find(self, kind: Kind, _namespace: str, labels: Mapping[str, str]) -> list[Object]:
        if kind == ENDPOINT_SLICE:
            status = self.objects["rollouts", "iris"]["status"]
            active = (status.get("blueGreen") or {}).get("activeSelector") or status["currentPodHash"]
            leads_to = self.leads_to.pop(0) if self.leads_to else [active]
            return [{"endpoints": [{"targetRef": {"name": f"serves-{found}"}, "conditions": {"ready": True}} for found in leads_to]}]
        wanted = {key: value for key, value in labels.items() if key in ("rollouts-pod-template-hash", "job-name")}
        found = [document for (plural, _), document in self.objects.items() if plural == kind.plural]
        return [copy.deepcopy(each) for each in found if all(each["metadata"].get("labels", {}).get(k) == v for k, v in wanted.items())]

    def create(self, kind: Kind, document: Object, _namespace: str | None = None) -> Object:
        if kind == JOB:
            pod = {"metadata": {"name": "replay-pod", "labels": {"job-name": document["metadata"]["name"]}}}
            self.objects["pods", "replay-pod"] = pod
            kind_of_end = "Failed" if "wrong" in self.logs.get("replay-pod", "") else "Complete"
            document = {**document, "status": {"conditions": [{"type": kind_of_end, "status": "True"}]}}
        self.put(kind, document)
        return document

    def patch(self, kind: Kind, name: str, _namespace: str, document: Object, *, part: str = "") -> Object:
        self.patches.append(document)
        found = self.objects.setdefault((kind.plural, name), {"metadata": {"name": name}})
        if not part:
            found.update({key: value for key, value in document.items() if key == "data"})
        return found

    def delete(self, kind: Kind, name: str, _namespace: str) -> bool:
        return self.objects.pop((kind.plural, name), None) is not None

    def log(self, pod: str, _namespace: str, _container: str, *, lines: int, previous: bool = False) -> str:
        del lines, previous
        return self.logs.get(pod, "")

    def kinds(self, version: str) -> set[str]:
        return self.served.get(version, set())

    def may(self, verb: str, kind: Kind, _namespace: str, *, part: str = "") -> bool:
        return (verb, kind.plural + (f"/{part}" if part else "")) not in self.denied

    def sets(self) -> set[str]:
        """Hashes of the ReplicaSets that are there."""
        return {name.removeprefix("iris-") for plural, name in self.objects if plural == REPLICA_SET.plural}
