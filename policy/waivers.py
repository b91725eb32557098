"""What is allowed although a rule says no: ``waivers.yaml``, each entry with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from policy.resource import Finding, Resource

FILE = Path(__file__).with_name("waivers.yaml")
SHORTEST_REASON = 20
_NARROW = ("type", "name", "at", "got")


class WaiverError(ValueError):
    """The file of waivers is wrong; the text says which entry, what is allowed and what to do."""


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """One entry: a rule, what it is waived for (patterns with ``*``, any of which will do), why, and until when.

    ``sometimes``: what it covers comes and goes with sizes in a stack's file, so that it may cover nothing. ``number`` counts from 1.
    """

    rule: str
    reason: str
    stack: tuple[str, ...] = ("*",)
    type: tuple[str, ...] = ("*",)
    name: tuple[str, ...] = ("*",)
    at: tuple[str, ...] = ("*",)
    got: tuple[str, ...] = ("*",)
    until: date | None = None
    sometimes: bool = False
    number: int = 0

    def covers(self, rule: str, stack: str, resource: Resource, finding: Finding, today: date) -> bool:
        """Whether a finding is meant."""
        values = {"stack": stack, "type": resource.type, "name": resource.name, "at": finding.at, "got": str(finding.got)}
        is_running = self.until is None or today <= self.until
        if not is_running or rule != self.rule:
            return False
        return all(_fits(value, getattr(self, key)) for key, value in values.items())

    def is_due(self, stack: str, resources: Iterable[Resource]) -> bool:
        """Whether it must cover something in a stack: that is meant, and has resources of a type that is."""
        return not self.sometimes and _fits(stack, self.stack) and any(_fits(each.type, self.type) for each in resources)


def _fits(value: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(value, _literal(pattern)) for pattern in patterns)


def _literal(pattern: str) -> str:
    """Brackets stand for themselves: paths are full of them."""
    return pattern.replace("[", "[[]")


def read(text: str, rules: Iterable[str] | None = None, *, file: str = FILE.name) -> list[Waiver]:
    """The waivers of a file's text. Raises WaiverError for an entry that is unknown, too wide or without a reason.

    Without ``rules`` a waiver may name any rule: they are somebody else's.
    """
    import yaml

    known = None if rules is None else set(rules)
    allowed = {field.name for field in fields(Waiver)} - {"number"} - (set() if known is None else {"sometimes"})
    document = yaml.safe_load(text) or []
    if not isinstance(document, list):
        raise WaiverError(f"{file}: got {type(document).__name__}; allowed: a list of waivers")
    return [_waiver(f"{file}: waiver {number}", number, entry, known, allowed) for number, entry in enumerate(document, 1)]


def _waiver(where: str, number: int, entry: Any, known: set[str] | None, allowed: set[str]) -> Waiver:
    if not isinstance(entry, Mapping) or set(entry) - allowed:
        raise WaiverError(f"{where}: got {entry!r}; allowed: {', '.join(sorted(allowed))}; do: mend its keys")
    if known is None and not isinstance(entry.get("rule"), str):
        raise WaiverError(f"{where}: rule: got {entry.get('rule')!r}; allowed: a rule as a finding names it; do: name one")
    if known is not None and entry.get("rule") not in known:
        raise WaiverError(f"{where}: rule: got {entry.get('rule')!r}; allowed: {', '.join(sorted(known))}; do: name a rule")
    if len(str(entry.get("reason") or "").strip()) < SHORTEST_REASON:
        raise WaiverError(f"{where}: reason: got {entry.get('reason')!r}; allowed: a sentence that says why; do: write it")
    patterns = {key: _patterns(entry[key]) for key in ("stack", *_NARROW) if key in entry}
    if all(set("".join(each)) <= {"*"} for key, each in patterns.items() if key != "stack"):
        raise WaiverError(f"{where}: it waives all of {entry['rule']}; allowed: one of {', '.join(_NARROW)}; do: say what it is for")
    until = entry.get("until")
    if until is not None and type(until) is not date:
        raise WaiverError(f"{where}: until: got {until!r}; allowed: a date, YYYY-MM-DD; do: mend it")
    sometimes = entry.get("sometimes", False)
    if not isinstance(sometimes, bool):
        raise WaiverError(f"{where}: sometimes: got {sometimes!r}; allowed: true or false; do: mend it")
    reason = str(entry["reason"]).strip()
    return Waiver(rule=entry["rule"], reason=reason, until=until, sometimes=sometimes, number=number, **patterns)


def _patterns(value: Any) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list) else (str(value),)
