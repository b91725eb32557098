"""The namespace's NetworkPolicies, enforced: who reaches a server, and what a server reaches."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest

from infra.kubernetes.security import CONTAINER_SECURITY, POD_SECURITY
from tests.clustered import CLUSTER, NODE, ClusterStack
from tests.laptop import FAST, wait_until
from tests.reach import reaches
from toolchain.cluster import API, DNS_SERVICE, REGISTRY
from toolchain.cluster.node import Node

pytestmark = pytest.mark.timeout(900)

Kubectl = Callable[..., str]


@pytest.fixture
def server(town: ClusterStack) -> tuple[str, str]:
    """Name and address of the pod that serves release 1."""
    town.champion(1, rollout=FAST)
    town.up()
    (pod,) = (pod for pod in town.objects("pods", "--selector=mldelivery/release=1") if "deletionTimestamp" not in pod["metadata"])
    return pod["metadata"]["name"], pod["status"]["podIP"]


def idle_pod(name: str, image: str, labels: dict[str, str]) -> str:
    container = {
        "name": "idle",
        "image": image,
        "command": ["python", "-c", "import time; time.sleep(300)"],
        "securityContext": CONTAINER_SECURITY,
        "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}},
    }
    spec = {"containers": [container], "securityContext": POD_SECURITY, "automountServiceAccountToken": False, "restartPolicy": "Never"}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec})


@pytest.fixture
def stranger(town: ClusterStack) -> Iterator[Kubectl]:
    """A namespace of its own, without policies, as any other team's may be."""
    namespace = f"stranger-{secrets.token_hex(4)}"

    def kubectl(*arguments: str, text: str | None = None) -> str:
        command = ["kubectl", f"--kubeconfig={CLUSTER / 'kubeconfig'}", f"--namespace={namespace}", *arguments]
        done = subprocess.run(command, env=town.environment, input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    kubectl("create", "namespace", namespace)
    yield kubectl
    kubectl("delete", "namespace", namespace, "--wait=false")


def test_a_server_reaches_nothing(town: ClusterStack, server: tuple[str, str]) -> None:
    name, own = server
    service = next(each for each in town.objects("services") if each["metadata"]["name"] == "iris-stable")["spec"]["clusterIP"]
    targets = {(NODE, API), (NODE, REGISTRY), (DNS_SERVICE, 53), (service, 80)}
    assert {target for target in targets if reaches(town.kubectl, name, "server", *target)} == set()
    # What it says to itself leaves no pod: the question is one that can be answered with yes.
    assert reaches(town.kubectl, name, "server", own, 3000)


def test_only_the_gateway_and_the_rollouts_own_jobs_reach_a_server(
    town: ClusterStack, server: tuple[str, str], stranger: Kubectl, cluster: Node
) -> None:
    name, address = server
    image = next(pod for pod in town.objects("pods") if pod["metadata"]["name"] == name)["spec"]["containers"][0]["image"]
    stranger("apply", "--filename=-", text=idle_pod("stranger", image, {}))
    # The same pod with the label of another namespace's Jobs: a label is not enough.
    stranger("apply", "--filename=-", text=idle_pod("disguised", image, {"mldelivery/job": "replay"}))
    town.kubectl("run", "guest", f"--image={image}", f"--overrides={idle_pod('guest', image, {})}")
    town.kubectl("run", "replay", f"--image={image}", f"--overrides={idle_pod('replay', image, {'mldelivery/job': 'replay'})}")
    try:
        stranger("wait", "pod/stranger", "pod/disguised", "--for=condition=Ready", "--timeout=120s")
        town.kubectl("wait", "pod/guest", "pod/replay", "--for=condition=Ready", "--timeout=120s")
        # Who enforces the policies learns of a new pod some time after it is ready.
        wait_until(lambda: reaches(town.kubectl, "replay", "idle", address, 3000), what="the Job's pod reaches the server")
        assert not reaches(stranger, "stranger", "idle", address, 3000)
        assert not reaches(stranger, "disguised", "idle", address, 3000)
        assert not reaches(town.kubectl, "guest", "idle", address, 3000)
        with pytest.raises(OSError):
            socket.create_connection((address, 3000), timeout=2)
        # The gateway runs on the node itself.
        cluster.run("bash", "-c", f"echo > /dev/tcp/{address}/3000")
    finally:
        town.kubectl("delete", "pod", "guest", "replay", "--grace-period=0", "--force")
