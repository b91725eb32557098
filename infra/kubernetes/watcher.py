"""Follows a Rollout until it has ended. Argo Rollouts decides and moves the traffic; this tells of it, and fails as soon as it goes back.

Whoever runs ``pulumi up`` may die at any moment: the controller goes on by itself, and the next update only looks. The watch changes a
Rollout in three cases, each as Argo's own command line does: it aborts one whose pods can't start or whose wait for users is over, tries
one again whose abort was reported, and promotes a release at once that has proven itself, or over one that never served. And it leads
users back to the release before where Argo Rollouts would leave them (``is_returning``, ``straighten``).
"""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from infra.driver import attend, engine_process, is_interrupted, now, say
from infra.errors import PlatformError, RolloutAborted
from infra.kubernetes import ledger
from infra.kubernetes.api import (
    ANALYSIS_RUN,
    ANALYSIS_TEMPLATE,
    ENDPOINT_SLICE,
    JOB,
    POD,
    REPLICA_SET,
    ROLLOUT,
    SERVICE,
    TRAEFIK_SERVICE,
    Cluster,
    Object,
    Unreachable,
    connect,
)
from infra.kubernetes.guard import clear_unproven, forget_old_weights, owned, read
from infra.kubernetes.labels import CONTAINER, RELEASE, Names, selector
from infra.kubernetes.words import (
    HASH,
    Seen,
    Situation,
    exposure,
    filled,
    golden_words,
    is_observed,
    is_promoted,
    job_of,
    leads_to_only,
    observe,
    ready_seconds,
    release_hash,
    release_of,
    runs_of,
    wanted_logs,
)
from infra.rollout import NODE_SECONDS, Judgement, Policy, Slo

SERVICE_NAME = "kubernetes.io/service-name"
"""Label of an EndpointSlice: the Service whose endpoints it lists."""
RETIRED = "scale-down-deadline"
"""Annotation with which Argo Rollouts notes on a ReplicaSet until when its pods stay; it reads it again before it ends them."""
TICK_SECONDS = 0.2
LOG_LINES = 10
UNREACHABLE_SECONDS = 120
"""So long a cluster may give no answer while a rollout is watched: an API server that starts again needs some."""
UNSEEN_SECONDS = 120
"""So long a controller may not look at a Rollout that was changed: it may be starting again."""
SLOW_TO_LOOK_SECONDS = 10
"""After this it is said what is waited for."""
NOTICED_SECONDS = 2
"""So long a preview gives the controller to look at a Rollout that an autoscaler has just changed."""
INVALID_SECONDS = 25
"""Argo Rollouts looks at an invalid Rollout again after 20 s: it may only not have seen yet what the Rollout names."""
FOLLOW_SECONDS = 300
"""So long the cluster may take until a Service leads to the pods that its new selector names: after an outage of the API server, the
controller that does it tries again after 1, 2, 4, ... s."""
SLOW_TO_FOLLOW_SECONDS = 3
"""After this it is said what is waited for; otherwise it takes a fraction of a second."""
KEPT_SECONDS = 20
"""So long, from each look, the pods of the old release stay while users are still led to them."""
BACK_SECONDS = 20
"""So long the weights may take until the old release has all the traffic after an abort."""
STILL_SECONDS = 150
"""A stage in which nothing moves for so long, beyond its own time and a pod's for a node and its start, is no rollout any more."""
REPLAY_SPARE_SECONDS = 60
"""So long a Job may not be known to have ended when its own time is over."""


