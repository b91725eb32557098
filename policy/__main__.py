"""The policy pack: hands what the engine shows to the rules, and what they find to the engine. Runs in an environment of its own."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

# The engine starts this folder as a program; the rules are a package beside the others.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policy import check
from policy.limits import Limits
from policy.resource import UNKNOWN, Resource

WAIVED = check.read_waivers()
LEVELS = {True: ("required", EnforcementLevel.MANDATORY), False: ("advised", EnforcementLevel.ADVISORY)}


def plain(value: Any) -> Any:
    """A value as plain data. The engine's own mappings raise when an unknown value is touched; here it is UNKNOWN."""
    if isinstance(value, Mapping):
        return {key: _item(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_item(value, index) for index in range(len(value))]
    return value


def _item(values: Any, key: Any) -> Any:
    try:
        return plain(values[key])
    except UnknownValueError:
        return UNKNOWN


def resource_of(seen: ResourceValidationArgs | PolicyResource) -> Resource:
    """A resource as the rules know it."""
    provider = plain(seen.provider.props) if seen.provider is not None else {}
    tags = provider.get("defaultTags")
    # The engine keeps a provider's settings as text.
    given = (json.loads(tags) if isinstance(tags, str) else tags or {}).get("tags")
    sources = {key: [each.urn for each in those] for key, those in getattr(seen, "property_dependencies", {}).items()}
    return Resource(
        type=seen.resource_type,
        name=seen.name,
        props=plain(seen.props),
        urn=seen.urn,
        is_protected=bool(seen.opts.protect),
        default_tags=given if isinstance(given, Mapping) else {},
        sources=sources,
    )


def limits_of(urn: str) -> Limits:
    """The limits of the stack that a URN, ``urn:pulumi:<stack>::…``, is of."""
    return Limits(urn.split(":")[2])


_FOUND: dict[str, list[check.Violation]] = {}
"""What the rules of both levels found at a resource, from the policy that is asked first to the one that is asked next."""


def of_resource(is_mandatory: bool) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    """The callback for one level of the rules over single resources. The engine asks them one after the other about each resource."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        found = None if is_mandatory else _FOUND.pop(args.urn, None)
        if found is None:
            found = list(check.of_resource(resource_of(args), limits_of(args.urn), WAIVED, check.today()))
        if is_mandatory:
            _FOUND[args.urn] = found
        _report(found, report, is_mandatory)

    return validate


def of_stack(is_mandatory: bool) -> Callable[[StackValidationArgs, ReportViolation], None]:
    """The callback for one level of the rules over a whole stack."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        limits = limits_of(args.resources[0].urn) if args.resources else None
        if limits is not None and check.has_of_stack(limits, is_mandatory=is_mandatory):
            _report(check.of_stack([resource_of(each) for each in args.resources], limits, WAIVED, check.today()), report, is_mandatory)

    return validate


def _report(found: Iterable[check.Violation], report: ReportViolation, is_mandatory: bool) -> None:
    for violation in found:
        if violation.is_mandatory is is_mandatory:
            report(violation.text, violation.resource.urn)


# What was imported stays: the collector need not look through it again and again. The next statement ends when the engine does.
gc.freeze()
# Few policies, many rules: the engine's SDK reads every resource anew for each policy, a millisecond for a Rollout.
PolicyPack(
    name="mldelivery",
    policies=[
        *(
            ResourceValidationPolicy(name, "see docs/how-to/policy.md", of_resource(is_mandatory), level)
            for is_mandatory, (name, level) in LEVELS.items()
        ),
        *(
            StackValidationPolicy(f"{name}-of-the-stack", "see docs/how-to/policy.md", of_stack(is_mandatory), level)
            for is_mandatory, (name, level) in LEVELS.items()
        ),
    ],
)
