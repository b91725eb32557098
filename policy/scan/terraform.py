"""Resources of AWS as Terraform's own plan would show them, for tools that read such plans.

Pulumi's provider is made from Terraform's by rule: names are in camelCase instead of snake_case, and a list has a plural name. The rule is
undone here; what it can't tell stands in the tables below.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from policy.resource import UNKNOWN, Resource

# Modules of Pulumi's whose name is not the beginning of Terraform's types.
_BEGINNINGS = {"ec2": "", "rds": "db_", "vpc": "vpc_"}
# Words that Terraform writes otherwise, in types and in properties.
_SPELLED = {"open_id_connect": "openid_connect", "client_id_lists": "client_id_list", "thumbprint_lists": "thumbprint_list"}
# Lists of objects whose name is a plural in Terraform, too. Any other is a block, and its name is a singular.
_PLURALS = frozenset({"block_device_mappings", "network_interfaces", "node_repair_config_overrides", "tag_specifications"})
# Maps whose keys are the program's own.
_FREE = frozenset({"tags", "tags_all"})


def type_of(token: str) -> str:
    """Terraform's name of a type such as ``aws:s3/bucketPolicy:BucketPolicy``."""
    _, module, name = token.split(":")
    module = module.partition("/")[0]
    return f"aws_{_BEGINNINGS.get(module, f'{module}_')}{snake(name)}"


def snake(name: str) -> str:
    """``kmsKeyId`` as ``kms_key_id``."""
    found = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
    for ours, theirs in _SPELLED.items():
        found = found.replace(ours, theirs)
    return found


def address(resource: Resource) -> str:
    """How Terraform would name a resource: its type, a dot, its name."""
    return f"{type_of(resource.type)}.{_name(resource)}"


def plan(resources: Sequence[Resource]) -> dict[str, Any]:
    """A plan in JSON, format 1.2, that makes all of them. What only an update knows is left out and listed, as in Terraform's."""
    by_urn = {resource.urn: resource for resource in resources}
    addresses = [address(resource) for resource in resources]
    twice = sorted({each for each in addresses if addresses.count(each) > 1})
    if twice:
        raise ValueError(f"two resources have the address {twice[0]}")
    planned, changes, configured = [], [], []
    for resource in resources:
        known, unknown, expressions = _split(resource, by_urn)
        head = {"address": address(resource), "mode": "managed", "type": type_of(resource.type), "name": _name(resource)}
        planned.append({**head, "values": known})
        changes.append({**head, "change": {"actions": ["create"], "before": None, "after": known, "after_unknown": unknown}})
        configured.append({**head, "provider_config_key": "aws", "expressions": expressions})
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": planned}},
        "resource_changes": changes,
        "configuration": {"provider_config": {"aws": {"name": "aws"}}, "root_module": {"resources": configured}},
    }


def _name(resource: Resource) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", resource.name)


def _split(resource: Resource, by_urn: Mapping[str, Resource]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What is known, what is not, and what the resource's properties refer to."""
    known: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    expressions: dict[str, Any] = {}
    for key, value in resource.props.items():
        name = _property(key, value)
        found = [address(by_urn[urn]) for urn in resource.sources.get(key, ()) if urn in by_urn]
        if value is not UNKNOWN:
            known[name] = _known(value, is_free=name in _FREE)
        if (left := _unknown(value)) is not None:
            unknown[name] = left
        if found:
            expressions[name] = _expression(name, value, found)
    return known, unknown, expressions


def _property(key: str, value: Any) -> str:
    name = snake(key)
    is_block = isinstance(value, list) and any(isinstance(each, Mapping) for each in value)
    return _singular(name) if is_block and name not in _PLURALS else name


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return f"{name[:-3]}y"
    if name.endswith("sses"):
        return name[:-2]
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def _known(value: Any, *, is_free: bool = False) -> Any:
    """A value without what is not known. An object is a block, a list of one, but for a map with keys of the program's own."""
    if value is UNKNOWN:
        return None
    if isinstance(value, Mapping):
        if is_free:
            return dict(value)
        return [{_property(key, each): _known(each) for key, each in value.items() if each is not UNKNOWN}]
    if isinstance(value, list):
        return [found[0] if isinstance(each, Mapping) else found for each in value for found in [_known(each)]]
    return value


def _unknown(value: Any) -> Any:
    """Terraform's ``after_unknown``: true for what is not known, in the same places; None where all is known."""
    if value is UNKNOWN:
        return True
    if isinstance(value, Mapping):
        found = {_property(key, each): left for key, each in value.items() if (left := _unknown(each)) is not None}
        return [found] if found else None
    if isinstance(value, list):
        parts = [_unknown(each) for each in value]
        if all(part is None for part in parts):
            return None
        return [part[0] if isinstance(part, list) else {} if part is None else part for part in parts]
    return None


def _expression(name: str, value: Any, found: Sequence[str]) -> Any:
    """What a property refers to, at the places inside it that are not known."""
    if isinstance(value, Mapping):
        return [{_property(key, each): _expression(snake(key), each, found) for key, each in value.items() if _unknown(each) is not None}]
    if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        return [_expression(name, each, found)[0] for each in value]
    attribute = "arn" if name.endswith("arn") or name == "kms_key_id" else "id"
    return {"references": [part for each in found for part in (f"{each}.{attribute}", each)]}
