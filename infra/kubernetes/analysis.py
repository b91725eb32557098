"""How a stage is judged in a cluster: ``infra.rollout.judge`` in the words of Argo Rollouts and Prometheus, and the golden replay as a Job.

A watched stage is one AnalysisRun. Its first act is a request of its own through the gateway's internal entry point, counted on a port that
nothing else uses: since that mark, the gateway's counters are the stage's. Prometheus gives five numbers, ``MEASURED``; two conditions over
them are the rule. An empty answer is no evidence, whatever the reason, and never a pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from infra.kubernetes.labels import HTTP_PORT, MARK_PORT, PROBE_PORT, SERVICE_ACCOUNT, Names, job_labels, labels
from infra.kubernetes.security import CONTAINER_SECURITY, POD_SECURITY, scratch, scratch_mount
from infra.rollout import NODE_SECONDS, PERCENTILE, SPARED, Policy, Stage

Manifest = dict[str, Any]

MEASURED = ("requests", "errors", "probes", "probe_errors", "p99_ms")
"""What a measurement of a stage holds, in this order: ``infra.rollout.Sample``, with 0 for no latency."""

GOLDEN_SECONDS = 90
"""A golden replay that takes longer has failed; what its pod waits for a node and its image (``node_seconds``) comes before."""
ROUTED_SECONDS = 15
"""So long a Service may lead to nobody, or to the pods before, after the new ones are ready: nodes learn of it one by one."""
PROBE_SECONDS = 30
"""The same for the probes of a stage."""
MARK_SECONDS = 1
"""The mark's own time: what comes later than this would be counted before it."""
LOOKS = 500
"""A stage is looked at once a second, or so many times if it is longer."""
SPARE_LOOKS = 25
"""More than these are never taken beyond a stage's time and patience."""
RETRY_SECONDS = 60
"""A query that failed is tried again by Argo Rollouts for less than this."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Where a model's stages are measured: its Services, the policy, Prometheus and the gateway's internal entry point."""

    names: Names
    namespace: str
    policy: Policy
    prometheus: str
    internal_url: str
    scrape_seconds: float = 1
    node_seconds: float = NODE_SECONDS


def probe_url(internal_url: str, namespace: str, model: str) -> str:
    """Where the release under test is reached through the gateway, by pods of the cluster only."""
    return f"{internal_url.rstrip('/')}/{namespace}/{model}"


def mark_url(internal_url: str, namespace: str, model: str) -> str:
    """Where a stage's first request goes."""
    return f"{probe_url(internal_url, namespace, model)}/mark"


def counted(namespace: str, service: str, port: int) -> str:
    """The gateway's own name for a Service and port, the ``service`` label of its metrics."""
    return f"{namespace}-{service}-{port}@kubernetescrd"


def golden(names: Names, namespace: str, *, node_seconds: float = NODE_SECONDS) -> Manifest:
    """AnalysisTemplate of the golden replay against the pods under test, from the release's own image."""
    command = ["python", "-m", "serving.replay", "--url", f"http://{names.canary}", "--golden", "release/golden.jsonl"]
    job = replay_job(names, "golden", [*command, "--release", "{{args.release}}"], seconds=math.ceil(GOLDEN_SECONDS + node_seconds))
    return _template(names, names.golden, namespace, ["release", "image"], [_job_metric("golden", job)])


