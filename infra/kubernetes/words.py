"""What a Rollout's objects say, in the words of ``infra.local.walker``. Pure: objects in, a ``Situation`` out; no cluster, no clock.

Argo Rollouts decides; this only tells which stage is under way, how much of the users' traffic reaches the new release, how each stage was
judged, and why a rollout went back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from infra.kubernetes.labels import CONTAINER, RELEASE
from infra.rollout import Judgement, Policy, Sample, Stage, judge

Object = dict[str, Any]
State = Literal["unseen", "running", "held", "done", "aborted", "invalid"]

HASH = "rollouts-pod-template-hash"
REVISION = "rollout.argoproj.io/revision"
STEP = "step-index"
STALE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")
KILLED = (137, 143)
"""Exit codes of what was ended by a signal."""
HOPELESS_PULL = ("not found", "manifest unknown", "InvalidImageName", "invalid reference format", "unauthorized", "denied")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the cluster showed at one moment: ``pods`` are those of the release under test, ``logs`` the ends of logs by pod or Job name."""

    rollout: Object
    replica_sets: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    runs: Sequence[Object] = ()
    jobs: Mapping[str, Object] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trouble:
    """Why a pod does not serve; ``is_hopeless`` where waiting for the deadline mends nothing."""

    text: str
    is_hopeless: bool = False


@dataclass(frozen=True)
class Judged:
    """One stage's verdict so far (None while it is watched), how long it took, and whether it waits for users."""

    judgement: Judgement | None = None
    seconds: float = 0
    is_holding: bool = False


@dataclass(frozen=True, kw_only=True)
class Situation:
    """Where a rollout stands. ``old`` is None where no other release has ever been stable; ``share`` is the percent of users on ``new``.

    ``hash`` is that of the pods asked for, ``stable`` of those to which an abort goes back; ``active`` of those to which users are led with
    blue-green, empty with a canary.
    """

    old: int | None
    new: int | None
    hash: str
    stable: str
    active: str
    state: State
    stages: tuple[Stage, ...]
    judged: tuple[Judged, ...]
    share: int
    is_ready: bool
    trouble: Trouble | None
    reason: str
    abort_id: str
    exposed_seconds: float

    @property
    def index(self) -> int:
        """The stage under way: the first that has not passed."""
        for number, judged in enumerate(self.judged):
            if judged.judgement is None or judged.judgement.verdict != "pass":
                return number
        return max(len(self.stages) - 1, 0)

    @property
    def stage(self) -> str:
        """Its name; before the golden replay it is the start of the pods."""
        has_begun = bool(self.stages) and (self.is_ready or self.index > 0 or self.judged[0].judgement is not None)
        if self.state == "invalid" or not has_begun:
            return "start"
        return str(self.stages[self.index])

    @property
    def users(self) -> int | None:
        """Users' requests that were counted while the new release was watched; None where nothing was measured."""
        found = [judged.judgement for judged in self.judged if judged.judgement and isinstance(judged.judgement, Measured)]
        return sum(each.sample.requests for each in found) if found else None


@dataclass(frozen=True)
class Measured(Judgement):
    """A verdict over counters of the gateway, with what they were."""

    sample: Sample = field(default_factory=Sample)


def observe(seen: Seen, policy: Policy) -> Situation:
    """The situation that the objects describe."""
    rollout = seen.rollout
    status = rollout.get("status") or {}
    current, stable = str(status.get("currentPodHash") or ""), str(status.get("stableRS") or "")
    planned = planned_stages(rollout, policy)
    runs = runs_of(seen, current)
    judged = tuple(_judged(runs.get(key), stage, policy, seen) for key, stage in planned)
    trouble = pods_trouble(seen, has_served=any(found.judgement and found.judgement.verdict == "pass" for found in judged))
    is_ready = bool(seen.pods) and all(_is_ready(pod) for pod in seen.pods)
    state = _state(rollout)
    if state != "invalid" and not _is_of_asked_pods(rollout, seen.replica_sets, current):
        state = "unseen"
    new = release_of(rollout.get("spec", {}).get("template", {}))
    # Of an invalid Rollout the controller has not even noted which pods it asks for.
    is_moving = stable != current or (state == "invalid" and release_of_hash(seen.replica_sets, stable) != new)
    return Situation(
        old=release_of_hash(seen.replica_sets, stable) if is_moving else None,
        new=new,
        hash=current,
        stable=stable,
        active=active_hash(rollout),
        state=state,
        stages=tuple(stage for _, stage in planned),
        judged=judged,
        share=_share(status, current) if state not in ("unseen", "invalid") else 0,
        is_ready=is_ready,
        trouble=trouble,
        reason=_reason(rollout, judged, trouble) if state in ("aborted", "invalid") else _unmade(status) if is_observed(rollout) else "",
        abort_id=f"{current}@{status.get('abortedAt') or _condition(status, 'Progressing').get('lastTransitionTime', '')}",
        exposed_seconds=_exposed_seconds(runs, planned, status),
    )


