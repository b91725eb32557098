"""When an object counts as ready, and whose field is whose."""

from __future__ import annotations

from typing import Any

import pytest

from toolchain.kubernetes_provider import expression
from toolchain.kubernetes_provider.api import Api, ApiError
from toolchain.kubernetes_provider.kubeconfig import Connection
from toolchain.kubernetes_provider.managed import is_owned, without_ignored
from toolchain.kubernetes_provider.objects import merge_patch, timeout_seconds
from toolchain.kubernetes_provider.readiness import awaited

API = Api(Connection("http://127.0.0.1:1", "", "", False, dict))


def progress(kind: str, api_version: str, **live: Any) -> Any:
    wait = awaited({"apiVersion": api_version, "kind": kind}, {})
    assert wait is not None
    return wait.check(API, {"metadata": {"generation": 2, "name": "one", "namespace": "space"}, **live})


def condition(name: str, status: str = "True", **rest: Any) -> dict[str, Any]:
    return {"type": name, "status": status, **rest}


AVAILABLE = condition("Progressing", reason="NewReplicaSetAvailable")


@pytest.mark.parametrize(
    ("kind", "api_version", "live", "is_ready"),
    [
        ("Deployment", "apps/v1", {"spec": {"replicas": 2}, "status": {"observedGeneration": 1}}, False),
        (
            "Deployment",
            "apps/v1",
            {
                "spec": {"replicas": 2},
                "status": {"observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 2, "conditions": [AVAILABLE]},
            },
            True,
        ),
        (
            "Deployment",
            "apps/v1",
            {
                "spec": {},
                "status": {"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1, "conditions": [condition("Progressing")]},
            },
            False,
        ),
        ("Deployment", "apps/v1", {"spec": {"replicas": 0}, "status": {"observedGeneration": 2}}, True),
        ("StatefulSet", "apps/v1", {"spec": {"replicas": 1}, "status": {"observedGeneration": 2, "readyReplicas": 1}}, False),
        (
            "StatefulSet",
            "apps/v1",
            {"spec": {"replicas": 1}, "status": {"observedGeneration": 2, "readyReplicas": 1, "updatedReplicas": 1}},
            True,
        ),
        (
            "DaemonSet",
            "apps/v1",
            {"status": {"observedGeneration": 2, "desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": 1}},
            True,
        ),
        ("DaemonSet", "apps/v1", {"status": {"observedGeneration": 2, "desiredNumberScheduled": 1, "updatedNumberScheduled": 1}}, False),
        ("Job", "batch/v1", {"status": {"conditions": [condition("Complete")]}}, True),
        ("Job", "batch/v1", {"status": {"active": 1}}, False),
        ("Pod", "v1", {"status": {"phase": "Running", "conditions": [condition("Ready")]}}, True),
        ("Pod", "v1", {"status": {"phase": "Running", "conditions": [condition("Ready", "False")]}}, False),
        ("PersistentVolumeClaim", "v1", {"spec": {}, "status": {"phase": "Bound"}}, True),
        ("Service", "v1", {"spec": {"clusterIP": "None", "selector": {"a": "b"}}}, True),
        ("Service", "v1", {"spec": {}}, True),
        ("Service", "v1", {"spec": {"type": "LoadBalancer", "selector": {"a": "b"}}}, False),
        ("Secret", "v1", {"type": "Opaque"}, True),
        ("Secret", "v1", {"type": "kubernetes.io/service-account-token"}, False),
    ],
)
def test_when_an_object_is_ready(kind: str, api_version: str, live: dict[str, Any], is_ready: bool) -> None:
    found = progress(kind, api_version, **live)
    assert found.is_ready is is_ready and not found.is_failed
    assert bool(found.words) is not is_ready


def test_a_failed_job_and_pod_fail_at_once() -> None:
    job = progress("Job", "batch/v1", status={"conditions": [condition("Failed", reason="BackoffLimitExceeded", message="it failed")]})
    assert job.is_failed and job.words == "Job failed: BackoffLimitExceeded: it failed"
    assert progress("Pod", "v1", status={"phase": "Failed", "reason": "Evicted"}).is_failed


def test_other_kinds_and_what_says_so_are_not_waited_for() -> None:
    assert awaited({"apiVersion": "v1", "kind": "ConfigMap"}, {}) is None
    assert awaited({"apiVersion": "example.com/v1", "kind": "Deployment"}, {}) is None
    skipped = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"annotations": {"pulumi.com/skipAwait": "true"}}}
    assert awaited(skipped, {}) is None
    assert awaited({"apiVersion": "example.com/v1", "kind": "Any"}, {"PULUMI_K8S_AWAIT_ALL": "true"}) is not None


