"""The policy pack under the real engine: every rule finds its example in one preview, and our own stacks pass.

The providers take whatever they are given: rules look at what a program declares, before anything is made.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import ladder
from infra.release import load, write
from policy import check
from policy.limits import Limits
from tests.any_provider import any_provider
from tests.laptop import Laptop
from tests.unit.infra.test_release import document
from tests.unit.policy.examples import BAD, GOOD, LONE, Props, Ref
from tests.unit.policy.test_rules import resource
from toolchain import ROOT

pytestmark = pytest.mark.timeout(600)

PROGRAM = """
import json, pathlib
import pulumi
made = {}
def known(value):
    if isinstance(value, dict):
        return made[value["$ref"]].id if "$ref" in value else {key: known(each) for key, each in value.items()}
    return [known(each) for each in value] if isinstance(value, list) else value
for name, type_, props in json.loads(pathlib.Path("resources.json").read_text()):
    options = pulumi.ResourceOptions(protect=name != "unprotected")
    made[name] = pulumi.CustomResource(type_, name, known(props), options)
"""
INIT = ["pulumi", "stack", "init", "prod", "--non-interactive"]
PREVIEW = [sys.executable, "-m", "toolchain.policy_pack", "--", "pulumi", "preview", "--stack", "prod", "--non-interactive"]
PREVIEW += ["--event-log", "events.jsonl"]
RESOURCES: dict[str, tuple[str, Props]] = {
    **GOOD,
    **{f"bad-{number}": (GOOD[bad.of][0], bad.props()) for number, bad in enumerate(BAD)},
    **{name: (type_, props) for name, (type_, props, _) in LONE.items()},
    "unprotected": GOOD["key"],
}


def as_json(value: Any) -> Any:
    """Properties as the program reads them."""
    if isinstance(value, Ref):
        return {"$ref": value.name}
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    return [as_json(each) for each in value] if isinstance(value, list) else value


def expected() -> set[tuple[str, str, str]]:
    """What the rules find in the same resources without an engine: resource, rule, level."""
    declared = [resource(name, *each, is_protected=name != "unprotected") for name, each in RESOURCES.items()]
    limits, waived, today = Limits("prod"), check.read_waivers(), datetime.date(2026, 11, 24)
    found = [violation for each in declared for violation in check.of_resource(each, limits, waived, today)]
    found += check.of_stack(declared, limits, waived, today)
    return {(each.resource.name, each.rule.name, "mandatory" if each.is_mandatory else "advisory") for each in found}


def test_every_rule_finds_its_example_through_the_engine(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: try\nruntime: python\n", encoding="utf-8")
    (tmp_path / "__main__.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "resources.json").write_text(json.dumps([(name, *as_json(list(each))) for name, each in RESOURCES.items()]))
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    with any_provider(["aws", "kubernetes", "pulumi-python"]) as attached:
        environment = {
            **kept,
            "PULUMI_DEBUG_PROVIDERS": attached,
            "PULUMI_HOME": str(tmp_path / "home"),
            "PULUMI_BACKEND_URL": f"file://{tmp_path}",
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DEBUG_COMMANDS": "true",
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        for command in (INIT, PREVIEW):
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300)
    events = [json.loads(line).get("policyEvent") for line in (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    found = {
        # The first line of a message is where to read more, the second begins with the rule.
        (event["resourceUrn"].rpartition("::")[2], event["message"].splitlines()[1].split(":")[0], event["enforcementLevel"])
        for event in events
        if event
    }
    assert found == expected(), done.stdout + done.stderr
    assert {rule for _, rule, _ in found} == {rule.name for rule in check.RULES}
    assert done.returncode != 0


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A copy of the checkout with records of two releases, and nothing running."""
    made = Laptop.make(tmp_path_factory.mktemp("policy"))
    for number in (1, 2):
        write(made.store, document(made.store, number, image=f"iris@sha256:{'a' * 64}"))
    yield made
    made.destroy()


def test_the_local_stack_passes(copy: Laptop) -> None:
    out = copy.ok("preview", "--policy", "--stack", "local")
    assert "Policy Packs run:" in out and "::route-iris]" in out
    assert "Policy Packs run:" not in copy.ok("preview", "--stack", "local")
    assert not copy.remaining()


def test_a_finding_ends_the_preview_with_its_words(copy: Laptop) -> None:
    file = copy.root / "policy" / "limits.py"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"staging": 50', '"staging": 50, "local": 10'), encoding="utf-8")
    try:
        out = copy.refused("preview", "--policy", "--stack", "local")
    finally:
        file.write_text(text, encoding="utf-8")
    assert "the preview of local failed: what no stack may do (docs/how-to/policy.md), 1 found" in out
    assert "first-step: route-iris (pulumi-python:dynamic/mldelivery:Route): the first step of a canary of local is too large" in out
    assert "got:     20 %" in out and "allowed: at most 10 %" in out


def test_the_cluster_stack_passes(copy: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    file = copy.root / "Pulumi.cluster.yaml"
    stack = yaml.safe_load(file.read_text(encoding="utf-8"))
    cluster = stack["config"]["mldelivery:kubernetes"]
    del cluster["public-key"]
    cluster["tracking"]["image"] = f"registry.test/mlflow@sha256:{'c' * 64}"
    stack["config"]["mldelivery:models"]["iris"] |= {"challenger": {"release": 2, "share": 10}, "autoscale": {"maximum": 3}}
    file.write_text(yaml.safe_dump(stack), encoding="utf-8")
    with any_provider(["kubernetes", "pulumi-python"]) as attached:
        monkeypatch.setitem(copy.environment, "PULUMI_DEBUG_PROVIDERS", attached)
        out = copy.ok("preview", "--policy", "--stack", "cluster")
    assert "Policy Packs run:" in out and "[advisory]" not in out
    for name in ("iris-rollout", "iris-challenger-rollout", "mlflow-deployment"):
        assert f"::{name}]" in out


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_the_environments_on_aws_pass_with_a_model_before_their_cluster_is_made(copy: Laptop, stack: str) -> None:
    file = copy.root / f"Pulumi.{stack}.yaml"
    text = file.read_text(encoding="utf-8")
    configured = yaml.safe_load(text)
    configured["config"]["mldelivery:releases"] = "machine"
    configured["config"]["mldelivery:models"]["iris"]["champion"] = 1
    if (lower := ladder.below(stack)) is not None:
        ladder.write(copy.store, load(copy.store, "iris", 1), lower, since="2026-11-24T12:00:00Z", baked=True)
    file.write_text(yaml.safe_dump(configured), encoding="utf-8")
    try:
        out = copy.ok("preview", "--stack", stack, "--offline")
    finally:
        file.write_text(text, encoding="utf-8")
    assert "Policy Packs run:" in out and "aws:eks/cluster:Cluster" in out and "::iris-rollout]" in out
    assert "[advisory]" not in out