def is_observed(rollout: Object) -> bool:
    """Whether the controller has seen the Rollout as it is now. An autoscaler changes it too, at any time."""
    return str((rollout.get("status") or {}).get("observedGeneration") or "") == str(rollout["metadata"].get("generation", ""))


def _state(rollout: Object) -> State:
    status = rollout.get("status") or {}
    if not is_observed(rollout):
        return "unseen"
    message = str(status.get("message") or "")
    if _condition(status, "InvalidSpec"):
        return "invalid"
    if status.get("abort") or message.startswith(("RolloutAborted", "ProgressDeadlineExceeded")):
        return "aborted"
    if any(found.get("reason", "").startswith("Inconclusive") for found in status.get("pauseConditions") or ()):
        return "held"
    return "done" if is_promoted(rollout) and status.get("phase") == "Healthy" else "running"


def _is_of_asked_pods(rollout: Object, replica_sets: Sequence[Object], current: str) -> bool:
    """Whether the status speaks of the pods that the Rollout asks for.

    Where the number of pods changes too, Argo Rollouts scales first, and notes the whole change as seen beside a status that still speaks
    of the pods before; so it does where it can't make the new ReplicaSet. The one before has another revision.
    https://github.com/argoproj/argo-rollouts/blob/v1.9.2/rollout/sync.go: syncReplicasOnly, createDesiredReplicaSet
    """
    found = next((each for each in replica_sets if release_hash(each) == current), None)
    if found is None:
        return True
    revisions = [(each["metadata"].get("annotations") or {}).get(REVISION) for each in (found, rollout)]
    is_release = (release_of(found["spec"].get("template", {})) or release_of(found)) == release_of(rollout["spec"].get("template", {}))
    return is_release and (None in revisions or revisions[0] == revisions[1])


def _unmade(status: Object) -> str:
    """Why the ReplicaSet of the pods that are asked for can't be made; empty where it can."""
    progress = _condition(status, "Progressing")
    return str(progress.get("message") or "") if progress.get("reason") == "ReplicaSetCreateError" else ""


def active_hash(rollout: Object) -> str:
    """Hash of the pods to which a blue-green Rollout leads users; empty with a canary, or before it is known."""
    if "blueGreen" not in rollout.get("spec", {}).get("strategy", {}):
        return ""
    return str(((rollout.get("status") or {}).get("blueGreen") or {}).get("activeSelector") or "")


def is_promoted(rollout: Object) -> bool:
    """Whether all traffic is on the pods that the Rollout asks for, for good: nothing is left for the controller to move."""
    status = rollout.get("status") or {}
    current = status.get("currentPodHash")
    if not current or not is_observed(rollout):
        return False
    if status.get("stableRS") != current or status.get("abort"):
        return False
    if "blueGreen" in rollout["spec"]["strategy"]:
        return active_hash(rollout) == str(current)
    weights = (status.get("canary") or {}).get("weights")
    return weights is None or (not weights["canary"].get("weight") and weights["stable"].get("podTemplateHash", current) == current)


def leads_to_only(pods: Collection[str], slices: Sequence[Object]) -> bool:
    """Whether a Service's EndpointSlices lead to some of these pods, and to no other that is ready."""
    endpoints = [found for each in slices for found in each.get("endpoints") or ()]
    # No condition means ready: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
    ready = [found for found in endpoints if (found.get("conditions") or {}).get("ready") is not False]
    return bool(ready) and all((found.get("targetRef") or {}).get("name") in pods for found in ready)