def traffic(watch: Watch) -> Manifest:
    """AnalysisTemplate of a watched stage. Its arguments are those of ``stage_arguments``."""
    policy = watch.policy
    provider = {"prometheus": {"address": watch.prometheus, "query": query(watch), "timeout": 5}}
    shared: Manifest = {
        "provider": provider,
        "interval": "{{args.interval}}",
        # Ten seconds lie between two attempts: a Prometheus that is away for longer ends the rollout.
        "consecutiveErrorLimit": 1,
    }
    fails = failure(policy)
    passes = success(policy)
    if policy.insufficient == "abort":
        fails = f"{fails} || !({passes})"
    metrics: list[Manifest] = [
        {
            "name": "mark",
            "count": 1,
            "consecutiveErrorLimit": 0,
            "provider": {"web": {"url": mark_url(watch.internal_url, watch.namespace, watch.names.model), "timeoutSeconds": MARK_SECONDS}},
        },
        {
            **shared,
            "name": "early",
            "initialDelay": f"{_lag_seconds(watch.scrape_seconds):g}s",
            "count": "{{args.early-count}}",
            "failureLimit": 0,
            "failureCondition": failure(policy),
        },
        {
            **shared,
            "name": "verdict",
            "initialDelay": "{{args.verdict-delay}}",
            "count": "{{args.verdict-count}}",
            "consecutiveSuccessLimit": 1,
            "failureLimit": 0,
            "inconclusiveLimit": "{{args.verdict-waits}}",
            "successCondition": passes,
            "failureCondition": fails,
        },
    ]
    arguments = ["release", "stage", "range", "resolution", "interval", "early-count", "verdict-delay", "verdict-count", "verdict-waits"]
    if policy.insufficient == "probe":
        arguments += ["image", "evidence-count"]
        metrics.append(_probe_metric(watch))
        # `verdict` fails at once and waits for evidence; this one ends the wait, as a failure. One metric cannot do both in Argo.
        metrics.append(
            {
                **shared,
                "name": "evidence",
                "initialDelay": "{{args.verdict-delay}}",
                "count": "{{args.evidence-count}}",
                "consecutiveSuccessLimit": 1,
                "failureLimit": -1,
                "successCondition": passes,
            }
        )
    return _template(watch.names, watch.names.traffic, watch.namespace, arguments, metrics)


def stage_arguments(policy: Policy, stage: Stage, *, scrape_seconds: float = 1, node_seconds: float = NODE_SECONDS) -> dict[str, str]:
    """What distinguishes one watched stage from another, as an AnalysisRun's arguments: its words, and times in Argo's notation."""
    # Argo keeps times in whole seconds, cut off: a second more, and a stage is never shorter than the policy says.
    delay = max(stage.seconds + 1 if stage.seconds else 0, _lag_seconds(scrape_seconds))
    patience = {"probe": PROBE_SECONDS + node_seconds, "hold": policy.hold_seconds, "abort": 0}[policy.insufficient]
    interval = max(1, math.ceil((delay + patience) / LOOKS))
    # As far back as the last look of the stage may be from its mark.
    reach = delay + patience + SPARE_LOOKS * interval + RETRY_SECONDS
    waits = math.ceil(patience / interval)
    return {
        "stage": str(stage),
        "range": f"{math.ceil(reach)}s",
        "resolution": f"{interval}s",
        "interval": f"{interval}s",
        "early-count": str(max(1, math.ceil((delay - _lag_seconds(scrape_seconds)) / interval))),
        "verdict-delay": f"{delay:g}s",
        **_counts(policy, waits),
    }


def _counts(policy: Policy, waits: int) -> dict[str, str]:
    if policy.insufficient == "probe":
        # The metric that waits must not end as inconclusive before the other has failed.
        return {"verdict-count": str(waits + 20), "verdict-waits": str(waits + 19), "evidence-count": str(waits + 1)}
    return {"verdict-count": str(waits + 1), "verdict-waits": str(waits)}


def failure(policy: Policy) -> str:
    """When a stage has failed for certain, over ``MEASURED``: ``infra.rollout.judge``'s two failures, in Argo's expressions.

    Users alone are judged too: probes that succeed must not thin their errors.
    """
    least = max(policy.minimum_sample, 1)
    rate, p99 = _number(policy.slo.error_rate), _number(policy.slo.p99_ms)
    total, errors = "(result[0] + result[2])", "(result[1] + result[3])"
    return (
        f"len(result) == {len(MEASURED)} && ("
        f"{errors} > {rate} * max({total}, {least}) || result[1] > {rate} * max(result[0], {least}) || "
        f"({total} >= {least} && result[4] > {p99}))"
    )


def success(policy: Policy) -> str:
    """When a stage has passed, given that its time is over and that it has not failed."""
    return f"len(result) == {len(MEASURED)} && result[0] + result[2] >= {max(policy.minimum_sample, 1)} && !({failure(policy)})"