LIVE = {
    "metadata": {"generation": 3},
    "spec": {"ports": [{"port": 80}]},
    "status": {
        "phase": "Running",
        "n": 2,
        "conditions": [condition("Ready", observedGeneration=3), condition("Old", observedGeneration=2)],
    },
}


@pytest.mark.parametrize(
    ("text", "is_met"),
    [
        ("jsonpath={.status.phase}=Running", True),
        ("jsonpath={.status.phase}=Done", False),
        ("jsonpath={.status.phase}", True),
        ("jsonpath={.status.missing}", False),
        ("jsonpath={.status.n}=2", True),
        ("jsonpath={.spec.ports[0].port}=80", True),
        ("jsonpath={.spec.ports[*].port}=80", True),
        ("jsonpath={.status['phase']}=Running", True),
        ('jsonpath={.status.conditions[?(@.type=="Ready")].status}=True', True),
        ("condition=Ready", True),
        ("condition=Ready=False", False),
        ("condition=Old", False),
        ("condition=None", False),
    ],
)
def test_conditions_to_wait_for(text: str, is_met: bool) -> None:
    assert (expression.unmet(text, LIVE) is None) is is_met


@pytest.mark.parametrize("text", ["Ready", "jsonpath=.status", "jsonpath={.status..phase}", "[]", '["condition=A", "B"]'])
def test_conditions_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(expression.BadExpression, match=r"pulumi\.com/waitFor"):
        expression.conditions(text)


def owned(manager: str, operation: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields}


def live_service() -> dict[str, Any]:
    return {
        "metadata": {
            "managedFields": [
                owned("ours", "Apply", {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}}}}),
                owned("rollouts-controller", "Update", {"f:spec": {"f:selector": {}, "f:weighted": {"f:services": {}}}}),
            ]
        },
        "spec": {
            "ports": [{"port": 80, "protocol": "TCP"}],
            "selector": {"app": "iris", "hash": "1"},
            "weighted": {"services": [{"name": "a", "weight": 70}]},
            "type": "ClusterIP",
        },
    }


def test_whose_field_it_is() -> None:
    live = live_service()
    assert is_owned(live, ("spec", "ports", 0, "port"), "ours")
    assert is_owned(live, ("spec", "selector"), "ours", by_others=True) and not is_owned(live, ("spec", "selector"), "ours")


def test_ignored_changes_leave_others_fields_to_them() -> None:
    ours = {
        "spec": {
            "selector": {"app": "iris"},
            "ports": [{"port": 81}],
            "type": "NodePort",
            "weighted": {"services": [{"name": "a", "weight": 0}]},
        }
    }
    found = without_ignored(ours, live_service(), "ours", ["spec.selector", "spec.type", "spec.weighted.services[0].weight"])
    assert found["spec"] == {"ports": [{"port": 81}], "type": "ClusterIP", "weighted": {"services": [{"name": "a", "weight": 70}]}}
    assert without_ignored(ours, live_service(), "ours", ["spec.weighted.services"])["spec"]["weighted"] == {}
    assert ours["spec"]["type"] == "NodePort"


def test_a_merge_patch_takes_away_what_the_program_took_away() -> None:
    assert merge_patch({"a": 1, "b": {"c": 1, "d": 2}, "e": 1}, {"b": {"c": 2}, "e": 1, "f": []}) == {
        "a": None,
        "b": {"d": None, "c": 2},
        "f": [],
    }


def test_the_timeout_of_an_annotation() -> None:
    assert timeout_seconds({"metadata": {"annotations": {"pulumi.com/timeoutSeconds": "90"}}}) == 90
    assert timeout_seconds({"metadata": {"annotations": {"pulumi.com/timeoutSeconds": "soon"}}}) == 0


def test_conflicts_are_read_from_the_servers_answer() -> None:
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "kubectl" using apps/v1', "field": ".spec.replicas"}
    assert ApiError(409, {"message": "Apply failed", "details": {"causes": [cause]}}).conflicts == [("spec.replicas", "kubectl")]
