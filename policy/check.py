"""All rules over a resource or a stack, less what is waived: what the engine's adapter calls, and nothing of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache

from policy import access, cloud, models, storage, waivers, workloads
from policy.limits import Limits
from policy.resource import Finding, Resource, Rule

RULES: tuple[Rule, ...] = (*models.RULES, *workloads.RULES, *storage.RULES, *access.RULES, *cloud.RULES)


@dataclass(frozen=True)
class Violation:
    """A finding of a rule at a resource."""

    rule: Rule
    resource: Resource
    finding: Finding
    is_mandatory: bool

    @property
    def text(self) -> str:
        """What a person reads: rule, resource, property, value, what is allowed, and what to do."""
        found = self.finding
        got = str(found.got)
        lines = [
            f"{self.rule.name}: {self.resource.name} ({self.resource.type}): {found.what}",
            f"  at:      {found.at}",
            f"  got:     {got if len(got) <= 200 else got[:199] + '…'}",
            f"  allowed: {found.allowed}",
            f"  do:      {found.act}",
        ]
        return "\n".join(lines)


def of_resource(resource: Resource, limits: Limits, waived: Sequence[waivers.Waiver], today: date) -> Iterator[Violation]:
    """What the rules for single resources find at this one."""
    for rule in _rules_for(resource.type):
        if rule.check is not None:
            yield from _kept(rule, resource, rule.check(resource, limits), limits, waived, today)


def of_stack(resources: Sequence[Resource], limits: Limits, waived: Sequence[waivers.Waiver], today: date) -> Iterator[Violation]:
    """What the rules for a whole stack find."""
    by_urn = {resource.urn: resource for resource in resources}
    for rule in RULES:
        if rule.check_stack is not None:
            for finding in rule.check_stack(resources, limits):
                yield from _kept(rule, by_urn[finding.urn], [finding], limits, waived, today)


def has_of_stack(limits: Limits, *, is_mandatory: bool) -> bool:
    """Whether any rule for a whole stack is of this level there."""
    return any(rule.check_stack is not None and _is_mandatory(rule, limits) is is_mandatory for rule in RULES)


def _is_mandatory(rule: Rule, limits: Limits) -> bool:
    return rule.level == "mandatory" or (rule.level == "mandatory in prod" and limits.is_production)


def _kept(
    rule: Rule, resource: Resource, findings: Iterable[Finding], limits: Limits, waived: Sequence[waivers.Waiver], today: date
) -> Iterator[Violation]:
    is_mandatory = _is_mandatory(rule, limits)
    for finding in findings:
        if not any(waiver.covers(rule.name, limits.stack, resource, finding, today) for waiver in waived):
            yield Violation(rule, resource, finding, is_mandatory)


@cache
def _rules_for(type_: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in RULES if any(_is_of(type_, wanted) for wanted in rule.types))


def _is_of(type_: str, wanted: str) -> bool:
    return type_ == wanted or (wanted[-1] in ":/" and type_.startswith(wanted))


def read_waivers() -> list[waivers.Waiver]:
    """The waivers of this repository. Raises WaiverError."""
    return waivers.read(waivers.FILE.read_text(encoding="utf-8"), [rule.name for rule in RULES])


def today() -> date:
    """The day by which waivers end."""
    return datetime.now(UTC).date()
