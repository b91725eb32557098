"""Interprets a rollout on this machine: verifies, moves the weights stage by stage, reads the gateway's counters, and goes back."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infra.driver import engine_process, is_alive, is_interrupted, say
from infra.errors import PlatformError, RolloutAborted
from infra.local import gateway, ledger, place
from infra.local.place import HOST
from infra.local.verification import Prober, verify
from infra.rollout import Judgement, Policy, Rollout, Stage, begin, judge
from infra.route import Route

TICK_SECONDS = 0.2
PROBES_PER_REQUEST_OF_SAMPLE = 2
"""Probes are bounded: at most this many times the minimum sample in a stage."""

WARM = ("prometheus_client.parser", "serving.replay")
"""What a walk imports: done beforehand, while a server starts."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a walk needs: the route as it shall be at the end, the old champion, digests and golden files by release."""

    route: Route
    old: int | None
    new: int
    digest: str
    golden: dict[int, Path]
    policy: Policy
    dashboard_port: int
    gateway_port: int
    config_file: str


def walk(change: Change) -> None:
    """Bring a model to its new champion, or back to the old one.

    Returns when everything is on the new champion. Raises RolloutAborted when it went back: why, what was exposed, what to do.
    """
    model = change.route.model
    with place.locked(place.ROLLOUTS / f"{model}.lock", wait_seconds=15, act="another update is moving this model: wait for it to end"):
        account = ledger.read(model)
        is_proven = account.is_proven(change.new, change.digest, window=change.policy.rollback_window)
        if is_proven and account.serving == change.new:
            # A killed update had finished here: traffic stays where it is, only the golden requests are replayed.
            change = replace(change, old=change.new)
        _Walk(change, begin(change.policy, old=change.old, new=change.new, is_proven=is_proven)).run()


