"""The rollout policy: what may happen between an edited number and all traffic on the new release. Pure; no clock, no network.

A rollout is a list of stages. Each ends with a verdict; only *pass* leads to the next, everything else ends the rollout with all traffic on
the release that answered before. ``Rollout`` holds that rule; an interpreter (the local target's walker, Argo Rollouts in a cluster)
moves the traffic and brings the verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Strategy = Literal["canary", "blue-green"]
Insufficient = Literal["probe", "hold", "abort"]
Verdict = Literal["pass", "fail", "not enough evidence"]
Outcome = Literal["running", "done", "aborted"]

NODE_SECONDS = 30
"""How long a cluster's pod waits for its place and its image where all nodes are there already."""


@dataclass(frozen=True, kw_only=True)
class Slo:
    """What a release owes its users: the share of answers that may be 5xx (0..1), and the 99th percentile of latency in milliseconds."""

    error_rate: float
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a new champion takes over. Percent in ``steps`` (ascending, below 100), seconds elsewhere; defaults live in ``infra.config``."""

    strategy: Strategy
    steps: tuple[int, ...]
    step_seconds: float
    bake_seconds: float
    minimum_sample: int
    insufficient: Insufficient
    hold_seconds: float
    rollback_window: int
    slo: Slo


@dataclass(frozen=True)
class Stage:
    """One stage of a rollout: the new release's share of traffic in percent while it lasts, and how long it is watched.

    ``verify`` replays the golden requests with no traffic; ``step`` and ``bake`` are watched; ``switch`` moves all traffic, unwatched.
    """

    kind: Literal["verify", "step", "bake", "switch"]
    percent: int
    seconds: float

    def __str__(self) -> str:
        return {
            "verify": "golden replay",
            "step": f"{self.percent} %",
            "bake": f"bake at {self.percent} %",
            "switch": f"switch to {self.percent} %",
        }[self.kind]


@dataclass(frozen=True)
class Rollout:
    """Where a rollout stands. ``old`` is None on a model's first: then the way back is no route at all."""

    old: int | None
    new: int
    stages: tuple[Stage, ...]
    index: int = 0
    outcome: Outcome = "running"
    reason: str = ""

    @property
    def stage(self) -> Stage:
        """The stage that is under way, or the last one when the rollout has ended."""
        return self.stages[min(self.index, len(self.stages) - 1)]

    @property
    def weights(self) -> dict[int, int]:
        """Percent of traffic by release; they sum to 100, or are empty where nothing may answer yet."""
        percent = {"running": self.stage.percent, "done": 100, "aborted": 0}[self.outcome]
        if self.old is None:
            # A first release has nobody to share with: it answers only once it was verified, and then everything.
            return {self.new: 100} if percent else {}
        if self.old == self.new:
            return {self.new: 100}
        return {release: share for release, share in ((self.old, 100 - percent), (self.new, percent)) if share}

    def conclude(self, verdict: Verdict, reason: str) -> Rollout:
        """The rollout after the verdict on its current stage. Raises ValueError when it has ended already."""
        if self.outcome != "running":
            raise ValueError(f"the rollout of {self.new} has ended: {self.outcome}")
        if verdict != "pass":
            return replace(self, outcome="aborted", reason=reason)
        if self.index + 1 == len(self.stages):
            return replace(self, outcome="done", index=self.index + 1, reason=reason)
        return replace(self, index=self.index + 1, reason=reason)


def begin(policy: Policy, *, old: int | None, new: int, is_proven: bool) -> Rollout:
    """The rollout from ``old`` to ``new``.

    Whatever the strategy, no traffic reaches a release whose golden requests were not replayed in this rollout. A first release has no one
    to compare with, and a proven one has been watched before: both switch at once after the replay.
    """
    verify = Stage("verify", 0, 0)
    if old is None or is_proven or old == new:
        stages: tuple[Stage, ...] = (verify, Stage("switch", 100, 0))
    else:
        steps = policy.steps if policy.strategy == "canary" else ()
        stages = (
            verify,
            *(Stage("step", percent, policy.step_seconds) for percent in steps),
            Stage("bake", 100, policy.bake_seconds),
        )
    return Rollout(old=old, new=new, stages=stages)


