"""A waiver covers what it names and nothing else, has a reason, and ends on its day."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from policy import check, waivers
from policy.limits import Limits
from policy.resource import Finding, Resource

TODAY = datetime.date(2026, 11, 24)
RULES = [rule.name for rule in check.RULES]
REASON = "reason: The old client can't send the header before spring."


def image(name: str) -> Resource:
    return Resource(type="kubernetes:helm.sh/v3:Release", name=name, props={})


def left(text: str, name: str = "traefik", stack: str = "prod", today: datetime.date = TODAY) -> int:
    """How many findings an unpinned chart has under the waivers of a text."""
    return len(list(check.of_resource(image(name), Limits(stack), waivers.read(text, RULES), today)))


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("name: traefik", 0),
        ("name: trae*", 0),
        ("name: argo", 1),
        ("type: kubernetes:helm.sh/*", 0),
        ("at: version", 0),
        ("got: None", 0),
        ("got: '1'", 1),
        ("got: ['1', None]", 0),
        ("name: [argo, prometheus]", 1),
        ("name: traefik\n  stack: prod", 0),
        ("name: traefik\n  stack: dev", 1),
        ("name: traefik\n  until: 2026-11-24", 0),
        ("name: traefik\n  until: 2026-11-23", 1),
    ],
)
def test_what_a_waiver_covers(words: str, count: int) -> None:
    assert left(f"- rule: chart-pinned\n  {words}\n  {REASON}\n") == count


def test_a_waiver_of_another_rule_covers_nothing() -> None:
    assert left(f"- rule: pod-limits\n  name: traefik\n  {REASON}\n") == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"- rule: no-such\n  name: a\n  {REASON}\n", "no-such"),
        ("- rule: chart-pinned\n  name: a\n  reason: because\n", "reason"),
        ("- rule: chart-pinned\n  name: a\n", "reason"),
        (f"- rule: chart-pinned\n  {REASON}\n", "waives all of chart-pinned"),
        (f"- rule: chart-pinned\n  name: '*'\n  {REASON}\n", "waives all of chart-pinned"),
        (f"- rule: chart-pinned\n  name: ['*']\n  stack: prod\n  {REASON}\n", "waives all of chart-pinned"),
        (f"- rule: chart-pinned\n  naem: a\n  {REASON}\n", "naem"),
        (f"- rule: chart-pinned\n  name: a\n  until: soon\n  {REASON}\n", "until"),
        ("rule: chart-pinned\n", "a list of waivers"),
    ],
)
def test_a_wrong_waiver_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(waivers.WaiverError, match="allowed: ") as refused:
        waivers.read(text, RULES)
    assert says in str(refused.value)


def test_a_path_with_brackets_means_itself() -> None:
    (waiver,) = waivers.read(f"- rule: pod-limits\n  at: spec.containers[0].*\n  {REASON}\n", RULES)
    found = Finding(what="", at="spec.containers[0].resources", got="", allowed="", act="")
    assert waiver.covers("pod-limits", "prod", image("a"), found, TODAY)
    assert not waiver.covers("pod-limits", "prod", image("a"), replace(found, at="spec.containers0.resources"), TODAY)


def test_the_waivers_of_this_repository_are_good() -> None:
    assert check.read_waivers()
