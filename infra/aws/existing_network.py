"""A network that somebody else owns, as the outputs that an environment needs of it. Nothing here changes anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from infra.aws_config import ExistingNetworkConfig
from infra.errors import ConfigError

MAX_STATE_BYTES = 100_000_000


@dataclass(frozen=True, kw_only=True)
class ExistingNetwork:
    """The same two outputs that ``Network`` has."""

    vpc_id: pulumi.Output[str]
    private_subnet_ids: pulumi.Output[Sequence[str]]


def existing_network(config: ExistingNetworkConfig, *, root: Path, where: str, opts: pulumi.InvokeOptions | None = None) -> ExistingNetwork:
    """Read the ids from wherever config says. ``where`` leads every message; ``root`` is the repository's.

    Raises ConfigError for a Terraform state that can't be read or lacks an output, at preview where the state is a local file.
    """
    if config.vpc_id is not None:
        return ExistingNetwork(
            vpc_id=pulumi.Output.from_input(config.vpc_id),
            private_subnet_ids=pulumi.Output.from_input(list(config.private_subnet_ids)),
        )
    if config.stack is not None:
        other = pulumi.StackReference(config.stack)
        return ExistingNetwork(
            vpc_id=other.require_output(config.vpc_output), private_subnet_ids=other.require_output(config.subnets_output)
        )
    state = config.terraform_state or ""
    if state.startswith("s3://"):
        from pulumi_aws import s3

        bucket, _, key = state.removeprefix("s3://").partition("/")
        text = s3.get_object_output(bucket=bucket, key=key, download_body="true", opts=opts).body
        found = text.apply(lambda body: terraform_outputs(body, config, state=state, where=where))
        return ExistingNetwork(vpc_id=found.apply(lambda both: both[0]), private_subnet_ids=found.apply(lambda both: both[1]))
    vpc_id, subnet_ids = terraform_outputs(_read(root / state, where, state), config, state=state, where=where)
    return ExistingNetwork(vpc_id=pulumi.Output.from_input(vpc_id), private_subnet_ids=pulumi.Output.from_input(subnet_ids))


def terraform_outputs(text: str, config: ExistingNetworkConfig, *, state: str, where: str) -> tuple[str, list[str]]:
    """The VPC's id and its private subnets' ids, from a Terraform state's text (version 4). No other value of it is looked at."""
    try:
        document = json.loads(text)
        version, outputs = document["version"], document["outputs"]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            "is not a Terraform state",
            where=where,
            got=state,
            allowed="a state as `terraform state pull` prints it",
            act="correct the path",
        ) from None
    if version != 4:
        raise ConfigError("is a Terraform state of a version that is not known", where=where, got=version, allowed="4")
    vpc_id = _output(outputs, config.vpc_output, state, where)
    subnet_ids = _output(outputs, config.subnets_output, state, where)
    if not isinstance(vpc_id, str) or not isinstance(subnet_ids, list) or len(subnet_ids) < 2:
        raise ConfigError(
            "has outputs of another kind",
            where=where,
            got={config.vpc_output: vpc_id, config.subnets_output: subnet_ids},
            allowed="an id, and a list of two ids at least",
            act="set 'vpc-output' and 'subnets-output' to the outputs that hold them",
        )
    return vpc_id, [str(each) for each in subnet_ids]


def _output(outputs: dict[str, Any], name: str, state: str, where: str) -> Any:
    if name not in outputs:
        raise ConfigError(
            f"has no output '{name}'",
            where=f"{where} ({state})",
            got=name,
            allowed=", ".join(sorted(outputs)) or "no outputs at all",
            act=f'add `output "{name}" {{ … }}` to the Terraform configuration and apply it, or name another output here',
        )
    return outputs[name]["value"]


def _read(path: Path, where: str, state: str) -> str:
    try:
        if path.stat().st_size > MAX_STATE_BYTES:
            raise ConfigError("is too large for a Terraform state", where=where, got=state, allowed=f"{MAX_STATE_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot be read: {error}",
            where=where,
            got=state,
            allowed="a path from the repository's root, or s3://bucket/key",
            act="correct the path",
        ) from None
