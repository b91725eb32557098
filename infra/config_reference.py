"""``python -m infra.config_reference``: writes what docs/ says of a stack's config from the types themselves.

Two files: ``docs/how-to/config.md`` for people, ``docs/stack.schema.json`` for editors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from infra.aws_config import (
    AccessConfig,
    AwsConfig,
    AwsGatewayConfig,
    BudgetConfig,
    ClusterConfig,
    DatabaseConfig,
    ExistingNetworkConfig,
    NetworkConfig,
    NodeGroupConfig,
    RegistryConfig,
    StorageConfig,
)
from infra.config import (
    PROJECT,
    ArtifactsConfig,
    AutoscaleConfig,
    ChallengerConfig,
    ClusterGatewayConfig,
    KubernetesConfig,
    ModelConfig,
    PortsConfig,
    ResourcesConfig,
    RolloutConfig,
    SloConfig,
    StackConfig,
    TrackingConfig,
    TrackingDatabaseConfig,
    json_schema,
)

DOCS = Path(__file__).parents[1] / "docs"

SECTIONS = (
    ("The stack", f"{PROJECT}:", StackConfig),
    ("A model", f"{PROJECT}:models.<name>.", ModelConfig),
    ("Its rollout", f"{PROJECT}:models.<name>.rollout.", RolloutConfig),
    ("Its objectives", f"{PROJECT}:models.<name>.slo.", SloConfig),
    ("A challenger beside it", f"{PROJECT}:models.<name>.challenger.", ChallengerConfig),
    ("What its pods may use", f"{PROJECT}:models.<name>.resources.", ResourcesConfig),
    ("How many pods a cluster may add", f"{PROJECT}:models.<name>.autoscale.", AutoscaleConfig),
    ("Ports of the local target", f"{PROJECT}:ports.", PortsConfig),
    ("The cluster of the target kubernetes", f"{PROJECT}:kubernetes.", KubernetesConfig),
    ("The gateway of that cluster", f"{PROJECT}:kubernetes.gateway.", ClusterGatewayConfig),
    ("MLflow's server in that cluster", f"{PROJECT}:kubernetes.tracking.", TrackingConfig),
    ("Its database", f"{PROJECT}:kubernetes.tracking.database.", TrackingDatabaseConfig),
    ("Its artifacts", f"{PROJECT}:kubernetes.tracking.artifacts.", ArtifactsConfig),
    ("An environment on AWS", f"{PROJECT}:aws.", AwsConfig),
    ("Its network", f"{PROJECT}:aws.network.", NetworkConfig),
    ("A network that exists already", f"{PROJECT}:aws.network.existing.", ExistingNetworkConfig),
    ("Its cluster", f"{PROJECT}:aws.cluster.", ClusterConfig),
    ("Its nodes, without Auto Mode", f"{PROJECT}:aws.cluster.node-group.", NodeGroupConfig),
    ("Its database", f"{PROJECT}:aws.database.", DatabaseConfig),
    ("Its buckets", f"{PROJECT}:aws.storage.", StorageConfig),
    ("Its image registry", f"{PROJECT}:aws.registry.", RegistryConfig),
    ("Its way in for users", f"{PROJECT}:aws.gateway.", AwsGatewayConfig),
    ("Its access from GitHub", f"{PROJECT}:aws.access.", AccessConfig),
    ("Its budget", f"{PROJECT}:aws.budget.", BudgetConfig),
)

INTRODUCTION = """\
# The config of a stack: every key

`Pulumi.<stack>.yaml` says how big a stack is and which release of each model serves. It is read once, before anything is planned. An
unknown key, a wrong type, a value out of its bounds, a key that stands twice and a YAML alias are refused; the message names the file, the
key, the value and what is allowed. Editors complete and check the same keys by `docs/stack.schema.json`.

This page is written by `python -m infra.config_reference` from the types in `infra/config.py`; a test keeps it current.

