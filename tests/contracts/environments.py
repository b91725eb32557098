"""Rules over all that an environment declares. Each takes what was recorded (or a policy) and returns its violations."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from infra.aws.iam import Statement
from tests.unit.aws.declared import Registered

COST_TAGS = {"project", "environment", "owner", "cost-center"}
STATEFUL: dict[str, dict[str, Any]] = {
    "aws:s3/bucket:Bucket": {"forceDestroy": False},
    "aws:rds/instance:Instance": {"deletionProtection": True, "skipFinalSnapshot": False},
    "aws:eks/cluster:Cluster": {"deletionProtection": True},
    "aws:kms/key:Key": {"deletionWindowInDays": 30},
    "aws:ecr/repository:Repository": {"forceDelete": False},
}
"""What is lost with its data, and what must hold beside Pulumi's own protection."""

POLICIES = ("policy", "assumeRolePolicy")
SECRET_KEY = re.compile(r"password|passphrase|token|secret|private.?key|access.?key", re.IGNORECASE)
SECRET_VALUE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b")
NAMES_ONLY = re.compile(r"arn|kms|name|ref$|^manage|^httpTokens$", re.IGNORECASE)
"""Keys that hold a secret's name or a switch, not the secret."""

READS = re.compile(r"^[a-z0-9-]+:(Describe|List|Get)\w*\*?$")


def untagged(resources: Sequence[Registered]) -> list[str]:
    """Resources that can have tags and get none: by another provider than the one that tags all, or where that lacks a tag of costs."""
    tagging = {
        each.name
        for each in resources
        if each.typ == "pulumi:providers:aws" and set(json.loads(each.inputs.get("defaultTags", '{"tags": {}}'))["tags"]) >= COST_TAGS
    }
    return [f"{each.typ} {each.name}" for each in resources if each.provider not in tagging and _has_tags(each.typ)]


def unprotected(resources: Sequence[Registered]) -> list[str]:
    """What holds data, and can be deleted by mistake."""
    violations = []
    for each in resources:
        for key, value in STATEFUL.get(each.typ, {}).items():
            if each.inputs.get(key) != value:
                violations.append(f"{each.name}: {key} is {each.inputs.get(key)}")
        if each.typ in STATEFUL and not each.is_protected:
            violations.append(f"{each.name}: not protected")
    return violations


def plain_secrets(resources: Iterable[Registered]) -> list[str]:
    """Inputs that would put a secret into the state as it is."""
    return [
        f"{each.name}: {path}"
        for each in resources
        for path, value in _leaves(each.inputs)
        if isinstance(value, str)
        and (SECRET_VALUE.search(value) or (SECRET_KEY.search(path.rpartition(".")[2]) and not NAMES_ONLY.search(path.rpartition(".")[2])))
    ]


def outside_components(resources: Iterable[Registered]) -> list[str]:
    """Resources that hang on nothing, but for components themselves and providers."""
    return [
        f"{each.typ} {each.name}" for each in resources if not each.parent and not each.typ.startswith(("mldelivery:", "pulumi:providers:"))
    ]


def documents(resources: Iterable[Registered]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every policy document that is declared, with its resource's name."""
    for each in resources:
        for key in POLICIES:
            text = each.inputs.get(key)
            if each.typ.startswith("aws:") and isinstance(text, str) and '"Statement"' in text:
                yield f"{each.typ.rpartition(':')[2]} {each.name}", json.loads(text)


def too_wide(where: str, document: Mapping[str, Any]) -> list[str]:
    """Rights on everything that are neither reads nor bound by a condition, and trust in strangers."""
    violations = []
    for statement in document["Statement"]:
        if statement["Effect"] != "Allow":
            continue
        actions, name = statement["Action"], statement.get("Sid", "trust")
        if "*" in statement.get("Resource", []) and "Principal" not in statement:
            bound = bool(statement.get("Condition")) or all(READS.match(action) for action in actions)
            violations += [] if bound else [f"{where} {name}: {', '.join(actions)} on everything, without a condition"]
        principal = statement.get("Principal") or {}
        if principal == "*" or "*" in str(principal):
            violations.append(f"{where} {name}: allows everybody")
        if "Federated" in principal and ":sub" not in json.dumps(statement.get("Condition", {})):
            violations.append(f"{where} {name}: trusts every subject of {principal['Federated']}")
        if "*" in actions:
            violations.append(f"{where} {name}: allows every action")
    return violations


def unreasoned(where: str, document: Mapping[str, Any], known: Sequence[Statement]) -> list[str]:
    """Statements that no ``Statement`` with a reason stands behind. A role's trust says its reason by whom it names."""
    reasons = {json.dumps(each.document(), sort_keys=True): each.why for each in known}
    return [
        f"{where} {statement.get('Sid')}: no reason"
        for statement in document["Statement"]
        if "Sid" in statement and len(reasons.get(json.dumps(statement, sort_keys=True), "")) < 10
    ]


def _has_tags(typ: str) -> bool:
    package, _, name = typ.partition(":")
    if package != "aws":
        return False
    module = importlib.import_module(f"pulumi_aws.{name.partition('/')[0]}")
    return "tags" in inspect.signature(getattr(module, typ.rpartition(":")[2])._internal_init).parameters


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path)
    else:
        yield path, value