def planned_stages(rollout: Object, policy: Policy) -> list[tuple[str, Stage]]:
    """The stages that the Rollout holds, each with the key of its analysis: a step's index, or ``PrePromotion``, ``PostPromotion``."""
    strategy = rollout.get("spec", {}).get("strategy", {})
    if "blueGreen" in strategy:
        planned = []
        if "prePromotionAnalysis" in strategy["blueGreen"]:
            planned.append(("PrePromotion", Stage("verify", 0, 0)))
        if "postPromotionAnalysis" in strategy["blueGreen"]:
            planned.append(("PostPromotion", Stage("bake", 100, policy.bake_seconds)))
        return planned
    stages: list[tuple[str, Stage]] = []
    percent = 0
    for index, step in enumerate(strategy.get("canary", {}).get("steps") or ()):
        percent = step.get("setWeight", percent)
        names = [str(found.get("templateName", "")) for found in (step.get("analysis") or {}).get("templates") or ()]
        if not names:
            continue
        if any(name.endswith("golden") for name in names):
            stages.append((str(index), Stage("verify", 0, 0)))
        elif percent < 100:
            stages.append((str(index), Stage("step", percent, policy.step_seconds)))
        else:
            stages.append((str(index), Stage("bake", 100, policy.bake_seconds)))
    return stages


def runs_of(seen: Seen, current: str) -> dict[str, Object]:
    """The analysis of each stage in this rollout, the latest of each: a second try after an abort has runs of its own."""
    revision = (seen.rollout["metadata"].get("annotations") or {}).get(REVISION)
    tried_since = _retry_time(seen.rollout)
    found: dict[str, Object] = {}
    for run in sorted(seen.runs, key=lambda run: str(run["metadata"].get("creationTimestamp", ""))):
        labels, annotations = run["metadata"].get("labels") or {}, run["metadata"].get("annotations") or {}
        is_of_this = labels.get(HASH) == current and annotations.get(REVISION) in (revision, None)
        if is_of_this and str(run["metadata"].get("creationTimestamp", "")) >= tried_since:
            found[str(labels.get(STEP) or labels.get("rollout-type"))] = run
    return found


def _retry_time(rollout: Object) -> str:
    """When a second try of the same revision was asked for; its first one's runs count no more."""
    return str((rollout["metadata"].get("annotations") or {}).get("mldelivery/retried-at", ""))


def _judged(run: Object | None, stage: Stage, policy: Policy, seen: Seen) -> Judged:
    if run is None:
        return Judged()
    status = run.get("status") or {}
    phase = str(status.get("phase") or "")
    seconds = _seconds_between(status.get("startedAt"), status.get("completedAt"))
    if phase in ("", "Pending", "Running"):
        is_holding = policy.insufficient == "hold" and any(
            measured.get("phase") == "Inconclusive"
            for result in status.get("metricResults") or ()
            for measured in result.get("measurements") or ()
        )
        return Judged(is_holding=is_holding)
    if _is_cut_short(run) and (stage.kind == "verify" or (seen.rollout.get("status") or {}).get("abort")):
        return Judged()
    if stage.kind == "verify":
        return Judged(_golden_judgement(run, phase, seen), seconds)
    return Judged(_traffic_judgement(run, phase, stage, policy, seen, seconds), seconds)


def _is_cut_short(run: Object) -> bool:
    """Whether an analysis was ended by an abort or a promotion at once: Argo Rollouts calls it successful then, whatever it had seen."""
    return bool((run.get("spec") or {}).get("terminate")) and (run.get("status") or {}).get("phase") == "Successful"


def _golden_judgement(run: Object, phase: str, seen: Seen) -> Judgement:
    job = job_of(run)
    log = seen.logs.get(job, "")
    if phase == "Successful":
        return golden_words(log, has_passed=True)
    if phase == "Failed":
        return golden_words(log, has_passed=False, job=seen.jobs.get(job))
    return Judgement("fail", f"the golden replay could not be run: {_run_message(run)}")