class _Walk:
    def __init__(self, change: Change, rollout: Rollout) -> None:
        self.change = change
        self.rollout = rollout
        self.back = rollout.conclude("fail", "")
        self.token = secrets.token_hex(16)
        self.began = time.time()
        self.engine = engine_process()
        self.counts_at_first: gateway.Counts | None = None
        self.exposed = gateway.Counts()
        self.said: set[str] = set()

    def run(self) -> None:
        model, old, new = self.change.route.model, self.change.old, self.change.new
        moves = old is not None and old != new
        ledger.note(model, "started", old=old, new=new, stages=[str(stage) for stage in self.rollout.stages])
        try:
            gateway.prepare_way_back(replace(self.change.route, weights=self.back.weights, challenger=None, share=0, shadow=None))
            while self.rollout.outcome == "running":
                began = time.monotonic()
                stage = self.rollout.stage
                judgement = self.stage(stage)
                say(model, self.line(stage, judgement, time.monotonic() - began))
                ledger.note(model, "stage", stage=str(stage), verdict=judgement.verdict, reason=judgement.reason)
                self.rollout = self.rollout.conclude(judgement.verdict, judgement.reason)
        except BaseException as error:
            # Whatever went wrong, a person's Ctrl-C and a full disk included, the release that answered before answers again.
            if self.rollout.outcome == "running":
                self.rollout = self.rollout.conclude("fail", str(error) or type(error).__name__)
            self.finish_back()
            if isinstance(error, PlatformError | RolloutAborted | _Interrupted | OSError):
                raise self.aborted(interrupted=isinstance(error, _Interrupted)) from error
            raise
        if self.rollout.outcome == "aborted":
            self.finish_back()
            raise self.aborted()
        # The weights are in place since the last stage; only the way for probes goes, which nobody needs to wait for.
        gateway.write(self.change.route)
        gateway.forget_way_back(model)
        ledger.record_done(model, new, self.change.digest)
        if moves or old is None:
            say(model, f"{new} answers everything" + (f"; {old} retires" if moves else ""))

    def stage(self, stage: Stage) -> Judgement:
        """Carry one stage out and judge it."""
        self.apply(probe=stage.kind in ("step", "bake"))
        if stage.kind == "verify":
            return self.verify()
        if stage.kind == "switch":
            return Judgement("pass", "no one to compare with" if self.change.old is None else "proven before")
        return self.watch(stage)

    def verify(self) -> Judgement:
        """Golden replay against every server of each release that may answer or is shadowed and does not do so yet."""
        passed = []
        for release in self.unverified():
            result = verify(
                release=release,
                urls=self.change.route.urls[release],
                golden=self.change.golden[release],
            )
            if result.verdict != "pass":
                return result
            passed.append(result.reason)
        return Judgement("pass", "; ".join(passed))

    def unverified(self) -> Sequence[int]:
        route = self.change.route
        beside = [release for release in (route.challenger, route.shadow) if release is not None]
        return list(dict.fromkeys([self.change.new, *beside]))

    def watch(self, stage: Stage) -> Judgement:
        """Watch a stage until its verdict; where users send too little, do what the policy says."""
        policy = self.change.policy
        users_before, probes_before = self.counts()
        self.counts_at_first = self.counts_at_first or users_before
        began = time.monotonic()
        prober = self.prober()
        while True:
            self.check_interrupted()
            users, probes = self.counts()
            sample = gateway.sample(users.since(users_before), probes.since(probes_before))
            elapsed = time.monotonic() - began
            judgement = judge(policy, stage, sample, elapsed)
            if judgement is None:
                time.sleep(min(TICK_SECONDS, max(stage.seconds - elapsed, 0.01)))
            elif judgement.verdict != "not enough evidence":
                break
            elif policy.insufficient == "probe" and prober.left:
                wrong = prober.probe(policy.minimum_sample - sample.total, seconds=TICK_SECONDS)
                if wrong:
                    judgement = Judgement("fail", f"a golden request through the gateway got another answer than recorded: {wrong}")
                    break
            elif policy.insufficient == "hold" and elapsed < stage.seconds + policy.hold_seconds:
                self.say_once(f"{stage}: holding until users have sent {policy.minimum_sample} requests, {policy.hold_seconds:g} s at most")
                time.sleep(TICK_SECONDS)
            else:
                break
        return judgement

    def prober(self) -> Prober:
        """Golden requests through the gateway to the release under test, marked with this rollout's token."""
        model, release = self.change.route.model, self.change.new
        return Prober(
            release=release,
            url=f"http://{HOST}:{self.change.gateway_port}/{model}",
            golden=self.change.golden[release],
            token=self.token,
            most=PROBES_PER_REQUEST_OF_SAMPLE * self.change.policy.minimum_sample,
        )

    def say_once(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            say(self.change.route.model, text)

    def counts(self) -> tuple[gateway.Counts, gateway.Counts]:
        """The gateway's counters; a gateway that restarts gets some seconds. No data is never a pass: raises PlatformError."""
        deadline = time.monotonic() + 10
        while True:
            try:
                return gateway.counts(self.change.route.model, self.change.new, dashboard_port=self.change.dashboard_port)
            except OSError as error:
                if time.monotonic() > deadline:
                    raise PlatformError(
                        f"the gateway's counters cannot be read ({error}): no data is never a pass", act="make logs"
                    ) from error
                time.sleep(TICK_SECONDS)

    def apply(self, *, probe: bool = False, counted: int | None = None) -> None:
        """Let the gateway serve by the rollout's weights, and wait until it does."""
        route = replace(
            self.change.route,
            weights=self.rollout.weights,
            probe=(self.change.new, self.token) if probe else None,
            counted=counted,
        )
        if self.rollout.outcome != "done":
            # The challenger and the shadow join at the end: until then, only the two champions answer.
            route = replace(route, challenger=None, share=0, shadow=None) if self.is_unproven_beside() else route
        gateway.apply(route, dashboard_port=self.change.dashboard_port)

    def is_unproven_beside(self) -> bool:
        return self.rollout.index == 0 or self.rollout.outcome == "aborted"

    def finish_back(self) -> None:
        model = self.change.route.model
        try:
            if self.counts_at_first is not None:
                # What users met between the verdict and the old weights counts too.
                self.apply(counted=self.change.new)
                self.exposed = self.counts()[0].since(self.counts_at_first)
            self.apply()
            gateway.forget_way_back(model)
        except PlatformError:
            gateway.take_way_back(model)
        with contextlib.suppress(OSError, PlatformError):
            ledger.record_return(model, gone_from=self.change.new, back_to=self.change.old, reason=self.rollout.reason)

    def check_interrupted(self) -> None:
        if self.engine is not None and not is_alive(self.engine):
            raise _Interrupted("the command that drove this rollout was killed")
        if is_interrupted(self.engine, since=self.began):
            raise _Interrupted("interrupted by Ctrl-C")

    def line(self, stage: Stage, judgement: Judgement, seconds: float) -> str:
        number = self.rollout.stages.index(stage) + 1
        change = f"{self.change.old or 'none'} -> {self.change.new}"
        return f"{change} | {number}/{len(self.rollout.stages)} {stage} | {judgement.verdict}: {judgement.reason} ({seconds:.1f} s)"

    def aborted(self, *, interrupted: bool = False) -> RolloutAborted:
        old, new, model = self.change.old, self.change.new, self.change.route.model
        stage = self.rollout.stage
        users, hurt = self.exposed.requests, self.exposed.errors
        exposure = f"{new} got {users} of the users' requests; {hurt} failed." if users else f"No user's request reached {new}."
        home = f"All traffic is on {old} again." if old is not None else "No route was opened."
        number = "none" if old is None else old
        return RolloutAborted(
            f"{new} {'was stopped' if interrupted else 'did not pass'} at '{stage}': {self.rollout.reason}\n  {exposure} {home}",
            where=f"{model} {old or 'none'} -> {new}",
            act=(
                f"put `champion: {number}` back in {self.change.config_file} (`make promote` does so by itself), read "
                f"{place.LOGS.relative_to(place.ROOT)}/serve-{model}-{new}-0.log, mend, make a new release"
            ),
        )


class _Interrupted(Exception):
    """The rollout may not go on, through no fault of the release."""
