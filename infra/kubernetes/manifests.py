"""The objects of a model in a cluster as plain data, but for analysis and routes: pods, Rollout, Services, and what surrounds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.config import AutoscaleConfig, ResourcesConfig
from infra.kubernetes import analysis
from infra.kubernetes.labels import (
    CONTAINER,
    HTTP_PORT,
    JOB,
    MARK_PORT,
    NAME,
    PART_OF,
    PLATFORM_NAMESPACE,
    PROBE_PORT,
    ROLE,
    SERVER_PORT,
    SERVICE_ACCOUNT,
    Names,
    labels,
    pod_labels,
    selector,
)
from infra.kubernetes.security import CONTAINER_SECURITY, POD_SECURITY, scratch, scratch_mount
from infra.rollout import NODE_SECONDS, Policy, Stage, begin

Manifest = dict[str, Any]

PRE_STOP_SECONDS = 5
"""A pod that ends still answers so long, while the gateway learns that it is going: no request meets a closed port."""
GRACE_SECONDS = PRE_STOP_SECONDS + 15
"""Then it has its own 10 s to finish what is in flight (``serving.__main__``), and some to spare."""
RETIRE_SECONDS = 10
"""So long the pods of a champion that retired stay: a return within it meets running pods."""
ABORTED_SECONDS = 2
"""So long the pods of an aborted release stay. Short: while they are due to end, Argo would skip the analysis of a second try."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One role of a model: which release runs, from which image (by digest), how many pods and how large, under which policy."""

    names: Names
    namespace: str
    release: int
    image: str
    replicas: int
    resources: ResourcesConfig
    ready_seconds: float
    policy: Policy
    autoscale: AutoscaleConfig | None = None
    scrape_seconds: float = 1
    node_seconds: float = NODE_SECONDS


def namespace(name: str) -> Manifest:
    """The stack's own namespace: Pod Security Standard *restricted* is enforced, so that no pod of it can be otherwise."""
    enforced = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": PART_OF, **enforced}},
    }


def service_account(where: str) -> Manifest:
    """Who a model's pods are: nobody, with no token."""
    metadata = {"name": SERVICE_ACCOUNT, "namespace": where, "labels": {"app.kubernetes.io/part-of": PART_OF}}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": False}


def gateway_pods(platform: str) -> Manifest:
    """Who may come in, as a NetworkPolicy's peer: Traefik's pods, in the charts' own namespace where the stack installs them."""
    own = {"matchLabels": {"kubernetes.io/metadata.name": PLATFORM_NAMESPACE}} if platform == "charts" else {}
    return {"namespaceSelector": own, "podSelector": {"matchLabels": {NAME: "traefik"}}}


def network_policies(where: str, platform: str) -> list[Manifest]:
    """Default deny, and what is needed: gateway and Jobs reach the servers; Jobs reach servers, gateway and DNS; servers reach nothing.

    A gateway on the node's own network (no pod) is the node itself, which Kubernetes lets through always.
    """

    def policy(name: str, spec: Manifest) -> Manifest:
        metadata = {"name": name, "namespace": where, "labels": {"app.kubernetes.io/part-of": PART_OF}}
        return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}

    gateway = gateway_pods(platform)
    servers = {"matchExpressions": [{"key": ROLE, "operator": "Exists"}]}
    jobs = {"matchExpressions": [{"key": JOB, "operator": "Exists"}]}
    dns = {
        "to": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "0.0.0.0/0"}}],
        "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
    }
    return [
        policy("default-deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        policy(
            "servers",
            {
                "podSelector": servers,
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [gateway, {"podSelector": jobs}], "ports": [{"protocol": "TCP", "port": SERVER_PORT}]}],
            },
        ),
        policy(
            "jobs",
            {
                "podSelector": jobs,
                "policyTypes": ["Egress"],
                # Where the gateway's internal entry point listens is the cluster's affair; a Job holds no secret that could leave.
                "egress": [dns, {"to": [{"podSelector": servers}]}, {"to": [gateway, {"ipBlock": {"cidr": "0.0.0.0/0"}}]}],
            },
        ),
    ]