class RolloutWatchProvider(ResourceProvider):
    """Ends when the rollout has. Inputs: see ``RolloutWatch``."""

    serialize_as_secret_always = False

    def configure(self, _req: Any) -> None:
        attend(engine_process(), ("kubernetes.client", "kubernetes.config"))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        if any(olds.get(key) != value for key, value in news.items() if value is not None):
            if _walks_without_users(olds, news):
                print(
                    f"warning: {news['model']}: until the strategy has changed, users go past the weights that a canary moves: its steps "
                    "would be walked without them. Do: change the strategy alone, make up, then the number",
                    flush=True,
                )
            return DiffResult(changes=True)
        # The cluster may say something else: a rollout under way, one that ended with nobody watching, an abort that nobody was told of.
        try:
            return DiffResult(changes=not is_settled(news))
        except PlatformError as error:
            print(f"warning: whether {news['model']} is as the state says is unknown: {error}", flush=True)
            return DiffResult(changes=False)

    def create(self, props: dict[str, Any]) -> CreateResult:
        _Watching(props).run()
        return CreateResult(f"{props['wiring']['namespace']}/{_names(props).rollout}", props)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        if olds.get("champion") != news.get("champion") or olds.get("wiring") != news.get("wiring") or not is_settled(news):
            _Watching(news, before=_number(olds.get("champion"))).run()
        return UpdateResult(news)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return read(id_, props, props["wiring"])

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        wiring = props["wiring"]
        # What can't be reached has nothing to be noted in; the Rollout's own deletion says so.
        with contextlib.suppress(PlatformError):
            ledger.record_removed(connect(wiring.get("kubeconfig"), wiring.get("context")), wiring["namespace"], _names(props).rollout)


class RolloutWatch(Resource, module="mldelivery", name="RolloutWatch"):
    """The end of a model's rollout as a resource, whose inputs carry the evidence that a preview shows beside the number.

    Props: model, champion, evidence, policy, role where it is no champion, and ``wiring``: kubeconfig, context, namespace, image, digest,
    and the file that a message names.
    """

    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(RolloutWatchProvider(), name, props, opts)


def is_settled(props: dict[str, Any]) -> bool:
    """Whether the cluster serves by these inputs, for good and on record. Raises PlatformError where it can't be asked."""
    wiring, rollout_name = props["wiring"], _names(props).rollout
    cluster = connect(wiring.get("kubeconfig"), wiring.get("context"))
    deadline = time.monotonic() + NOTICED_SECONDS
    while (rollout := cluster.get(ROLLOUT, rollout_name, wiring["namespace"])) is not None and not is_observed(rollout):
        if time.monotonic() > deadline:
            return False
        time.sleep(TICK_SECONDS)
    if rollout is None or release_of(rollout["spec"]["template"]) != int(props["champion"]) or not is_promoted(rollout):
        return False
    account = ledger.read(cluster, wiring["namespace"], rollout_name)
    return account.serving == int(props["champion"]) and account.has_proven(rollout["status"]["currentPodHash"])


