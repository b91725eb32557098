"""checkov, kube-score and parliament over what the engine previews: dev and prod are clean, and each tool finds its bad example.

The engine previews against the stand-ins, with no account, plugin, cluster or network; the tools are the real ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.release import write
from policy.scan import __main__ as command
from policy.scan import waived
from tests.laptop import Laptop
from tests.unit.infra.test_release import document
from toolchain import ROOT, scanners

pytestmark = pytest.mark.timeout(600)

DIGEST = "sha256:" + "c" * 64
POD = {
    "securityContext": {"runAsUser": 10001, "runAsGroup": 10001, "runAsNonRoot": True},
    "containers": [{"name": "server", "image": f"registry.test/iris@{DIGEST}", "securityContext": {"readOnlyRootFilesystem": True}}],
}
LABELS = {"app": "bad"}
# Each says in its name which tool must find which rule there.
BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "public": (
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        {
            "bucket": "public",
            "blockPublicAcls": False,
            "blockPublicPolicy": True,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        },
    ),
    "limitless": (
        "kubernetes:argoproj.io/v1alpha1:Rollout",
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "limitless", "namespace": "test"},
            "spec": {"selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}, "spec": POD}},
        },
    ),
    "unheard-of": (
        "aws:iam/role:Role",
        {
            "name": "unheard-of",
            "assumeRolePolicy": json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"},
                        {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AsumeRole"},
                    ],
                }
            ),
        },
    ),
}


@pytest.fixture(scope="module")
def tools() -> list[str]:
    """The tools, as the command is told where they are."""
    found = scanners.prepare(ROOT)
    return ["--python", str(found.python), "--kube-score", str(found.kube_score)]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A copy of the checkout with records of two releases, and nothing running."""
    made = Laptop.make(tmp_path_factory.mktemp("scan"))
    for number in (1, 2):
        write(made.store, document(made.store, number, image=f"iris@sha256:{'a' * 64}"))
    yield made
    made.destroy()


def clean(out: str) -> tuple[int, ...]:
    """How many resources, policy documents and manifests a scan without findings was of."""
    seen = re.search(r"(\d+) resources of AWS and (\d+) policy documents, (\d+) manifests: 0 found, \d+ waived with a reason$", out.strip())
    assert seen is not None and "which only an update knows" not in out, out
    return tuple(int(number) for number in seen.groups())


def test_prod_is_clean_without_account_plugin_or_network(copy: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}.items():
        monkeypatch.setitem(copy.environment, name, value)
    out = copy.ok("scan", "--stack", "prod")
    resources, documents, _ = clean(out)
    assert resources > 100 and documents > 20


def test_dev_is_clean_with_a_champion_a_challenger_and_mlflow_in_it(copy: Laptop) -> None:
    file = copy.root / "Pulumi.dev.yaml"
    text = file.read_text(encoding="utf-8")
    stack = yaml.safe_load(text)
    config = stack["config"]
    config["mldelivery:releases"] = "machine"
    config["mldelivery:models"]["iris"] = {"champion": 1, "challenger": {"release": 2, "share": 10}, "autoscale": {"maximum": 3}}
    config["mldelivery:kubernetes"] = {
        "tracking": {
            "url": "https://models.dev.example.com/mlflow",
            "image": f"mlflow@{DIGEST}",
            "database": {"host": "database.test", "secret": "mlflow-database", "ca-config-map": "mlflow-database-ca"},
            "artifacts": {"bucket": "mldelivery-dev-artifacts"},
        }
    }
    file.write_text(yaml.safe_dump(stack), encoding="utf-8")
    try:
        out = copy.ok("scan", "--stack", "dev")
    finally:
        file.write_text(text, encoding="utf-8")
    resources, documents, manifests = clean(out)
    assert resources > 100 and documents > 20 and manifests > 30


def test_a_laptop_s_stack_is_refused_in_words(copy: Laptop) -> None:
    out = copy.refused("scan", "--stack", "local")
    assert (
        "Pulumi.local.yaml: mldelivery:target: a laptop's stack has nothing that scanners read" in out and "allowed: eks, kubernetes" in out
    )


def test_each_tool_finds_its_example_and_a_waiver_without_use_is_refused(
    tools: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [
        {
            "newState": {
                "urn": f"urn:pulumi:prod::test::{type_}::{name}",
                "custom": True,
                "type": type_,
                "inputs": inputs,
                "sourcePosition": "project:///infra/bad.py#7",
            }
        }
        for name, (type_, inputs) in BAD.items()
    ]
    preview = tmp_path / "preview.json"
    preview.write_text(json.dumps({"steps": steps}), encoding="utf-8")
    waivers = tmp_path / "waivers.yaml"
    reasons = "  reason: It is an example of what may not be.\n"
    waivers.write_text(
        f"- rule: container-image-pull-policy\n  name: limitless\n{reasons}- rule: CKV_AWS_54\n  name: public\n{reasons}", encoding="utf-8"
    )
    monkeypatch.setattr(waived, "FILE", waivers)
    code = command.main(["--stack", "prod", *tools, str(preview)])
    out = capsys.readouterr().out
    assert code == 1
    assert (
        "CKV_AWS_53: public (aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock): Ensure S3 bucket has block public ACLS enabled" in out
    )
    assert "CKV_K8S_13: limitless (kubernetes:argoproj.io/v1alpha1:Rollout): Memory limits should be set" in out
    assert "container-resources: limitless (kubernetes:argoproj.io/v1alpha1:Rollout): CPU limit is not set" in out
    assert "UNKNOWN_ACTION: unheard-of (aws:iam/role:Role): Unknown action\n  at:      assumeRolePolicy: Statement[1]" in out
    assert "by:      checkov" in out and "by:      kube-score" in out and "by:      parliament" in out
    assert "do:      mend infra/bad.py:7, or waive it with a reason in policy/scan/waivers.yaml" in out
    # What is right is not found, nor what is waived; a waiver that covers nothing is.
    assert "Statement[0]" not in out and "CKV_AWS_56" not in out and "container-image-pull-policy" not in out
    assert "policy/scan/waivers.yaml: waiver 2 (CKV_AWS_54) matches nothing in prod; do: take it out" in out
