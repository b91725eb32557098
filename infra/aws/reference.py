"""``python -m infra.aws.reference``: writes ``docs/how-to/aws-reference.md`` from what the environments' files and roles say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.aws.costs import TAKEN, monthly
from infra.aws.iam import RoleSpec, Statement
from infra.aws.roles import all_roles, boundary
from infra.aws_config import AwsConfig
from infra.config import StackConfig, load
from infra.errors import ConfigError
from infra.ladder import LADDER

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path("docs") / "how-to" / "aws-reference.md"

INTRODUCTION = """\
# Environments on AWS: how they differ, what they cost, who may do what

Written by `python -m infra.aws.reference` from `Pulumi.dev.yaml`, `Pulumi.staging.yaml`, `Pulumi.prod.yaml` and the code; a test keeps it
current. How to make one: [your first AWS environment](aws.md). Every key: [config](config.md).
"""


def page(root: Path) -> str:
    """The whole page."""
    configs = {stack: load(root, stack) for stack in LADDER}
    environments = {stack: _aws(config, stack) for stack, config in configs.items()}
    return "\n".join([INTRODUCTION, differences(configs), costs(environments), roles(environments[LADDER[0]])])


def differences(configs: Mapping[str, StackConfig]) -> str:
    """Every key in which the environments differ, defaults included; nothing else differs."""
    flat = {stack: dict(_leaves(config.model_dump(by_alias=True, exclude={"kubernetes"}))) for stack, config in configs.items()}
    keys = sorted({key for values in flat.values() for key in values})
    rows = [[f"`{key}`", *(_word(values.get(key)) for values in flat.values())] for key in keys]
    return "## How they differ\n\n" + _table(["key", *flat], [row for row in rows if len(set(row[1:])) > 1])


def costs(environments: Mapping[str, AwsConfig]) -> str:
    """What each costs a month at rest, line by line."""
    bills = {stack: {line.what: line.dollars for line in monthly(aws)} for stack, aws in environments.items()}
    lines = list(dict.fromkeys(what for bill in bills.values() for what in bill))
    rows = [[what, *(_dollars(bill.get(what, 0.0)) for bill in bills.values())] for what in lines]
    rows.append(["**a month at rest**", *(f"**{_dollars(sum(value or 0 for value in bill.values()))}**" for bill in bills.values())])
    rows.append(["its budget's alarm", *(_dollars(aws.budget.monthly_usd) for aws in environments.values())])
    return f"## What they cost a month\n\n{TAKEN}\n\n" + _table(["", *bills], rows)


def roles(aws: AwsConfig) -> str:
    """Every role that an environment can have, in both kinds of cluster, and each of its rights with the reason."""
    with_nodes = aws.model_copy(update={"cluster": aws.cluster.model_copy(update={"compute": "node-groups"})})
    found = {**all_roles(with_nodes), **all_roles(aws)}
    parts = [
        "## Who may do what on AWS",
        f"Roles of `{aws.name}`; those of the other environments differ by name. "
        "`cni` and `ebs-csi` exist with `compute: node-groups` alone, and `deploy` then makes launch templates, too. "
        "Model servers have no role.\n",
        _table(["role", "used by", "why", "AWS's managed policies"], [_summary(name, spec) for name, spec in found.items()]),
    ]
    for name, spec in found.items():
        if spec.rights:
            parts.append(f"### What `{name}` may do\n\n" + _table(["right", "why", "actions", "on", "if"], map(_right, spec.rights)))
    parts.append(
        "### What no role can do\n\nEvery role but `preview` and `deploy` has a boundary: it can never do more than this, whatever its "
        "policies say, and `deploy` can make no role without it.\n\n"
        + _table(["right", "why", "actions", "on", "if"], map(_right, boundary(aws)))
    )
    return "\n".join(parts)


def _summary(name: str, spec: RoleSpec) -> list[str]:
    return [f"`{name}`", spec.used_by, spec.why, ", ".join(f"`{each.rpartition('/')[2]}`" for each in spec.managed) or "none"]


def _right(statement: Statement) -> list[str]:
    resources = ["everything" if each == "*" else f"`{each}`" for each in statement.resources]
    conditions = [f"`{key}`: {_word(value)}" for each in (statement.condition or {}).values() for key, value in each.items()]
    verb = "**never** " if statement.effect == "Deny" else ""
    actions = verb + ", ".join(f"`{each}`" for each in sorted(statement.actions))
    return [statement.sid, statement.why, actions, ", ".join(resources), ", ".join(conditions) or "always"]


def _aws(config: StackConfig, stack: str) -> AwsConfig:
    if config.aws is None:
        raise ConfigError("is no environment on AWS", where=f"Pulumi.{stack}.yaml: mldelivery:target", got=config.target, allowed="eks")
    return config.aws


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _dollars(value: float | None) -> str:
    return "not known here" if value is None else f"${value:,.0f}"


def _table(head: list[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    """Write the page."""
    (ROOT / PAGE).write_text(page(ROOT), encoding="utf-8")


if __name__ == "__main__":
    main()
