"""The conditions of ``pulumi.com/waitFor``: ``jsonpath={.status.phase}=Running`` and ``condition=Ready``, as kubectl reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from toolchain.providers.values import at

_STEP = re.compile(
    r"""\.(?P<name>(?:[\w-]|\\.)+)
      | \[(?P<index>-?\d+)\]
      | \[(?P<any>\*)\]
      | \[(?:'(?P<quoted>[^']*)'|"(?P<double>[^"]*)")\]
      | \[\?\(@\.(?P<field>[\w.-]+)\s*==\s*(?:'(?P<wanted>[^']*)'|"(?P<wanted2>[^"]*)"|(?P<bare>[\w.-]+))\)\]
    """,
    re.VERBOSE,
)


class BadExpression(Exception):
    """A condition that can't be understood."""


def conditions(annotation: str) -> list[str]:
    """The conditions of the annotation: one, or a JSON list of them. Raises `BadExpression`."""
    try:
        found = json.loads(annotation)
    except ValueError:
        found = [annotation]
    texts = [text for text in found if isinstance(text, str)] if isinstance(found, list) else []
    if not texts:
        raise BadExpression("pulumi.com/waitFor: at least one condition is needed")
    for text in texts:
        unmet(text, {})
    return texts


def unmet(text: str, live: dict[str, Any]) -> str | None:
    """What is missing until an object meets a condition, in words, or None when it does. Raises `BadExpression`."""
    if text.startswith("condition="):
        wanted, _, status = text.removeprefix("condition=").partition("=")
        found = condition(live, wanted)
        is_met = found is not None and str(found.get("status", "")).lower() == (status or "true").lower() and is_observed(live, found)
        return None if is_met else f"condition {wanted} is {found.get('status') if found else 'not there yet'}"
    if text.startswith("jsonpath="):
        match = re.fullmatch(r"\{(.*)\}(?:==?(.*))?", text.removeprefix("jsonpath=").strip(), re.DOTALL)
        if match is None:
            raise BadExpression(f'pulumi.com/waitFor: {text!r} is no jsonpath: write "jsonpath={{.status.phase}}=Running"')
        values = list(_select(live, match[1], text))
        if match[2] is None:
            return None if values else f"{match[1]} is not there yet"
        wanted = match[2].strip("\"'")
        return None if values and all(_text(value) == wanted for value in values) else f"{match[1]} is {_shown(values)}, not {wanted}"
    raise BadExpression(f'pulumi.com/waitFor: {text!r} needs the prefix "jsonpath=" or "condition="')


def condition(live: dict[str, Any], name: str) -> dict[str, Any] | None:
    """One entry of ``status.conditions``."""
    for entry in at(live, "status", "conditions") or []:
        if isinstance(entry, dict) and str(entry.get("type", "")).lower() == name.lower():
            return entry
    return None


def is_observed(live: dict[str, Any], entry: dict[str, Any] | None = None) -> bool:
    """Whether the status speaks of the object as it is now, as far as it says."""
    generation = at(live, "metadata", "generation")
    seen = (entry or {}).get("observedGeneration", at(live, "status", "observedGeneration"))
    return not (isinstance(generation, int) and isinstance(seen, int)) or seen >= generation


def _select(value: Any, path: str, text: str) -> Iterator[Any]:
    values, position = [value], 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise BadExpression(f"pulumi.com/waitFor: {text!r}: {path[position:]!r} is not understood")
        position = match.end()
        values = [found for each in values for found in _step(each, match)]
    yield from values


def _step(value: Any, match: re.Match[str]) -> Iterator[Any]:
    name = match["name"] or match["quoted"] or match["double"]
    if name is not None:
        found = at(value, name.replace("\\", ""))
        if found is not None:
            yield found
    elif match["index"] is not None:
        found = at(value, int(match["index"]))
        if found is not None:
            yield found
    elif match["any"]:
        yield from value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    else:
        wanted = match["wanted"] or match["wanted2"] or match["bare"] or ""
        for item in value if isinstance(value, list) else ():
            if _text(at(item, *match["field"].split("."))) == wanted:
                yield item


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _shown(values: list[Any]) -> str:
    return ", ".join(_text(value) for value in values) or "not there yet"