def golden_words(log: str, *, has_passed: bool, job: Object | None = None) -> Judgement:
    """The verdict of a golden replay Job by what it printed."""
    told = re.search(r"(\d+) of (\d+) golden requests answered as recorded by release (\d+), in ([\d.]+) s", log)
    if has_passed:
        return Judgement(
            "pass", f"{told[1]} golden answers of {told[3]} as recorded in {told[4]} s" if told else "golden answers as recorded"
        )
    if told and told[1] != told[2]:
        first = re.search(r"^line (\d+): (.*)$", log, re.MULTILINE)
        shown = f"; the first, line {first[1]}: {first[2]}" if first else ""
        return Judgement("fail", f"{int(told[2]) - int(told[1])} of {told[2]} golden requests got another answer than recorded{shown}")
    conditions = ((job or {}).get("status") or {}).get("conditions") or ()
    late = next((found for found in conditions if found.get("reason") == "DeadlineExceeded"), None)
    if late:
        limit = (job or {}).get("spec", {}).get("activeDeadlineSeconds", "?")
        return Judgement("fail", f"the golden replay did not end within {limit} s" + (f". The end of its log:\n{log}" if log else ""))
    return Judgement("fail", f"the golden replay failed{'. The end of its log:' + chr(10) + log if log else '; its log is gone'}")


def _traffic_judgement(run: Object, phase: str, stage: Stage, policy: Policy, seen: Seen, seconds: float) -> Judgement:
    sample = measured(run)
    if phase == "Successful":
        return Measured("pass", str(sample or Sample()), sample or Sample())
    wrong = _failed_probe(run, seen)
    if wrong:
        return Judgement("fail", wrong)
    broken = _broken_metric(run)
    if phase == "Error" or (broken and sample is None):
        return Judgement("fail", broken or f"the analysis could not be made: {_run_message(run)}")
    counted = sample or Sample()
    found = judge(policy, stage, counted, max(seconds, stage.seconds))
    if found is not None and found.verdict != "pass":
        return Measured(found.verdict, found.reason, counted)
    slo = policy.slo
    if counted.errors > slo.error_rate * max(counted.requests, policy.minimum_sample, 1):
        share = 100 * counted.errors / max(counted.requests, 1)
        text = (
            f"{counted.errors} of {counted.requests} requests failed with 5xx ({share:.1f} %, allowed {100 * slo.error_rate:g} %), "
            "of users alone"
        )
        return Measured("fail", text, counted)
    verdict: Literal["fail", "not enough evidence"] = "fail" if phase == "Failed" else "not enough evidence"
    return Measured(verdict, f"{_run_message(run)}; measured: {counted}", counted)


def measured(run: Object) -> Sample | None:
    """The last numbers of a stage's analysis, in the order of ``infra.kubernetes.analysis.MEASURED``; None where nothing was measured."""
    latest: tuple[str, list[float]] | None = None
    for result in (run.get("status") or {}).get("metricResults") or ():
        for measurement in result.get("measurements") or ():
            numbers = _numbers(str(measurement.get("value") or ""))
            when = str(measurement.get("finishedAt") or "")
            if len(numbers) == 5 and (latest is None or when >= latest[0]):
                latest = (when, numbers)
    if latest is None:
        return None
    requests, errors, probes, probe_errors, p99 = latest[1]
    return Sample(round(requests), round(errors), round(probes), round(probe_errors), p99 or None)


def _numbers(text: str) -> list[float]:
    if not text.startswith("["):
        return []
    try:
        return [float(word) for word in text.strip("[]").split(",") if word.strip()]
    except ValueError:
        return []


def _failed_probe(run: Object, seen: Seen) -> str:
    """What a Job of probes found wrong; nothing where it passed, or was only cut short by the stage's own end."""
    result = _metric(run, "probe")
    if result.get("phase") != "Failed":
        return ""
    wrong = re.search(r"^a wrong answer through the gateway: (.*)$", seen.logs.get(job_of(run, "probe"), ""), re.MULTILINE)
    return f"a golden request through the gateway got another answer than recorded: {wrong[1]}" if wrong else ""


def _broken_metric(run: Object) -> str:
    for result in (run.get("status") or {}).get("metricResults") or ():
        if result.get("phase") != "Error":
            continue
        last = next((found.get("message") for found in reversed(result.get("measurements") or []) if found.get("message")), None)
        message = last or result.get("message") or "no reason given"
        if result["name"] == "mark":
            return f"the gateway's internal entry point cannot be asked ({message}): no data is never a pass"
        if result["name"] in ("probe", "golden"):
            return f"the Job '{result['name']}' could not be made: {message}"
        return f"Prometheus cannot be asked ({message}): no data is never a pass"
    return ""


