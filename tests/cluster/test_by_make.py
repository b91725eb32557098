"""README's commands for a cluster, as a person types them, in a copy of the checkout."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from infra.release import load, record_path
from tests.clustered import NODE, ClusterStack, cluster_runs
from tests.laptop import ROOT, lend_environment, wait_until
from toolchain.cluster.node import Node

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def lent(town: ClusterStack) -> Iterator[ClusterStack]:
    """The stack's copy with an environment, so that `make` finds it set up."""
    lend_environment(town.root)
    yield town
    subprocess.run(["rm", "-r", ".venv"], cwd=town.root, check=True)


def make(stack: ClusterStack, *arguments: str) -> str:
    done = subprocess.run(
        ["make", *arguments],
        cwd=stack.root,
        env=stack.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_make_cluster_again_changes_nothing(cluster: Node) -> None:
    # For the supervisor a program still starts in its first second, ready or not.
    wait_until(cluster_runs(cluster), what="all parts run")
    before = cluster.programs()
    done = subprocess.run(["make", "cluster"], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0 and "make up STACK=cluster" in done.stdout, done.stderr
    assert cluster.programs() == before


def test_up_says_where_and_its_request_is_answered(lent: ClusterStack) -> None:
    out = make(lent, "up", "STACK=cluster")
    assert "unchanged" in out
    found = re.search(r"^  (curl .*)$", out, re.MULTILINE)
    assert found, out
    resolve = f"--resolve {lent.host}:8443:{NODE}"
    asked = subprocess.run(
        ["sh", "-c", found[1].replace("curl", f"curl {resolve}")], cwd=lent.root, text=True, capture_output=True, check=False
    )
    assert "HTTP/2 200" in asked.stdout and "x-release: 1" in asked.stdout, asked.stdout + asked.stderr


def test_the_first_up_gave_the_release_that_the_laptop_made_an_image_beside_its_record(town: ClusterStack) -> None:
    told = r"^iris 1 was made without an image: making one from its Bento, [0-9a-f]{12}, signed anew \(\d+\.\d s\)$"
    assert re.search(told, town.said, re.MULTILINE), town.said
    assert "\nimage: null\n" in record_path(town.store, "iris", 1).read_text(encoding="utf-8")
    name = load(town.store, "iris", 1).image
    pods = town.objects("pods", "--selector=mldelivery/release=1")
    assert name and {pod["spec"]["containers"][0]["image"].rpartition("/")[2] for pod in pods} == {name}


def test_the_preview_shows_the_same_evidence_as_on_a_laptop(lent: ClusterStack) -> None:
    lent.champion(2)
    out = make(lent, "preview", "STACK=cluster")
    lent.champion(1)
    assert "~ champion: 1 => 2" in out
    assert re.search(r'~ why +: "first release.*" => "new data', out), out
    assert "canary: golden replay -> 20 % for 0.6 s" in out


def test_a_release_with_its_image_is_not_made_twice(lent: ClusterStack) -> None:
    assert "nothing changed since release 2" in make(lent, "release", "MODEL=iris", "STACK=cluster")


def test_promote_status_logs_and_back(lent: ClusterStack) -> None:
    out = make(lent, "promote", "MODEL=iris", "RELEASE=2", "STACK=cluster")
    assert "iris: 1 -> 2 | 4/4 bake at 100 % | pass" in out and "2 answers everything; 1 retires" in out
    last = r"^iris: 2 serves on cluster after \d+ s\. To go back: make promote MODEL=iris RELEASE=1 STACK=cluster$"
    assert re.search(last, out, re.MULTILINE), out
    status = make(lent, "status", "STACK=cluster")
    assert re.search(r"^iris +2 .* 2 100 % +ready", status, re.MULTILINE), status
    assert "is ready on http://" in make(lent, "logs", "STACK=cluster", "MODEL=iris")
    out = make(lent, "promote", "MODEL=iris", "RELEASE=1", "STACK=cluster")
    assert "iris: 2 -> 1 | 2/2 switch to 100 % | pass: proven before" in out
    lent.has_no_changes()