def services(workload: Workload) -> list[Manifest]:
    """Stable and canary (with blue-green: active and preview). They never change: Argo Rollouts writes the pods' hash into the selector."""
    ports = [
        {"name": name, "port": port, "targetPort": SERVER_PORT, "protocol": "TCP"}
        for name, port in (("http", HTTP_PORT), ("probe", PROBE_PORT), ("mark", MARK_PORT))
    ]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            # Its pods come with the Rollout, which waits for it: nothing to await here.
            "metadata": {**_metadata(workload, name), "annotations": {"pulumi.com/skipAwait": "true"}},
            "spec": {"type": "ClusterIP", "selector": selector(workload.names), "ports": ports},
        }
        for name in (workload.names.stable, workload.names.canary)
    ]


def disruption_budget(workload: Workload) -> Manifest:
    """A node that is drained takes one pod at a time, and never waits for a broken one."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": selector(workload.names)}, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    metadata = _metadata(workload, workload.names.rollout)
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}


def autoscaler(workload: Workload, autoscale: AutoscaleConfig) -> Manifest:
    """Pods by use of CPU, from ``replicas`` to the maximum; it alone then says how many there are."""
    utilization = {"type": "Utilization", "averageUtilization": autoscale.cpu_percent}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(workload, workload.names.rollout),
        "spec": {
            "scaleTargetRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": workload.names.rollout},
            "minReplicas": workload.replicas,
            "maxReplicas": autoscale.maximum,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": utilization}}],
        },
    }


def pod_template(workload: Workload) -> Manifest:
    """A release's pod: one server that needs nothing of the cluster and may do nothing in it."""
    limit = f"{workload.resources.memory_mib}Mi"
    requested = {"cpu": _cores(workload.resources.cpu_millis), "memory": limit}
    server = {
        "name": CONTAINER,
        "image": workload.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "serving", "--host", "0.0.0.0", "--port", str(SERVER_PORT)],
        # The release's own code comes before that of the image, as on a laptop.
        "env": [{"name": "PYTHONPATH", "value": "."}],
        "ports": [{"name": "http", "containerPort": SERVER_PORT, "protocol": "TCP"}],
        "resources": {"requests": requested, "limits": {"cpu": _cores(workload.resources.cpu_limit_millis), "memory": limit}},
        "startupProbe": _probe("/readyz", failures=max(1, math.ceil(workload.ready_seconds))),
        "readinessProbe": _probe("/readyz", failures=3),
        "livenessProbe": {**_probe("/livez", failures=6), "periodSeconds": 5},
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [scratch_mount()],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(workload.names)},
        "matchLabelKeys": ["rollouts-pod-template-hash"],
    }
    return {
        "metadata": {"labels": pod_labels(workload.names, workload.release)},
        "spec": {
            "containers": [server],
            "serviceAccountName": SERVICE_ACCOUNT,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": POD_SECURITY,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "topologySpreadConstraints": [spread, {**spread, "topologyKey": "topology.kubernetes.io/zone"}],
            "volumes": [scratch()],
        },
    }


def rollout(workload: Workload) -> Manifest:
    """The Rollout: updated in place, never replaced. Which stages it walks comes from the same policy as on every other target.

    With an autoscaler its ``replicas`` are a beginning only, and to be ignored afterwards.
    """
    policy = workload.policy
    strategy = {"canary": canary(workload)} if policy.strategy == "canary" else {"blueGreen": blue_green(workload)}
    # With blue-green, Argo Rollouts skips the analysis within its window, and then waits for it: the watch lets a proven one through.
    has_window = policy.rollback_window > 0 and policy.strategy == "canary"
    spec: Manifest = {
        "replicas": workload.replicas,
        # Revisions that may come back without steps are remembered by their ReplicaSets, which hold no pods.
        "revisionHistoryLimit": policy.rollback_window + 2,
        "progressDeadlineSeconds": math.ceil(workload.ready_seconds + workload.node_seconds),
        "progressDeadlineAbort": True,
        **({"rollbackWindow": {"revisions": policy.rollback_window}} if has_window else {}),
        "selector": {"matchLabels": selector(workload.names)},
        "template": pod_template(workload),
        "strategy": strategy,
        "analysis": {"successfulRunHistoryLimit": 10, "unsuccessfulRunHistoryLimit": 10},
    }
    # Argo Rollouts writes the whole object back at times, and then owns fields that it did not change.
    annotations = {"pulumi.com/patchForce": "true"}
    if workload.autoscale is not None:
        # Without an autoscaler any more, it is by this that the Rollout differs, and is given its own number again.
        annotations["mldelivery/autoscaled"] = "true"
    metadata = {**_metadata(workload, workload.names.rollout), "annotations": annotations}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": metadata, "spec": spec}