def job_of(run: Object, metric: str = "golden") -> str:
    """Name of the Job that a metric of an analysis made; empty where there is none."""
    found = _metric(run, metric).get("measurements") or [{}]
    return str((found[-1].get("metadata") or {}).get("job-name", ""))


def _metric(run: Object, name: str) -> Object:
    results = (run.get("status") or {}).get("metricResults") or ()
    return next((dict(result) for result in results if result.get("name") == name), {})


def _run_message(run: Object) -> str:
    return str((run.get("status") or {}).get("message") or "Argo Rollouts gives no reason")


def pods_trouble(seen: Seen, *, has_served: bool) -> Trouble | None:
    """Why the pods of the release under test do not serve, as far as the cluster says; None where they do or have only begun."""
    when = "while serving" if has_served else "while starting"
    for replica_set in seen.replica_sets:
        is_current = release_hash(replica_set) == (seen.rollout.get("status") or {}).get("currentPodHash")
        failure = _condition(replica_set.get("status") or {}, "ReplicaFailure")
        if is_current and failure.get("status") == "True":
            return Trouble(f"its pods may not be made: {failure.get('message', '')}")
    waiting = ""
    for pod in seen.pods:
        name = pod["metadata"]["name"]
        status = pod.get("status") or {}
        log = seen.logs.get(name, "")
        ended = f". The end of its log:\n{log}" if log else ""
        for container in status.get("containerStatuses") or ():
            if container.get("name") != CONTAINER:
                continue
            is_waiting = str(((container.get("state") or {}).get("waiting") or {}).get("reason") or "")
            message = str(((container.get("state") or {}).get("waiting") or {}).get("message") or "")
            exited = (container.get("state") or {}).get("terminated") or (container.get("lastState") or {}).get("terminated")
            if is_waiting in STALE_REASONS:
                is_hopeless = any(word in f"{is_waiting}: {message}" for word in HOPELESS_PULL)
                what = "its container cannot be made" if is_waiting.startswith("Create") else "its image cannot be pulled"
                return Trouble(f"{what}: {message or is_waiting}", is_hopeless)
            if exited and not (container.get("ready") and has_served):
                if not has_served and exited.get("exitCode") in KILLED and exited.get("reason") != "OOMKilled":
                    # The startup probe has given up and the kubelet has ended the container: its time is over.
                    return Trouble(f"was not ready within {ready_seconds(seen.rollout):g} s{ended}", True)
                is_loop = is_waiting == "CrashLoopBackOff"
                return Trouble(f"the server exited {when}, {_exit_words(exited, pod)}{ended}", is_loop)
            if not container.get("ready"):
                waiting = ended
        scheduled = _condition(status, "PodScheduled")
        if scheduled.get("status") == "False":
            return Trouble(f"no node takes its pod: {scheduled.get('message', scheduled.get('reason', ''))}")
    return (
        Trouble(f"was not ready within {ready_seconds(seen.rollout):g} s{waiting}")
        if seen.pods and not all(map(_is_ready, seen.pods))
        else None
    )


def _exit_words(exited: Object, pod: Object) -> str:
    if exited.get("reason") == "OOMKilled":
        containers = pod.get("spec", {}).get("containers") or [{}]
        limit = containers[0].get("resources", {}).get("limits", {}).get("memory", "its limit")
        return f"killed for using more than {limit} of memory (OOMKilled)"
    return f"with code {exited.get('exitCode')}"


def ready_seconds(rollout: Object) -> float:
    """How long a pod may take until it is ready, as its startup probe says."""
    for container in rollout.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or ():
        startup = container.get("startupProbe") or {}
        if container.get("name") == CONTAINER and startup:
            return float(startup.get("failureThreshold", 3) * startup.get("periodSeconds", 10))
    return float(rollout.get("spec", {}).get("progressDeadlineSeconds", 600))