```yaml
config:
  mldelivery:target: local
  mldelivery:models:
    iris:
      champion: 2
      challenger: {release: 3, share: 10}
      rollout: {steps: [10, 50], step-seconds: 5, bake-seconds: 5}
      slo: {error-rate: 0.01, p99-ms: 250}
```
"""

RULES = """\
## Rules over more than one key

- `steps` ascend, and 100 follows by itself. `blue-green` takes no notice of them: all traffic moves after the golden replay, and the bake
  watches it.
- A challenger needs a champion beside it, another release than the champion's, and either `share` or `shadow: true`.
- The gateway's, the dashboard's and MLflow's port differ from each other and from the 900 ports that begin at `servers`.
- `cpu-limit-millis` is at least `cpu-millis`, and `autoscale.maximum` at least `replicas`.
- The target `kubernetes` needs a section `kubernetes`. The target `eks` needs a section `aws`, and no other target has one. What its
  section `kubernetes` does not say comes from what the stack makes; with `aws.cluster.compute: elsewhere` it says all of it.
- Networks that may reach a cluster's API are never everybody. Without a NAT gateway the endpoints are `all`.
- A network that exists is given in one way: ids, another stack, or a Terraform state.
- MLflow's server has another namespace than the stack. `ssl-mode: verify-full` needs a `ca-config-map`, and no other mode has one.
- A model's name is lower case letters, digits and dashes, 39 at most: it is part of an address.
- `champion: none` takes the model's route and servers away.
"""


def markdown() -> str:
    """The page for people: one table for each section of the config."""
    tables = [
        f"## {title}\n\nKeys begin with `{prefix}`.\n\n| key | value | default | meaning |\n|---|---|---|---|\n"
        + "".join(_row(name, field, section) for name, field in section.model_json_schema(by_alias=True)["properties"].items())
        for title, prefix, section in SECTIONS
    ]
    return "\n".join([INTRODUCTION, *tables, RULES])


def _row(name: str, field: dict[str, Any], section: Any) -> str:
    required = name in section.model_json_schema(by_alias=True).get("required", [])
    default = "required" if required else _default(field)
    return f"| `{name}` | {_value(name, field)} | {default} | {_meaning(field)} |\n"


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if value is None:
        return "none"
    return "its own defaults" if isinstance(value, dict) else f"`{json.dumps(value)}`"


def _value(name: str, field: dict[str, Any]) -> str:
    if name == "champion":
        return "a release's number, or `none`"
    if _section(field):
        return "a section, below"
    if name == "models":
        return f"a section for each model, {field['maxProperties']} at most"
    if "anyOf" in field:
        field = next(option for option in field["anyOf"] if option["type"] != "null")
    if "enum" in field:
        return " or ".join(f"`{choice}`" for choice in field["enum"])
    if field["type"] == "array":
        return f"up to {field['maxItems']} of: {_value('', field['items'])}"
    words = {"integer": "whole number", "number": "number", "boolean": "`true` or `false`", "string": "text"}[field["type"]]
    bounds = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below", "maximum": "to"}
    return " ".join([words, *(f"{word} {field[bound]:,}" for bound, word in bounds.items() if bound in field)])


def _meaning(field: dict[str, Any]) -> str:
    return str(field.get("description") or _SECTIONS[_section(field)].__doc__).strip()


_SECTIONS: dict[str, Any] = {section.__name__: section for _, _, section in SECTIONS}


def _section(field: dict[str, Any]) -> str:
    """Name of the section that a key holds, or an empty text."""
    options = [field, *field.get("anyOf", [])]
    return next((str(option["$ref"]).rsplit("/", 1)[-1] for option in options if "$ref" in option), "")


def main() -> None:
    """Write both files."""
    (DOCS / "how-to").mkdir(parents=True, exist_ok=True)
    (DOCS / "how-to" / "config.md").write_text(markdown(), encoding="utf-8")
    (DOCS / "stack.schema.json").write_text(json.dumps(json_schema(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