def canary(workload: Workload) -> Manifest:
    """Canary: all pods of the new release first, verified with no traffic, then the policy's steps by weight."""
    names = workload.names
    return {
        "stableService": names.stable,
        "canaryService": names.canary,
        "trafficRouting": {"traefik": {"weightedTraefikServiceName": names.weights}},
        "maxSurge": "100%",
        "maxUnavailable": 0,
        "scaleDownDelaySeconds": RETIRE_SECONDS,
        "abortScaleDownDelaySeconds": ABORTED_SECONDS,
        "steps": canary_steps(workload),
    }


def canary_steps(workload: Workload) -> list[Manifest]:
    """The stages of a rollout in Argo's words: one setWeight and one analysis for each that is watched."""
    steps: list[Manifest] = [{"setCanaryScale": {"weight": 100}}]
    for stage in _stages(workload.policy):
        if stage.kind == "verify":
            steps.append({"analysis": _analysis(workload, workload.names.golden, {})})
        else:
            steps.append({"setWeight": stage.percent})
            steps.append({"analysis": _analysis(workload, workload.names.traffic, _stage_arguments(workload, stage))})
    return steps


def blue_green(workload: Workload) -> Manifest:
    """Blue-green: the golden replay on the preview before the switch, the bake after it. Never promoted by time alone."""
    names = workload.names
    bake = _stages(workload.policy)[-1]
    return {
        "activeService": names.stable,
        "previewService": names.canary,
        "autoPromotionEnabled": True,
        "scaleDownDelaySeconds": RETIRE_SECONDS,
        "abortScaleDownDelaySeconds": ABORTED_SECONDS,
        "prePromotionAnalysis": _analysis(workload, names.golden, {}),
        # A challenger's share is its test: it was verified, and no rollout judges it.
        **(
            {"postPromotionAnalysis": _analysis(workload, names.traffic, _stage_arguments(workload, bake))}
            if names.role == "champion"
            else {}
        ),
    }


def _stage_arguments(workload: Workload, stage: Stage) -> dict[str, str]:
    return analysis.stage_arguments(workload.policy, stage, scrape_seconds=workload.scrape_seconds, node_seconds=workload.node_seconds)


def _stages(policy: Policy) -> tuple[Stage, ...]:
    return begin(policy, old=1, new=2, is_proven=False).stages


def _analysis(workload: Workload, template: str, arguments: Mapping[str, str]) -> Manifest:
    given = {"release": str(workload.release), **arguments}
    if template != workload.names.traffic or workload.policy.insufficient == "probe":
        given["image"] = workload.image
    return {"templates": [{"templateName": template}], "args": [{"name": name, "value": value} for name, value in given.items()]}


def _cores(millis: int) -> str:
    """A quantity of CPU as Kubernetes itself writes it."""
    return f"{millis // 1000}" if millis % 1000 == 0 else f"{millis}m"


def _probe(path: str, *, failures: int) -> Manifest:
    return {"httpGet": {"path": path, "port": SERVER_PORT}, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": failures}


def _metadata(workload: Workload, name: str) -> Manifest:
    return {"name": name, "namespace": workload.namespace, "labels": labels(workload.names.model)}
