"""Rules over the models of a stack: evidence, objectives, and the rollout that every promotion takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from policy.limits import Limits
from policy.resource import UNKNOWN, Finding, Resource, Rule, at, dotted, is_wrong, items

ROUTE = "pulumi-python:dynamic/mldelivery:Route"
WATCH = "pulumi-python:dynamic/mldelivery:RolloutWatch"
SERVED = (ROUTE, WATCH)
"""What each served model has one of: its route on a laptop, the watch of its rollout in a cluster. Both carry evidence and policy."""
ROLLOUT = "kubernetes:argoproj.io/v1alpha1:Rollout"


def _evidence(resource: Resource, key: str) -> Iterator[tuple[str, Any]]:
    """One line of the evidence of each release in use, with the path to it; None where there is none."""
    given = at(resource.props, "evidence")
    if given is UNKNOWN:
        return
    for role in given or {"champion": None}:
        yield dotted(("evidence", role, key)), at(given, role, key)


def has_owner(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Who answers for a release."""
    for where, made in _evidence(resource, "made"):
        if made is not UNKNOWN and not re.search(r" by \S", str(made or "")):
            yield Finding(
                what="nobody answers for this release",
                at=where,
                got=made,
                allowed="<time> by <owner>",
                act="name the owner in models/<model>/model.yaml and make a new release",
            )