def _walks_without_users(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Whether a canary begins while the route, which changes at the end, still leads past the weights as blue-green has it."""
    strategies = [(props.get("policy") or {}).get("strategy") for props in (olds, news)]
    return strategies == ["blue-green", "canary"] and olds.get("champion") != news.get("champion")


class _Watching:
    """One watch, from a Rollout that was just changed (or was left by a killed update) to its end."""

    def __init__(self, props: dict[str, Any], *, before: int | None = None) -> None:
        self.props, self.names, wiring = props, _names(props), props["wiring"]
        self.namespace: str = wiring["namespace"]
        self.number = int(props["champion"])
        self.policy = _policy(props)
        self.node_seconds = float(wiring.get("node_seconds", NODE_SECONDS))
        self.ready_seconds = float(wiring.get("ready_seconds", 0))
        self.cluster = connect(wiring.get("kubeconfig"), wiring.get("context"))
        self.account = ledger.read(self.cluster, self.namespace, self.names.rollout)
        self.engine = engine_process()
        self.began, self.clock = time.time(), time.monotonic()
        self.state, self.state_since = "", self.clock
        self.before = before
        self.old: int | None = None
        self.said: set[str] = set()
        self.told = 0
        self.logs: dict[str, str] = {}
        self.kept: tuple[int, str] = (0, "")
        self.share, self.shared_since, self.shared_seconds = 0, None, 0.0  # type: int, float | None, float
        self.moved = self.clock
        self.last: object = None
        self.held_since: float | None = None
        self.aborted_by_watch = ""
        self.is_promoted_at_once = False
        self.is_straight = False
        self.done_since: float | None = None
        self.back_since: float | None = None
        self.is_late = False

    def run(self) -> None:
        """Follow to the end. Raises RolloutAborted when it went back, PlatformError when it can't be followed."""
        while True:
            self.check_interrupted()
            situation = self.situation()
            if situation is not None and self.step(situation):
                return
            time.sleep(TICK_SECONDS)

    def step(self, situation: Situation) -> bool:
        """Tell and do what one look asks for; True when all is done."""
        self.measure(situation)
        if situation.state != self.state:
            self.state, self.state_since = situation.state, time.monotonic()
        if situation.state == "unseen":
            self.wait_for_controller(situation.reason)
            return False
        if situation.new != self.number:
            raise PlatformError(
                f"the Rollout {self.names.rollout} asks for release {situation.new}, not for {self.number}: somebody else has changed it",
                where=f"namespace {self.namespace}",
                act="run the same command again",
            )
        if situation.old is not None:
            self.old = situation.old
        if situation.active and not self.is_straight:
            self.straighten()
        self.tell(situation)
        if situation.state == "done":
            if not self.is_followed(situation):
                return False
            self.finish(situation)
            return True
        patience = INVALID_SECONDS if "not found" in situation.reason else 1
        if situation.state == "invalid" and time.monotonic() - self.state_since > patience:
            raise self.failed(situation, situation.reason)
        if situation.state == "aborted":
            if self.is_returning(situation):
                return False
            self.aborted(situation)
        elif situation.state == "held":
            self.end_hold(situation)
        elif situation.state == "running":
            self.help_on(situation)
        self.check_moves(situation)
        return False

    def situation(self) -> Situation | None:
        """One look at the cluster; None while it gives no answer, for some time."""
        began = time.monotonic()
        while True:
            try:
                return observe(self.look(), self.policy)
            except Unreachable as error:
                self.say_once(f"the cluster gives no answer ({error.what}); Argo Rollouts goes on by itself, waiting for the cluster")
                self.check_interrupted()
                if time.monotonic() - began > UNREACHABLE_SECONDS:
                    raise
                time.sleep(TICK_SECONDS)

    def look(self) -> Seen:
        """All objects that tell of the rollout, with the logs that are worth reading."""
        rollout = self.cluster.get(ROLLOUT, self.names.rollout, self.namespace)
        if rollout is None:
            raise PlatformError(
                f"there is no Rollout {self.names.rollout}", where=f"namespace {self.namespace}", act="run the same command again"
            )
        mine = selector(self.names)
        current = str((rollout.get("status") or {}).get("currentPodHash") or "")
        sets = owned(self.cluster.find(REPLICA_SET, self.namespace, mine), rollout)
        pods = self.cluster.find(POD, self.namespace, {**mine, HASH: current}) if current else []
        runs = owned(self.cluster.find(ANALYSIS_RUN, self.namespace, mine), rollout)
        pods = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(RELEASE) == str(self.number)]
        seen = Seen(rollout=rollout, replica_sets=sets, pods=[pod for pod in pods if "deletionTimestamp" not in pod["metadata"]], runs=runs)
        for pod, previous in wanted_logs(seen):
            text = self.cluster.log(pod, self.namespace, CONTAINER, lines=LOG_LINES, previous=previous)
            if text:
                self.logs[pod] = text
        jobs = {}
        for run in runs_of(seen, current).values():
            if (run.get("status") or {}).get("phase") in ("Successful", "Failed"):
                jobs.update(self.ended_jobs(run))
        return Seen(rollout=rollout, replica_sets=sets, pods=seen.pods, runs=runs, jobs=jobs, logs=self.logs)

    def ended_jobs(self, run: Object) -> dict[str, Object]:
        """The Jobs of an analysis that has ended, by name; their logs are kept, each read once."""
        found = {}
        for metric in ("golden", "probe"):
            job = job_of(run, metric)
            if job and job not in self.logs:
                self.logs[job] = self.job_log(job, metric)
                found_job = self.cluster.get(JOB, job, self.namespace)
                found.update({job: found_job} if found_job else {})
        return found

    def job_log(self, job: str, container: str) -> str:
        pods = self.cluster.find(POD, self.namespace, {"job-name": job})
        logs = [self.cluster.log(pod["metadata"]["name"], self.namespace, container, lines=40) for pod in pods]
        return next((log for log in logs if log), "")

    def measure(self, situation: Situation) -> None:
        """Keep the largest share that the new release had, and how long it had any."""
        clock = time.monotonic()
        if self.shared_since is not None:
            self.shared_seconds += clock - self.shared_since
        is_offered = situation.share > 0 and situation.state != "done"
        self.shared_since = clock if is_offered else None
        self.share = max(self.share, situation.share if is_offered else 0)
        if situation.trouble is not None:
            weight = 2 if "exited" in situation.trouble.text else 1
            if weight >= self.kept[0]:
                self.kept = (weight, situation.trouble.text)

    def tell(self, situation: Situation) -> None:
        """Say each stage once, as soon as it is judged, and once that it waits for users."""
        policy = self.policy
        while self.told < len(situation.stages):
            judged, stage = situation.judged[self.told], situation.stages[self.told]
            if judged.is_holding:
                self.say_once(
                    f"{stage}: holding until users have sent {policy.minimum_sample} requests, {policy.hold_seconds:g} s at most. To go on "
                    f"without them: kubectl argo rollouts promote {self.names.rollout} -n {self.namespace}; to go back at once: Ctrl-C, "
                    f"then put the old number back in {self.config_file}"
                )
            if judged.judgement is None or self.is_old_news(situation):
                return
            self.say_stage(self.told + 1, len(situation.stages), str(stage), judged.judgement, judged.seconds)
            self.told += 1
            if judged.judgement.verdict != "pass":
                return

    def is_old_news(self, situation: Situation) -> bool:
        """An abort that was reported before and is about to be tried again tells nothing new."""
        return situation.state == "aborted" and situation.abort_id in self.account.reported

    def is_followed(self, situation: Situation) -> bool:
        """Whether users are led to the new pods alone. Raises PlatformError after a long wait."""
        service, clock = self.names.stable, time.monotonic()
        self.done_since = self.done_since or clock
        if self.leads_to(situation.hash):
            return True
        waited = clock - self.done_since
        if waited > FOLLOW_SECONDS:
            raise PlatformError(
                f"{waited:.0f} s after {self.number} was given all traffic, Service {service} still leads to other pods, or to none",
                where=f"namespace {self.namespace}",
                act="look whether the cluster's kube-controller-manager runs, then run the same command again: it only looks",
            )
        if waited > SLOW_TO_FOLLOW_SECONDS:
            self.say_once(f"{self.number} has all weight, but Service {service} does not lead to its pods yet: waiting for the cluster")
        return False

    def leads_to(self, pod_hash: str) -> bool:
        """Whether users are led to these pods alone; until then the others are kept.

        Argo Rollouts is done when it has written a Service's selector. That the Service then leads elsewhere is the work of another
        controller, for which Argo does not wait before it ends the other pods.
        """
        with contextlib.suppress(Unreachable):
            slices = self.cluster.find(ENDPOINT_SLICE, self.namespace, {SERVICE_NAME: self.names.stable})
            pods = self.cluster.find(POD, self.namespace, {**selector(self.names), HASH: pod_hash})
            if leads_to_only({pod["metadata"]["name"] for pod in pods}, slices):
                return True
            self.keep_other_pods(pod_hash)
        return False

    def straighten(self) -> None:
        """Give the stable Service all weight where a canary was under way when the strategy became blue-green.

        Nobody would move these weights any more: their share of users would go to pods under test, and after an abort to none.
        """
        with contextlib.suppress(Unreachable):
            found = self.cluster.get(TRAEFIK_SERVICE, self.names.weights, self.namespace) or {"spec": {"weighted": {"services": []}}}
            members = found["spec"]["weighted"]["services"]
            if any(member["name"] == self.names.canary and member.get("weight") for member in members):
                straight = [{**member, "weight": 0 if member["name"] == self.names.canary else 100} for member in members]
                document = {"spec": {"weighted": {"services": straight}}}
                self.cluster.patch(TRAEFIK_SERVICE, self.names.weights, self.namespace, document)
            self.is_straight = True

    def keep_other_pods(self, pod_hash: str) -> None:
        """Put off the end of all other pods that Argo Rollouts has retired, unless that is far enough off."""
        rollout = self.cluster.get(ROLLOUT, self.names.rollout, self.namespace) or {}
        until = datetime.now(UTC) + timedelta(seconds=KEPT_SECONDS)
        for found in owned(self.cluster.find(REPLICA_SET, self.namespace, selector(self.names)), rollout):
            deadline = (found["metadata"].get("annotations") or {}).get(RETIRED)
            if release_hash(found) == pod_hash or not deadline:
                continue
            if datetime.fromisoformat(deadline) < until - timedelta(seconds=KEPT_SECONDS / 2):
                note = {"metadata": {"annotations": {RETIRED: until.strftime("%Y-%m-%dT%H:%M:%SZ")}}}
                self.cluster.patch(REPLICA_SET, found["metadata"]["name"], self.namespace, note)

    def finish(self, situation: Situation) -> None:
        """Verify what Argo Rollouts did not, and put on record that the release serves."""
        is_back = self.may_return(situation)
        old = self.old if self.old is not None else self.before
        if not is_back and not any(found.judgement and found.judgement.verdict == "pass" for found in situation.judged):
            self.old = old = None if not self.account.proven else old
            began = time.monotonic()
            judgement = self.replay(situation)
            self.say_stage(1, 2, "golden replay", judgement, time.monotonic() - began)
            if judgement.verdict != "pass":
                raise self.failed(situation, judgement.reason)
            self.say_stage(2, 2, "switch to 100 %", Judgement("pass", "no one to compare with" if old is None else "verified"), 0)
        elif self.told == 0 and old is not None and old != self.number:
            self.say_stage(2, 2, "switch to 100 %", Judgement("pass", "proven before"), time.monotonic() - self.clock)
        ledger.record_done(
            self.cluster,
            self.namespace,
            self.names.rollout,
            release=self.number,
            image=self.props["wiring"]["image"],
            pod_hash=situation.hash,
        )
        clear_unproven(self.cluster, self.namespace, self.names, window=self.policy.rollback_window)
        forget_old_weights(self.cluster, self.namespace, self.names)
        if self.names.role == "challenger":
            say(self.names.rollout, f"{self.number} stands ready beside the champion")
        elif old != self.number:
            say(self.names.rollout, f"{self.number} answers everything" + (f"; {old} retires" if old is not None else ""))

    def replay(self, situation: Situation) -> Judgement:
        """The golden replay of a release that Argo Rollouts has not verified: a model's first. The same Job as in any other rollout."""
        name = f"{self.names.rollout}-first-{situation.hash}"
        template = self.cluster.get(ANALYSIS_TEMPLATE, self.names.golden, self.namespace)
        if template is None:
            raise PlatformError(
                f"there is no AnalysisTemplate {self.names.golden}", where=f"namespace {self.namespace}", act="run the same command again"
            )
        manifest = filled(
            template["spec"]["metrics"][0]["provider"]["job"], {"release": str(self.number), "image": self.props["wiring"]["image"]}
        )
        metadata = {**(manifest.get("metadata") or {}), "name": name, "namespace": self.namespace}
        found = self.cluster.get(JOB, name, self.namespace)
        if found is not None and _ended(found) == "Failed":
            # Of an earlier update; what failed then is asked again now.
            self.remove_job(name)
            found = None
        if found is None:
            self.cluster.create(
                JOB, {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": manifest["spec"]}, self.namespace
            )
        seconds = manifest["spec"]["activeDeadlineSeconds"] + REPLAY_SPARE_SECONDS
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check_interrupted()
            job = self.cluster.get(JOB, name, self.namespace) or {}
            if ended := _ended(job):
                judgement = golden_words(self.job_log(name, "golden"), has_passed=ended == "Complete", job=job)
                if judgement.verdict == "pass":
                    self.remove_job(name)
                return judgement
            time.sleep(TICK_SECONDS)
        return Judgement("fail", f"the golden replay did not end within {seconds} s")

    def remove_job(self, name: str) -> None:
        deadline = time.monotonic() + 30
        self.cluster.delete(JOB, name, self.namespace)
        while self.cluster.get(JOB, name, self.namespace) is not None and time.monotonic() < deadline:
            time.sleep(TICK_SECONDS)

    def is_returning(self, situation: Situation) -> bool:
        """Whether the traffic is still on its way back after an abort. What takes too long is waited for no more.

        With blue-green a Service's selector leads users back. Argo Rollouts writes it only while *all* pods of the aborted release are
        ready (``reconcileActiveService``), so never for a release that has crashed: the watch writes the same then.
        """
        if situation.old is None:
            return False
        clock = time.monotonic()
        self.back_since = self.back_since or clock
        waited = clock - self.back_since
        if situation.share:
            if situation.active == situation.hash:
                with contextlib.suppress(Unreachable):
                    self.cluster.patch(SERVICE, self.names.stable, self.namespace, {"spec": {"selector": {HASH: situation.stable}}})
            return waited < BACK_SECONDS
        if not situation.active or self.leads_to(situation.stable):
            return False
        if waited > SLOW_TO_FOLLOW_SECONDS:
            self.say_once(f"{situation.old} is to answer again, but Service {self.names.stable} does not lead to its pods yet: waiting")
        self.is_late = waited > FOLLOW_SECONDS
        return not self.is_late

    def aborted(self, situation: Situation) -> None:
        """Report an abort, when the old release has all traffic again; one that was reported before is tried again."""
        if situation.abort_id in self.account.reported and not self.aborted_by_watch:
            if situation.old is None:
                # A first release has nothing to go back to: its pods are tried by the cluster without end, and get their time again.
                if time.monotonic() - self.clock > ready_seconds_of(self.cluster, self.namespace, self.names):
                    raise self.failed(situation, self.reason(situation))
                return
            self.say_once(f"{self.number} was aborted before; it is tried again")
            self.retry(situation)
            return
        reason = self.reason(situation)
        if self.told < len(situation.stages) and situation.stage == "start":
            self.say_once(f"{self.change} | start | fail: {reason.split('. The end of its log')[0]}")
        raise self.failed(situation, reason)

    def reason(self, situation: Situation) -> str:
        """Why it went back. Pods of an aborted release go within seconds: what they said before counts."""
        is_of_pods = all(found.judgement is None or found.judgement.verdict == "pass" for found in situation.judged)
        weight, text = self.kept
        if is_of_pods and text and (weight > 1 or situation.trouble is None):
            return text
        return self.aborted_by_watch or situation.reason

    def retry(self, situation: Situation) -> None:
        # While the aborted pods' ReplicaSet is due to end, Argo Rollouts would skip the analysis of a second try: it is made anew.
        rollout = self.cluster.get(ROLLOUT, self.names.rollout, self.namespace) or {}
        for found in owned(self.cluster.find(REPLICA_SET, self.namespace, {**selector(self.names), HASH: situation.hash}), rollout):
            self.cluster.delete(REPLICA_SET, found["metadata"]["name"], self.namespace)
        note = {"metadata": {"annotations": {"mldelivery/retried-at": now()}}}
        self.cluster.patch(ROLLOUT, self.names.rollout, self.namespace, note)
        self.cluster.patch(ROLLOUT, self.names.rollout, self.namespace, {"status": {"abort": False}}, part="status")
        self.clock, self.back_since = time.monotonic(), None

    def end_hold(self, situation: Situation) -> None:
        """A Rollout that Argo paused as inconclusive has waited its time for users: it goes back, unless a person lets it go on."""
        judgement = situation.judged[situation.index].judgement
        self.abort(judgement.reason if judgement else "the analysis is inconclusive")

    def help_on(self, situation: Situation) -> None:
        """End what can't succeed, and let a first release through that follows one that never served."""
        trouble = situation.trouble
        is_before_traffic = situation.index == 0 and (not situation.judged or situation.judged[0].judgement is None)
        if trouble is not None and trouble.is_hopeless and is_before_traffic:
            if situation.old is None:
                raise self.failed(situation, trouble.text)
            self.abort(trouble.text)
        never_served = self.before is None and not self.account.proven
        if situation.stable == situation.hash and situation.active not in ("", situation.hash) and not self.is_promoted_at_once:
            # Somebody went back during the bake. Argo Rollouts waits for an analysis that it skips for what is stable, until its deadline.
            self.is_promoted_at_once = True
            self.promote_at_once()
        if situation.old is not None and never_served and not self.is_serving(situation.old):
            self.say_once(f"{situation.old} never served; {self.number} takes its place without steps")
            self.promote_at_once()
        elif situation.old is not None and not self.is_promoted_at_once and self.may_return(situation):
            # Argo's own window knows only releases that are older than the present one, and is no help with blue-green.
            self.is_promoted_at_once = True
            self.promote_at_once()

    def may_return(self, situation: Situation) -> bool:
        """Whether these pods have proven themselves lately, so that they take over without steps."""
        return self.account.may_return(situation.hash, window=self.policy.rollback_window)

    def promote_at_once(self) -> None:
        """Let the release take over as soon as its pods are ready."""
        self.cluster.patch(ROLLOUT, self.names.rollout, self.namespace, {"status": {"promoteFull": True}}, part="status")

    def is_serving(self, release: int) -> bool:
        found = self.cluster.find(REPLICA_SET, self.namespace, selector(self.names))
        return any(
            release_of(each["spec"]["template"]) == release and (each.get("status") or {}).get("availableReplicas") for each in found
        )

    def abort(self, reason: str) -> None:
        if not self.aborted_by_watch:
            self.aborted_by_watch = reason
            self.cluster.patch(ROLLOUT, self.names.rollout, self.namespace, {"status": {"abort": True}}, part="status")

    def failed(self, situation: Situation, reason: str) -> RolloutAborted:
        """The error of a rollout that went back, after it was put on record."""
        old, new = self.old if self.old is not None else self.before, self.number
        seconds = self.shared_seconds if self.shared_seconds else situation.exposed_seconds
        share = self.share or max(
            (stage.percent for stage, found in zip(situation.stages, situation.judged, strict=True) if found.judgement), default=0
        )
        met = exposure(share if seconds else 0, seconds, situation.users, new) if old is not None else f"No user's request reached {new}."
        is_back = (situation.share == 0 and not self.is_late) or situation.state == "invalid"
        home = (
            "No route was opened."
            if old is None
            else f"All traffic is on {old} again."
            if is_back
            else f"The traffic is going back to {old}."
        )
        with contextlib.suppress(PlatformError):
            ledger.record_return(
                self.cluster,
                self.namespace,
                self.names.rollout,
                gone_from=new,
                pod_hash=situation.hash,
                back_to=old,
                reason=reason,
                abort_id=situation.abort_id,
            )
        return RolloutAborted(
            f"{new} did not pass at '{situation.stage}': {reason}\n  {met} {home}",
            where=f"{self.names.rollout} {old or 'none'} -> {new}",
            act=(
                f"put `champion: {'none' if old is None else old}` back in {self.config_file} (`make promote` does it), mend, make "
                f"a new release; what is there still: kubectl -n {self.namespace} get rollout,pods,analysisruns"
            ),
        )

    def wait_for_controller(self, reason: str) -> None:
        waited = time.monotonic() - self.state_since
        unmade = f"Argo Rollouts cannot make the pods of {self.number}: {reason}"
        if waited > UNSEEN_SECONDS and reason:
            raise PlatformError(
                unmade, where=f"namespace {self.namespace}", act="mend what the message says, then run the same command again"
            )
        if waited > UNSEEN_SECONDS:
            raise PlatformError(
                f"Argo Rollouts has not looked at the Rollout {self.names.rollout} for {waited:.0f} s: its controller is down",
                where=f"namespace {self.namespace}",
                act="start it (make cluster, or: kubectl -n argo-rollouts get pods), then run the same command again: it only looks",
            )
        if waited > SLOW_TO_LOOK_SECONDS:
            unseen = f"Argo Rollouts has not looked at the Rollout for {SLOW_TO_LOOK_SECONDS} s: is its controller running? Waiting for it"
            self.say_once(f"{unmade}; it tries again" if reason else unseen)

    def check_moves(self, situation: Situation) -> None:
        """Say that nothing moves any more, and give up after a while."""
        clock = time.monotonic()
        present = (situation.state, situation.index, situation.share, situation.judged, situation.is_ready, situation.abort_id)
        if present != self.last:
            self.last, self.moved = present, clock
        stage = situation.stages[situation.index].seconds if situation.stages else 0
        # Pods that start show nothing of it until they are ready.
        stage += 0 if situation.is_ready else self.ready_seconds
        allowed = stage + (self.policy.hold_seconds if self.policy.insufficient == "hold" else 0) + STILL_SECONDS + self.node_seconds
        still = clock - self.moved
        if still > stage + 30 + self.node_seconds:
            self.say_once(f"{situation.stage}: nothing has moved for {still:.0f} s: is the controller of Argo Rollouts running?")
        if still > allowed:
            raise PlatformError(
                f"nothing has moved at '{situation.stage}' for {still:.0f} s; Argo Rollouts may be down, and goes on when it is back",
                where=f"{self.names.rollout} in namespace {self.namespace}",
                act="start it (make cluster, or: kubectl -n argo-rollouts get pods), then run the same command again: it only looks",
            )

    def check_interrupted(self) -> None:
        """Stop watching at once when a person wants so: the controller needs nobody to watch it."""
        if is_interrupted(self.engine, since=self.began):
            raise PlatformError(
                f"no longer watched, as asked; Argo Rollouts goes on with {self.number} by itself",
                where=f"{self.names.rollout} {self.old or self.before or 'none'} -> {self.number}",
                act=(
                    f"run the same command again to go on watching; to go back: put the old number back in {self.config_file}, then make up"
                ),
            )

    @property
    def config_file(self) -> str:
        """The file that a message names."""
        return str(self.props["wiring"]["config_file"])

    @property
    def change(self) -> str:
        """Old and new number, as in every line."""
        return f"{self.old or self.before or 'none'} -> {self.number}"

    def say_stage(self, number: int, count: int, stage: str, judgement: Judgement, seconds: float) -> None:
        say(self.names.rollout, f"{self.change} | {number}/{count} {stage} | {judgement.verdict}: {judgement.reason} ({seconds:.1f} s)")

    def say_once(self, text: str) -> None:
        if text[:40] not in self.said:
            self.said.add(text[:40])
            say(self.names.rollout, text)


def ready_seconds_of(cluster: Cluster, namespace: str, names: Names) -> float:
    """How long the pods of a Rollout may take, with some time for the image."""
    return ready_seconds(cluster.get(ROLLOUT, names.rollout, namespace) or {}) + 10


def _ended(job: Object) -> str:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return next(
        (str(found["type"]) for found in conditions if found.get("type") in ("Complete", "Failed") and found.get("status") == "True"), ""
    )


def _names(props: dict[str, Any]) -> Names:
    return Names(props["model"], props.get("role") or "champion")


def _policy(props: dict[str, Any]) -> Policy:
    policy = dict(props["policy"])
    slo = policy.pop("slo")
    for key in ("minimum_sample", "rollback_window"):
        policy[key] = int(policy[key])
    return Policy(**{**policy, "steps": tuple(int(step) for step in policy["steps"])}, slo=Slo(**slo))


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