PERCENTILE = 0.99
SPARED = 1.5
"""Of fewer than a hundred requests the 99th percentile is the slowest of all: one pause would decide. So the slowest alone never counts.
The half keeps clear of where a histogram passes from one observation to the next."""


def judged_quantile(requests: float) -> float:
    """Which quantile of latency is judged over so many requests: the 99th percentile from 100 on, below it the slowest but one."""
    return max(0.0, min(PERCENTILE, 1 - SPARED / requests)) if requests else 0.0


@dataclass(frozen=True)
class Sample:
    """What the gateway counted for one release in a stage: users' requests and the rollout's own probes, apart; p99 in milliseconds.

    ``p99_ms`` covers both, as ``judged_quantile`` says, and is None without any request.
    """

    requests: int = 0
    errors: int = 0
    probes: int = 0
    probe_errors: int = 0
    p99_ms: float | None = None

    @property
    def total(self) -> int:
        """Users' requests and probes together: the size of the sample."""
        return self.requests + self.probes

    @property
    def total_errors(self) -> int:
        """5xx answers to users and to probes together."""
        return self.errors + self.probe_errors

    def __str__(self) -> str:
        probes = f" + {self.probes} probes" if self.probes else ""
        latency = "" if self.p99_ms is None else f", p99 {self.p99_ms:.1f} ms"
        share = 100 * self.total_errors / self.total if self.total else 0.0
        return f"{self.requests} requests{probes}, {share:.2f} % errors{latency}"


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reason, in words for the person who reads the update's output."""

    verdict: Verdict
    reason: str


def judge(policy: Policy, stage: Stage, sample: Sample, elapsed_seconds: float) -> Judgement | None:
    """The verdict on a watched stage so far, or None while it must go on.

    *fail* comes as soon as it is certain: when the errors seen would break the error rate even if every request still missing from the
    minimum sample succeeded. Latency is judged on a whole sample only, and one slow answer alone decides nothing. *pass* needs the stage's
    whole time and the minimum sample; after its time with less, the verdict is *not enough evidence*, and ``policy.insufficient`` says what
    follows.
    """
    slo = policy.slo
    base = max(sample.total, policy.minimum_sample, 1)
    if sample.total_errors > slo.error_rate * base:
        return Judgement(
            "fail",
            f"{sample.total_errors} of {sample.total} requests failed with 5xx "
            f"({100 * sample.total_errors / max(sample.total, 1):.1f} %, allowed {100 * slo.error_rate:g} %)",
        )
    is_whole = sample.total >= max(policy.minimum_sample, 1)
    if is_whole and sample.p99_ms is not None and sample.p99_ms > slo.p99_ms:
        return Judgement("fail", f"p99 is {sample.p99_ms:.0f} ms (allowed {slo.p99_ms:g} ms) over {sample.total} requests")
    if elapsed_seconds < stage.seconds:
        return None
    if is_whole:
        return Judgement("pass", str(sample))
    return Judgement(
        "not enough evidence", f"{sample.total} of at least {max(policy.minimum_sample, 1)} requests seen in {elapsed_seconds:.0f} s"
    )


def describe(policy: Policy) -> str:
    """What a promotion under this policy does, in one line for a preview."""
    stages = begin(policy, old=1, new=2, is_proven=False).stages
    parts = [f"{stage} for {stage.seconds:g} s" if stage.seconds else str(stage) for stage in stages]
    return f"{policy.strategy}: " + " -> ".join(parts) + f"; at least {sum(stage.seconds for stage in stages):g} s"


def describe_return(policy: Policy, *, first: str = "golden replay") -> str:
    """What going back under this policy takes, in one line for a preview. ``first`` is what precedes the traffic."""
    if not policy.rollback_window:
        return "the same edit in reverse, through all stages; automatic when a stage fails"
    return (
        f"the same edit in reverse: {first} -> all traffic at once, in seconds (the last {policy.rollback_window} proven releases); "
        "automatic when a stage fails"
    )