def has_golden(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The golden requests of a release."""
    for where, golden in _evidence(resource, "golden"):
        if golden is not UNKNOWN and not re.match(r"[1-9]\d* requests", str(golden or "")):
            yield Finding(
                what="a release has no golden requests: nothing shows that it answers as it did when it was made",
                at=where,
                got=golden,
                allowed="at least one recorded request",
                act="make a new release",
            )


def has_passed(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The gates of a release, all of them."""
    for where, gates in _evidence(resource, "gates"):
        if gates is UNKNOWN:
            continue
        verdicts = [each for each in str(gates or "").split(", ") if each]
        failed = [each for each in verdicts if not each.endswith(" pass")]
        if failed or not verdicts:
            yield Finding(
                what="a release has not passed its gates",
                at=where,
                got=", ".join(failed) or gates,
                allowed="pass, for every gate",
                act="promote a release that has passed",
            )


def has_objectives(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The objectives that a rollout is judged by: some answers may fail at most, and latency has a bound."""
    for key, most in (("error_rate", 1.0), ("p99_ms", float("inf"))):
        value = at(resource.props, "policy", "slo", key)
        least_allowed = value is not None and value is not UNKNOWN and (0 <= float(value) < most) and (key != "p99_ms" or float(value) > 0)
        if value is not UNKNOWN and not least_allowed:
            yield Finding(
                what="a model owes its users nothing: no rollout of it can fail",
                at=f"policy.slo.{key}",
                got=value,
                allowed="a share of 0 to below 1" if key == "error_rate" else "milliseconds above 0",
                act="set slo in the stack's file",
            )


def has_rollout(resource: Resource, limits: Limits) -> Iterator[Finding]:
    """That a promotion is watched: a sample, a bake and a way back that needs no steps."""
    policy = at(resource.props, "policy")
    if is_wrong(at(policy, "strategy"), "canary", "blue-green"):
        yield Finding(
            what="nothing says how this model is promoted",
            at="policy.strategy",
            got=at(policy, "strategy"),
            allowed="canary or blue-green",
            act="set rollout in the stack's file",
        )
        return
    wanted = ["minimum_sample", *(["bake_seconds", "rollback_window"] if limits.is_production else [])]
    for key in wanted:
        value = at(policy, key)
        if value is not UNKNOWN and float(value or 0) <= 0:
            yield Finding(
                what="a promotion is believed without being watched, or can't be taken back at once",
                at=f"policy.{key}",
                got=value,
                allowed="more than 0",
                act=f"set rollout.{key.replace('_', '-')} in the stack's file",
            )


def first_step_is_small(resource: Resource, limits: Limits) -> Iterator[Finding]:
    """The first share of traffic that a canary gets, as the policy states it and as Argo Rollouts is told."""
    if resource.type == ROLLOUT:
        steps = at(resource.props, "spec", "strategy", "canary", "steps")
        if at(resource.props, "spec", "strategy", "canary") is None or steps is UNKNOWN:
            return
        where = "spec.strategy.canary.steps"
        shares = [at(step, "setWeight") for step in items(steps) if at(step, "setWeight") is not None]
    else:
        if at(resource.props, "policy", "strategy") != "canary":
            return
        where = "policy.steps"
        if at(resource.props, "policy", "steps") is UNKNOWN:
            return
        shares = [step for step in items(at(resource.props, "policy", "steps")) if step is not None]
    # With no step, everything moves at once.
    first = shares[0] if shares else 100
    if first is not UNKNOWN and float(first) > limits.first_step_percent:
        yield Finding(
            what=f"the first step of a canary of {limits.stack} is too large",
            at=where,
            got=f"{float(first):g} %",
            allowed=f"at most {limits.first_step_percent} %",
            act="begin rollout.steps in the stack's file with a smaller one",
        )


def not_all_at_once(resource: Resource, limits: Limits) -> Iterator[Finding]:
    """Blue-green in production: after the golden replay, all users at once."""
    if limits.is_production and at(resource.props, "policy", "strategy") == "blue-green":
        yield Finding(
            what="a promotion in production moves all users at once",
            at="policy.strategy",
            got="blue-green",
            allowed="canary",
            act="choose canary, unless two releases must never answer at the same time",
        )


def verified_before_traffic(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The golden replay in a Rollout: before the first share of traffic, and never passed over by time."""
    strategy = at(resource.props, "spec", "strategy")
    green = at(strategy, "blueGreen")
    if green is UNKNOWN:
        return
    if green is not None:
        if at(green, "prePromotionAnalysis") is None:
            yield _unverified("spec.strategy.blueGreen.prePromotionAnalysis", None)
        if at(green, "autoPromotionSeconds") is not None:
            yield _unverified("spec.strategy.blueGreen.autoPromotionSeconds", at(green, "autoPromotionSeconds"))
        return
    for index, step in enumerate(items(at(strategy, "canary", "steps"))):
        if at(step, "analysis") is not None:
            return
        if at(step, "setWeight") is not None:
            yield _unverified(f"spec.strategy.canary.steps[{index}]", f"setWeight {at(step, 'setWeight')}")
            return
    if at(strategy, "canary", "steps") is not UNKNOWN:
        yield _unverified("spec.strategy.canary.steps", None)


def _unverified(where: str, got: object) -> Finding:
    return Finding(
        what="a release gets traffic before its golden requests were replayed",
        at=where,
        got=got,
        allowed="an analysis before the first setWeight; with blue-green prePromotionAnalysis, and no promotion by time",
        act="declare models through infra.kubernetes.model_server.ModelServer",
    )


def rollouts_are_watched(resources: Sequence[Resource], _limits: Limits) -> Iterator[Finding]:
    """A watch for each Rollout: without it `pulumi up` says done while a release fails."""
    watched = set()
    for each in resources:
        if each.type == WATCH:
            model, role = at(each.props, "wiring", "model"), at(each.props, "wiring", "role")
            if UNKNOWN in (model, role):
                return
            watched.add(model if role == "champion" else f"{model}-{role}")
    for rollout in resources:
        name = at(rollout.props, "metadata", "name")
        # Of what goes into a cluster that is not made yet, a preview shows a whole stack no property at all.
        if rollout.type == ROLLOUT and rollout.props and name is not UNKNOWN and name not in watched:
            yield Finding(
                what="a Rollout has no watch, no evidence and no policy beside it",
                at="metadata.name",
                got=name,
                allowed="with a RolloutWatch of the same model and role",
                act="declare models through infra.kubernetes.model_server.ModelServer",
                urn=rollout.urn,
            )


RULES = (
    Rule(
        name="model-owner",
        asks="Every release that serves names its owner.",
        why="Somebody is called when it goes wrong.",
        types=SERVED,
        check=has_owner,
    ),
    Rule(
        name="model-golden",
        asks="Every release that serves has golden requests.",
        why="They are replayed before the first user.",
        types=SERVED,
        check=has_golden,
    ),
    Rule(
        name="model-gates",
        asks="Every release that serves has passed all its gates.",
        why="A gate that can be walked around is none.",
        types=SERVED,
        check=has_passed,
    ),
    Rule(
        name="model-slo",
        asks="Every model has objectives: an error rate and a latency.",
        why="A rollout without them can't fail, so it can't be trusted when it passes.",
        types=SERVED,
        check=has_objectives,
    ),
    Rule(
        name="model-rollout",
        asks="Every model has a rollout with a minimum sample; in production with a bake and a rollback window too.",
        why="A promotion is watched while the old release still runs.",
        types=SERVED,
        check=has_rollout,
    ),
    Rule(
        name="first-step",
        asks="A canary begins with at most 25 % in prod and 50 % in staging.",
        why="So many users at most meet a release that is wrong.",
        types=(*SERVED, ROLLOUT),
        check=first_step_is_small,
    ),
    Rule(
        name="not-at-once",
        asks="Production promotes by canary.",
        why="Blue-green shows a fault to every user at the same time.",
        types=SERVED,
        check=not_all_at_once,
        level="advisory",
    ),
    Rule(
        name="rollout-verified",
        asks="A Rollout replays the golden requests before the first share of traffic.",
        why="A wrong answer is found by a Job, not by a user.",
        types=(ROLLOUT,),
        check=verified_before_traffic,
    ),
    Rule(
        name="rollout-watched",
        asks="Every Rollout has its watch.",
        why="`pulumi up` ends when the rollout has ended, with its words.",
        check_stack=rollouts_are_watched,
    ),
)
