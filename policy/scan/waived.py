"""Which findings of the scanners are waived, and which waivers are of no use any more: ``waivers.yaml`` beside this file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from policy import waivers
from policy.resource import Resource
from policy.scan.findings import Found

FILE = Path(__file__).with_name("waivers.yaml")


def read() -> list[waivers.Waiver]:
    """The waivers of this repository. Raises WaiverError."""
    return waivers.read(FILE.read_text(encoding="utf-8"), file="policy/scan/waivers.yaml")


def left(
    found: Sequence[Found], resources: Sequence[Resource], given: Sequence[waivers.Waiver], stack: str, today: date
) -> tuple[list[Found], list[waivers.Waiver]]:
    """The findings that no waiver covers, and the waivers of this stack that cover nothing."""
    used: set[int] = set()
    kept = []
    for each in found:
        covering = [
            number for number, waiver in enumerate(given) if waiver.covers(each.rule, stack, each.declared.resource, each.finding, today)
        ]
        used.update(covering)
        if not covering:
            kept.append(each)
    idle = [waiver for number, waiver in enumerate(given) if number not in used and waiver.is_due(stack, resources)]
    return kept, idle
