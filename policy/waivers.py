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
    """One entry: a rule, what it is waived for (patterns with ``*``, any of which will do), why, and until when."""

    rule: str
    reason: str
    stack: tuple[str, ...] = ("*",)
    type: tuple[str, ...] = ("*",)
    name: tuple[str, ...] = ("*",)
    at: tuple[str, ...] = ("*",)
    got: tuple[str, ...] = ("*",)
    until: date | None = None

    def covers(self, rule: str, stack: str, resource: Resource, finding: Finding, today: date) -> bool:
        """Whether a finding is meant."""
        values = {"stack": stack, "type": resource.type, "name": resource.name, "at": finding.at, "got": str(finding.got)}
        is_running = self.until is None or today <= self.until
        if not is_running or rule != self.rule:
            return False
        return all(any(fnmatchcase(value, _literal(pattern)) for pattern in getattr(self, key)) for key, value in values.items())


def _literal(pattern: str) -> str:
    """Brackets stand for themselves: paths are full of them."""
    return pattern.replace("[", "[[]")


def read(text: str, rules: Iterable[str]) -> list[Waiver]:
    """The waivers of a file's text. Raises WaiverError for an entry that is unknown, too wide or without a reason."""
    import yaml

    known, allowed = set(rules), {field.name for field in fields(Waiver)}
    document = yaml.safe_load(text) or []
    if not isinstance(document, list):
        raise WaiverError(f"{FILE.name}: got {type(document).__name__}; allowed: a list of waivers")
    return [_waiver(number, entry, known, allowed) for number, entry in enumerate(document, 1)]


def _waiver(number: int, entry: Any, known: set[str], allowed: set[str]) -> Waiver:
    where = f"{FILE.name}: waiver {number}"
    if not isinstance(entry, Mapping) or set(entry) - allowed:
        raise WaiverError(f"{where}: got {entry!r}; allowed: {', '.join(sorted(allowed))}; do: mend its keys")
    if entry.get("rule") not in known:
        raise WaiverError(f"{where}: rule: got {entry.get('rule')!r}; allowed: {', '.join(sorted(known))}; do: name a rule")
    if len(str(entry.get("reason") or "").strip()) < SHORTEST_REASON:
        raise WaiverError(f"{where}: reason: got {entry.get('reason')!r}; allowed: a sentence that says why; do: write it")
    patterns = {key: _patterns(entry[key]) for key in ("stack", *_NARROW) if key in entry}
    if all(set("".join(each)) <= {"*"} for key, each in patterns.items() if key != "stack"):
        raise WaiverError(f"{where}: it waives all of {entry['rule']}; allowed: one of {', '.join(_NARROW)}; do: say what it is for")
    until = entry.get("until")
    if until is not None and type(until) is not date:
        raise WaiverError(f"{where}: until: got {until!r}; allowed: a date, YYYY-MM-DD; do: mend it")
    return Waiver(rule=entry["rule"], reason=str(entry["reason"]).strip(), until=until, **patterns)


def _patterns(value: Any) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list) else (str(value),)
