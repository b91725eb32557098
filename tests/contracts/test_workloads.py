"""No pod of ours may do what it need not, and each rule is seen to fail on a small bad example."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.contracts.workloads import pods, unsafe_pods
from tests.unit.infra.kubernetes_models import challenger_rollout, everything, model

VARIANTS: list[dict[str, Any]] = [
    {},
    {"rollout": {"strategy": "blue-green", "insufficient": "hold"}},
    {"rollout": {"insufficient": "abort", "steps": []}, "replicas": 3, "autoscale": {"maximum": 5}},
]


@pytest.mark.parametrize("config", VARIANTS)
def test_every_pod_in_a_cluster_is_confined(config: dict[str, Any]) -> None:
    manifests = [*everything(model(**config)), challenger_rollout(model(**config))]
    # The champion's servers, the challenger's, the golden replay, and the probes where the policy sends some.
    assert len(list(pods(manifests))) == 3 + (config.get("rollout", {}).get("insufficient", "probe") == "probe")
    assert unsafe_pods(manifests) == []


def a_pod() -> dict[str, Any]:
    return copy.deepcopy(next(pods(challenger_rollout(model()))))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (["automountServiceAccountToken"], True, "token"),
        (["securityContext", "runAsNonRoot"], False, "root"),
        (["securityContext", "seccompProfile", "type"], "Unconfined", "system call"),
        (["hostNetwork"], True, "namespaces"),
        (["volumes", 0, "emptyDir"], {}, "without a limit"),
        (["containers", 0, "securityContext", "readOnlyRootFilesystem"], False, "writes to its root"),
        (["containers", 0, "securityContext", "allowPrivilegeEscalation"], True, "privileges"),
        (["containers", 0, "securityContext", "capabilities"], {}, "capabilities"),
        (["containers", 0, "resources", "limits"], {"cpu": "1"}, "no limits"),
        (["containers", 0, "image"], "iris:latest", "not by digest"),
    ],
)
def test_a_pod_that_may_too_much_is_found(path: list[str | int], value: Any, says: str) -> None:
    pod: Any = a_pod()
    place = pod
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    found = unsafe_pods(pod)
    assert len(found) == 1
    assert says in found[0]
