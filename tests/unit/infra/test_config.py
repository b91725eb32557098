"""Every mistake in a stack's file is refused with file, key, value, what is allowed and the next act."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from infra.config import json_schema, load, parse
from infra.errors import ConfigError

ROOT = Path(__file__).parents[3]
GOOD: dict[str, Any] = {"target": "local", "models": {"iris": {"champion": 1}}}


def with_model(**changes: Any) -> dict[str, Any]:
    return {"target": "local", "models": {"iris": {"champion": 1, **changes}}}


def write(folder: Path, text: str) -> Path:
    (folder / "Pulumi.local.yaml").write_text(text, encoding="utf-8")
    return folder


def test_defaults_make_a_whole_config() -> None:
    model = parse(GOOD, file="f").models["iris"]
    assert model.champion == 1 and model.replicas == 1
    assert model.policy().steps == (10, 50)


def test_none_is_a_legal_champion() -> None:
    assert parse(with_model(champion="none"), file="f").models["iris"].champion is None


@pytest.mark.parametrize(
    ("values", "key", "words"),
    [
        (with_model(champion="1"), "models.iris.champion", "valid integer"),
        (with_model(champion=True), "models.iris.champion", "valid integer"),
        (with_model(champion=1.5), "models.iris.champion", "valid integer"),
        (with_model(champion=0), "models.iris.champion", "greater than 0"),
        (with_model(champion=-3), "models.iris.champion", "greater than 0"),
        (with_model(champion=None), "models.iris.champion", "say 'none'"),
        (with_model(champoin=2), "models.iris.champoin", "did you mean 'champion'?"),
        (with_model(rollout={"step": [1]}), "models.iris.rollout.step", "did you mean 'steps'?"),
        (with_model(rollout={"steps": [50, 10]}), "models.iris.rollout.steps", "ascend"),
        (with_model(rollout={"steps": [0]}), "models.iris.rollout.steps.0", "greater than 0"),
        (with_model(rollout={"steps": [100]}), "models.iris.rollout.steps.0", "less than 100"),
        (with_model(rollout={"strategy": "big-bang"}), "models.iris.rollout.strategy", "canary"),
        (with_model(rollout={"insufficient": "ignore"}), "models.iris.rollout.insufficient", "probe"),
        (with_model(rollout={"minimum-sample": 0}), "models.iris.rollout.minimum-sample", "at least 1"),
        (with_model(slo={"error-rate": 1.0}), "models.iris.slo.error-rate", "below 1"),
        (with_model(slo={"error-rate": float("nan")}), "models.iris.slo.error-rate", "finite"),
        (with_model(slo={"p99_ms": 3}), "models.iris.slo.p99_ms", "did you mean 'p99-ms'?"),
        (with_model(challenger={"release": 2, "share": 101}), "models.iris.challenger.share", "at most 50"),
        (with_model(challenger={"release": 2}), "models.iris.challenger", "'share'"),
        (with_model(challenger={"release": 2, "share": 5, "shadow": True}), "models.iris.challenger", "either"),
        (with_model(challenger={"release": 1, "share": 5}), "models.iris", "same release"),
        (with_model(champion="none", challenger={"release": 1, "share": 5}), "models.iris", "needs a champion"),
        (with_model(replicas=0), "models.iris.replicas", "at least 1"),
        (with_model(replicas=10_000), "models.iris.replicas", "at most 100"),
        ({"target": "moon", "models": {}}, "target", "local"),
        ({"models": {}}, "target", "is missing"),
        ({"target": "local"}, "models", "is missing"),
        ({"target": "local", "models": {"Iris!": {"champion": 1}}}, "models.Iris!", "pattern"),
        ({"target": "local", "models": {"iris": None}}, "models.iris", "dictionary"),
        ({"target": "local", "models": {"iris": {}}}, "models.iris.champion", "is missing"),
        ({"target": "local", "models": [1]}, "models", "dictionary"),
        ({**GOOD, "modles": {}}, "modles", "did you mean 'models'?"),
        ({**GOOD, "ports": {"gateway": 80}}, "ports.gateway", "at least 1024"),
        ({**GOOD, "ports": {"gateway": 5000}}, "ports", "must differ"),
    ],
)
def test_a_wrong_value_is_refused_in_words(values: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(values, file="Pulumi.local.yaml")
    message = str(refused.value)
    assert message.startswith(f"Pulumi.local.yaml: mldelivery:{key}")
    assert words in message
    assert "do:" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no 'config:' section"),
        ("config:", "has no 'config:' section"),
        ("config: [1]", "has no 'config:' section"),
        ("config:\n  mldelivery:target: local\n  mldelivery:target: eks\n", "stands twice, the second time in line 3"),
        ("config:\n  mldelivery:models:\n    iris: {champion: 1, champion: 2}\n", "stands twice"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nconfig: [*b, *b]\n", "aliases"),
        ("config: {unclosed", "not plain YAML"),
        ("config: !!python/object/apply:os.system ['true']", "not plain YAML"),
        ("config:\n\tmldelivery:target: local", "not plain YAML"),
        ("x" * 1_000_001, "far too large"),
    ],
)
def test_a_file_that_is_no_plain_config_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"Pulumi\.local\.yaml") as refused:
        load(write(tmp_path, text), "local")
    assert words in str(refused.value)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.local.yaml").write_bytes(b"config: \xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, "local")


def test_an_unknown_stack_names_those_that_exist(tmp_path: Path) -> None:
    write(tmp_path, "")
    with pytest.raises(ConfigError, match="no such stack") as refused:
        load(tmp_path, "porduction")
    assert "allowed: local" in str(refused.value)


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_each_committed_stack_fits_its_types_and_the_editors_schema(stack: str) -> None:
    load(ROOT, stack)
    document = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(document, json_schema())


@pytest.mark.parametrize("values", [with_model(champoin=2), with_model(champion=0), with_model(rollout={"strategy": "big-bang"})])
def test_the_editors_schema_refuses_what_the_types_refuse(values: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"config": {f"mldelivery:{key}": value for key, value in values.items()}}, json_schema())


def test_the_committed_schema_is_the_one_of_the_types() -> None:
    committed = json.loads((ROOT / "docs" / "stack.schema.json").read_text(encoding="utf-8"))
    assert committed == json_schema(), "run: python -m infra.config_reference"
