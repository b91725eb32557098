"""Each rule finds what it is for, and nothing else: good resources, each with one change that exactly one rule must find."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from policy import check
from policy.limits import Limits
from policy.resource import UNKNOWN, Resource
from policy.storage import STATEFUL
from tests.unit.policy.examples import BAD, GOOD, LONE, Bad, Props, Ref

TODAY = datetime.date(2026, 11, 24)
PROD = Limits("prod")
WAIVED = check.read_waivers()


def resource(name: str, type_: str, props: Props, *, is_protected: bool = True) -> Resource:
    """A resource as the engine shows it in a first preview: outputs of others are unknown, but known as theirs."""
    sources = {key: [value.name] for key, value in props.items() if isinstance(value, Ref)}
    return Resource(type=type_, name=name, urn=name, props=_known(props), is_protected=is_protected, sources=sources)


def _known(value: Any) -> Any:
    if isinstance(value, Ref):
        return UNKNOWN
    if isinstance(value, dict):
        return {key: _known(each) for key, each in value.items()}
    return [_known(each) for each in value] if isinstance(value, list) else value


def good(name: str) -> Resource:
    return resource(name, *GOOD[name])


def found(changed: Resource, limits: Limits = PROD, *, others: tuple[str, ...] = tuple(GOOD)) -> list[tuple[str, str]]:
    """Rule and property of every finding, with a resource in the place of the good one of its name."""
    stack = [*(good(name) for name in others if name != changed.name), changed]
    violations = [*check.of_resource(changed, limits, WAIVED, TODAY), *check.of_stack(stack, limits, WAIVED, TODAY)]
    return [(violation.rule.name, violation.finding.at) for violation in violations]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_resource_is_left_alone(name: str) -> None:
    assert found(good(name)) == []


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.rule}-{bad.at}")
def test_a_bad_one_is_found_by_its_rule_and_by_no_other(bad: Bad) -> None:
    assert found(resource(bad.of, GOOD[bad.of][0], bad.props())) == [(bad.rule, bad.at)]


@pytest.mark.parametrize("name", LONE)
def test_what_is_missing_beside_a_resource_is_found(name: str) -> None:
    type_, props, expected = LONE[name]
    assert found(resource(name, type_, props)) == [(rule, at) for rule, places in expected.items() for at in places]


@pytest.mark.parametrize("name", [name for name, (type_, _) in GOOD.items() if type_ in STATEFUL])
def test_what_holds_state_is_protected_in_production_only(name: str) -> None:
    unprotected = resource(name, *GOOD[name], is_protected=False)
    assert found(unprotected) == [("stateful-protected", "protect (option)")]
    assert found(unprotected, Limits("dev")) == []


def test_a_rollout_of_which_a_preview_knows_nothing_is_left_to_the_update() -> None:
    """In a cluster that is not made yet, the engine shows a whole stack no property of what goes into it."""
    of_nothing = resource("iris-rollout", GOOD["iris-rollout"][0], {})
    stack = [*(good(name) for name in GOOD if name != "iris-rollout"), of_nothing]
    assert not [each for each in check.of_stack(stack, PROD, WAIVED, TODAY) if each.resource is of_nothing]


def test_every_rule_has_an_example_that_it_finds() -> None:
    shown = {bad.rule for bad in BAD} | {rule for _, _, expected in LONE.values() for rule in expected}
    assert shown == {rule.name for rule in check.RULES}
    assert len({rule.name for rule in check.RULES}) == len(check.RULES)


def test_every_rule_says_why_and_is_either_of_a_resource_or_of_a_stack() -> None:
    for rule in check.RULES:
        assert rule.asks.endswith(".") and rule.why.endswith("."), rule.name
        assert (rule.check is None) != (rule.check_stack is None), rule.name
        assert bool(rule.types) == (rule.check is not None), rule.name


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from paths(inner, (*path, key))


def put(props: Props, path: tuple[Any, ...], value: Any) -> Props:
    """A copy with another value at a path."""
    changed = copy.deepcopy(props)
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


@pytest.mark.parametrize("name", GOOD)
def test_what_is_unknown_is_never_held_against_anybody(name: str) -> None:
    type_, props = GOOD[name]
    for path in paths(props):
        assert found(resource(name, type_, put(props, path, UNKNOWN))) == [], path


@pytest.mark.parametrize("name", GOOD)
def test_no_rule_breaks_on_what_is_empty(name: str) -> None:
    type_, props = GOOD[name]
    for path in paths(props):
        found(resource(name, type_, put(props, path, None)))


def test_a_finding_says_rule_resource_property_value_what_is_allowed_and_what_to_do() -> None:
    bad = next(bad for bad in BAD if bad.rule == "first-step")
    (violation,) = check.of_resource(resource("iris", GOOD[bad.of][0], bad.props()), PROD, [], TODAY)
    assert violation.text == (
        "first-step: iris (pulumi-python:dynamic/mldelivery:RolloutWatch): the first step of a canary of prod is too large\n"
        "  at:      policy.steps\n"
        "  got:     26 %\n"
        "  allowed: at most 25 %\n"
        "  do:      begin rollout.steps in the stack's file with a smaller one"
    )


@pytest.mark.parametrize(("stack", "step", "is_allowed"), [("staging", 50, True), ("staging", 51, False), ("dev", 99, True)])
def test_each_stack_has_its_own_first_step(stack: str, step: int, is_allowed: bool) -> None:
    changed = resource("watch", GOOD["watch"][0], put(GOOD["watch"][1], ("policy", "steps"), [step]))
    assert found(changed, Limits(stack)) == ([] if is_allowed else [("first-step", "policy.steps")])


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("cluster", ("vpcConfig", "publicAccessCidrs"), ["0.0.0.0/0"]),
        ("balancer", ("metadata", "annotations"), {}),
        ("database", ("deletionProtection",), False),
        ("watch", ("policy", "bake_seconds"), 0),
    ],
)
def test_some_rules_are_for_production_only(name: str, path: tuple[str, ...], value: Any) -> None:
    changed = resource(name, GOOD[name][0], put(GOOD[name][1], path, value))
    assert len(found(changed)) == 1
    assert found(changed, Limits("staging")) == []


@pytest.mark.parametrize(("stack", "is_mandatory"), [("prod", True), ("dev", False)])
def test_some_rules_are_advice_outside_production(stack: str, is_mandatory: bool) -> None:
    bad = next(bad for bad in BAD if bad.rule == "no-open-port")
    (violation,) = check.of_resource(resource("a", GOOD[bad.of][0], bad.props()), Limits(stack), [], TODAY)
    assert violation.is_mandatory is is_mandatory


@pytest.mark.parametrize("stack", ["prod", "dev"])
def test_a_level_that_no_rule_of_a_stack_has_is_not_asked(monkeypatch: pytest.MonkeyPatch, stack: str) -> None:
    rule = next(rule for rule in check.RULES if rule.check_stack is not None)
    limits = Limits(stack)
    for level in ("mandatory", "advisory", "mandatory in prod"):
        monkeypatch.setattr(check, "RULES", (replace(rule, level=level),))
        is_mandatory = level == "mandatory" or (level == "mandatory in prod" and stack == "prod")
        assert check.has_of_stack(limits, is_mandatory=is_mandatory)
        assert not check.has_of_stack(limits, is_mandatory=not is_mandatory)


def test_default_tags_of_the_provider_count() -> None:
    bare = Resource(type="aws:ec2/vpc:Vpc", name="vpc", props={}, default_tags=GOOD["vpc"][1]["tags"])
    assert list(check.of_resource(bare, PROD, [], TODAY)) == []


def test_a_type_is_not_taken_for_one_whose_name_it_begins_with() -> None:
    account = Resource(type="kubernetes:core/v1:ServiceAccount", name="a", props={"spec": {"type": "LoadBalancer"}})
    assert list(check.of_resource(account, PROD, [], TODAY)) == []
