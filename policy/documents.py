"""Policy documents of AWS as plain data: read, and asked what they allow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from policy.resource import UNKNOWN, items


def document(value: Any) -> Any:
    """A policy document from its JSON, or as it is; UNKNOWN where it is, an empty one where it can't be read (AWS refuses it then)."""
    if value is UNKNOWN or isinstance(value, Mapping):
        return value
    try:
        found = json.loads(value or "{}")
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, Mapping) else {}


def statements(found: Any) -> list[Mapping[str, Any]]:
    """The statements of a document."""
    return [] if found is UNKNOWN else [each for each in items(found.get("Statement")) if isinstance(each, Mapping)]


def principals(statement: Mapping[str, Any]) -> list[str]:
    """Whom a statement speaks of, whatever their kind; AWS's services are not among them."""
    given = statement.get("Principal")
    if isinstance(given, Mapping):
        return [str(each) for kind, those in given.items() if kind != "Service" for each in items(those)]
    return [str(each) for each in items(given)]


def demands_tls(found: Any) -> bool:
    """Whether a document denies everything to everybody who comes without TLS."""
    return any(
        statement.get("Effect") == "Deny"
        and "*" in principals(statement)
        and any(action in ("*", "s3:*") for action in items(statement.get("Action")))
        and str((statement.get("Condition") or {}).get("Bool", {}).get("aws:SecureTransport")).lower() == "false"
        for statement in statements(found)
    )
