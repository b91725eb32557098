"""The cluster that these tests run on: the one of this checkout, brought up where it is not, and then taken down at the end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.clustered import ClusterStack, clustered
from tests.laptop import ROOT
from toolchain.cluster import Place, node
from toolchain.cluster.node import Node


@pytest.fixture(scope="session")
def is_own_cluster() -> bool:
    """Whether these tests bring the cluster up themselves, rather than find one."""
    return node.running(Place()) is None


@pytest.fixture(scope="session")
def cluster(is_own_cluster: bool) -> Iterator[Node]:
    """The running node."""
    done = subprocess.run([sys.executable, "-m", "toolchain.cluster", "up"], cwd=ROOT, check=False)
    assert done.returncode == 0, "the cluster did not come up; its words are above"
    found = node.running(Place())
    assert found is not None
    yield found
    if is_own_cluster:
        subprocess.run([sys.executable, "-m", "toolchain.cluster", "down"], cwd=ROOT, check=True)


@pytest.fixture(scope="session")
def town(cluster: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterStack]:
    """A stack on the cluster that serves iris 1, which a laptop made before there was a cluster; release 2 is made and not served yet."""
    assert cluster.programs()
    with clustered(tmp_path_factory.mktemp("cluster")) as made:
        made.ok("release", "iris", "--first")
        made.said = made.up()
        made.ok("release", "iris", "--stack", made.stack)
        yield made