def query(watch: Watch) -> str:
    """PromQL of ``MEASURED`` since the stage's mark: one number a line of the answer, none without a mark.

    Each series is taken as on a laptop (``infra.local.gateway.Counts.since``): less what it was when the stage began, whole where a restart
    has reset it. What the client got wrong (4xx) says nothing about a release.
    """
    answering = watch.names.canary if watch.policy.strategy == "canary" else watch.names.stable
    users = f'service="{counted(watch.namespace, answering, HTTP_PORT)}"'
    probes = f'service="{counted(watch.namespace, watch.names.canary, PROBE_PORT)}"'
    both = f'service=~"{counted(watch.namespace, answering, HTTP_PORT)}|{counted(watch.namespace, watch.names.canary, PROBE_PORT)}"'
    mark = f'traefik_service_requests_total{{service="{counted(watch.namespace, watch.names.stable, MARK_PORT)}"}}'
    # Instants at which the mark had not been counted yet: its counter was lower than now, or not there though the gateway was.
    before = f"count(({mark} @ end() > {mark}) or ({mark} @ end() unless {mark} and on() traefik_config_last_reload_success))"
    window = "[{{args.range}}:{{args.resolution}}]"

    def since(metric: str, which: str) -> str:
        series = f"{metric}{{{which}}}"
        return f"({series} - ((last_over_time(({series} and on() {before}){window}) <= {series}) or {series} * 0))"

    def count(which: str) -> str:
        return f"(sum({since('traefik_service_requests_total', which)}) or vector(0))"

    took = "traefik_service_request_duration_seconds_bucket"
    buckets = f"sum by (le) ({since(took, _answers(both))})"
    answers = since(took, f'{_answers(both)}, le="+Inf"')
    # ``infra.rollout.judged_quantile`` in PromQL.
    share = f"scalar(clamp(1 - {SPARED} / sum({answers}), 0, {PERCENTILE}))"
    numbers = [
        count(_answers(users)),
        count(f'{users}, code=~"5.."'),
        count(_answers(probes)),
        count(f'{probes}, code=~"5.."'),
        f"((1000 * histogram_quantile({share}, {buckets})) >= 0 or vector(0))",
    ]
    lines = [f'label_replace({number}, "n", "{index}", "", "")' for index, number in enumerate(numbers)]
    return f"({' or '.join(lines)}) and on() last_over_time({before}{window})"


def replay_job(names: Names, kind: str, command: list[str], *, seconds: int) -> Manifest:
    """A Job of one attempt from the release's own image, under the same security as the servers."""
    container = {
        "name": kind,
        "image": "{{args.image}}",
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": [{"name": "REPLAY_WAIT_SECONDS", "value": str(ROUTED_SECONDS)}],
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [scratch_mount()],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    return {
        "metadata": {"labels": job_labels(names.model, kind)},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": seconds,
            # Long enough for whoever wants its lines; then its pod is no longer in the way.
            "ttlSecondsAfterFinished": 600,
            "template": {
                "metadata": {"labels": job_labels(names.model, kind)},
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": SERVICE_ACCOUNT,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": POD_SECURITY,
                    "containers": [container],
                    "volumes": [scratch()],
                },
            },
        },
    }


def _probe_metric(watch: Watch) -> Manifest:
    count = str(max(watch.policy.minimum_sample, 1))
    url = probe_url(watch.internal_url, watch.namespace, watch.names.model)
    command = ["python", "-m", "serving.replay", "--url", url, "--golden", "release/golden.jsonl", "--release", "{{args.release}}"]
    return _job_metric(
        "probe", replay_job(watch.names, "probe", [*command, "--probes", count], seconds=math.ceil(PROBE_SECONDS + watch.node_seconds))
    )


def _job_metric(name: str, job: Manifest) -> Manifest:
    # A request that a restarting API server lost decides nothing: it is made once more, ten seconds later. A failed Job counts at once.
    return {"name": name, "count": 1, "failureLimit": 0, "consecutiveErrorLimit": 1, "provider": {"job": job}}


def _template(names: Names, name: str, namespace: str, arguments: list[str], metrics: list[Manifest]) -> Manifest:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": name, "namespace": namespace, "labels": labels(names.model)},
        "spec": {"args": [_argument(name) for name in arguments], "metrics": metrics},
    }


def _argument(name: str) -> Manifest:
    # Argo Rollouts checks a template before it knows the arguments, and takes a count that it cannot read for one without end.
    return {"name": name, "value": "1"} if name.endswith("-count") else {"name": name}


def _answers(which: str) -> str:
    return f'{which}, code!~"4.."'


def _lag_seconds(scrape_seconds: float) -> float:
    """How long after a run's beginning its mark is in Prometheus: made, scraped, and Argo's clock cut to whole seconds."""
    return scrape_seconds + 1.5


def _number(value: float) -> str:
    """A float that Argo's expressions read: no exponent."""
    return f"{value:.9f}".rstrip("0").rstrip(".") or "0"