def _reason(rollout: Object, judged: Sequence[Judged], trouble: Trouble | None) -> str:
    status = rollout.get("status") or {}
    if invalid := _condition(status, "InvalidSpec"):
        return f"Argo Rollouts refuses the Rollout: {invalid.get('message', '')}"
    for found in judged:
        if found.judgement is not None and found.judgement.verdict != "pass":
            return found.judgement.reason
    message = str(status.get("message") or "")
    if trouble is not None:
        late = f"was not ready within {ready_seconds(rollout):g} s"
        return trouble.text if "timed out" not in message or late in trouble.text or "exited" in trouble.text else f"{late}: {trouble.text}"
    if "timed out" in message:
        return f"was not ready within {ready_seconds(rollout):g} s; its pods are gone"
    return message or "aborted by hand"


def _share(status: Object, current: str) -> int:
    if "blueGreen" in status and (status["blueGreen"] or {}).get("activeSelector"):
        return 100 if status["blueGreen"]["activeSelector"] == current else 0
    weights = (status.get("canary") or {}).get("weights")
    if weights is None:
        return 100 if status.get("stableRS") == current else 0
    shares = [weights[side] for side in ("canary", "stable")]
    return sum(int(found.get("weight") or 0) for found in shares if found.get("podTemplateHash") == current)


def _exposed_seconds(runs: Mapping[str, Object], planned: Sequence[tuple[str, Stage]], status: Object) -> float:
    """From the first watched stage to the abort, by the cluster's own clock: for one who looks only afterwards. Whole seconds."""
    first = next((runs[key] for key, stage in planned if stage.percent and key in runs), None)
    return _seconds_between((first or {}).get("metadata", {}).get("creationTimestamp"), status.get("abortedAt"))


def exposure(share: int, seconds: float, users: int | None, release: int) -> str:
    """What users met of a release that went back."""
    if not share or users == 0:
        offered = f" ({share} % of the traffic was open to it, for {seconds:.1f} s)" if share else ""
        return f"No user's request reached {release}{offered}."
    counted = f"; {users} requests were counted" if users else ""
    return f"At most {share} % of the traffic reached {release}, for {seconds:.1f} s{counted}."


def wanted_logs(seen: Seen) -> list[tuple[str, bool]]:
    """Pods whose log's end is worth reading, each with whether its run before the present one is meant."""
    wanted = []
    for pod in seen.pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or ():
            if container.get("name") == CONTAINER and not container.get("ready"):
                is_between = "waiting" in (container.get("state") or {}) or "running" in (container.get("state") or {})
                has_ended_before = bool((container.get("lastState") or {}).get("terminated"))
                wanted.append((pod["metadata"]["name"], has_ended_before and is_between))
    return wanted


def release_of(holder: Object) -> int | None:
    """Number of the release that an object's labels name."""
    value = str((holder.get("metadata", {}).get("labels") or {}).get(RELEASE, ""))
    return int(value) if value.isdigit() else None


def release_hash(holder: Object) -> str:
    """The pod template's hash, as Argo Rollouts labels with it."""
    return str((holder["metadata"].get("labels") or {}).get(HASH, ""))


def release_of_hash(replica_sets: Sequence[Object], wanted: str) -> int | None:
    """Number of the release whose ReplicaSet has this hash; None where there is none."""
    for replica_set in replica_sets:
        if wanted and release_hash(replica_set) == wanted:
            return release_of(replica_set["spec"].get("template", {})) or release_of(replica_set)
    return None


def _condition(status: Object, kind: str) -> Object:
    return next((dict(found) for found in status.get("conditions") or () if found.get("type") == kind), {})


def _is_ready(pod: Object) -> bool:
    return _condition(pod.get("status") or {}, "Ready").get("status") == "True"


def _seconds_between(begun: object, ended: object) -> float:
    try:
        return (datetime.fromisoformat(str(ended)) - datetime.fromisoformat(str(begun))).total_seconds()
    except ValueError:
        return 0


def filled(manifest: Object, arguments: Mapping[str, str]) -> Object:
    """A template's manifest with its ``{{args.x}}`` replaced."""
    text = json.dumps(manifest)
    for name, value in arguments.items():
        text = text.replace("{{args." + name + "}}", json.dumps(value)[1:-1])
    return dict(json.loads(text))
