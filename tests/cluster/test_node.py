"""The development cluster itself: pods, names, Services, gateway, Argo Rollouts, Prometheus; parts that are killed."""

from __future__ import annotations

import json
import secrets
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clustered import cluster_runs
from tests.laptop import ROOT
from toolchain.cluster import DNS_SERVICE, GATEWAY, NODE, PROMETHEUS, Place, binaries, static_image
from toolchain.cluster.node import Node

pytestmark = pytest.mark.timeout(900)

IMAGE = "docker.io/local/health:1"
"""CoreDNS, of which only the page /health is used: a server that needs no package."""


class Space:
    """A namespace of a test's own."""

    def __init__(self) -> None:
        self.name = f"node-{secrets.token_hex(4)}"

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        command = ["kubectl", f"--kubeconfig={Place().kubeconfig}", f"--namespace={self.name}", *arguments]
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0 or not check, f"{arguments}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "--server-side", "--filename=-", text="\n---\n".join(yaml.safe_dump(each) for each in objects))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", kind, name, "--output=json")))


@pytest.fixture(scope="module")
def space(cluster: Node) -> Iterator[Space]:
    """A namespace with a Rollout of two pods behind a weighted service of the gateway."""
    archive = Place().folder / "health.tar"
    static_image.write(binaries.prepare() / "coredns", archive, tag=IMAGE)
    cluster.containers("images", "import", str(archive))
    made = Space()
    made.kubectl("create", "namespace", made.name)
    made.apply(*_objects(made.name))
    _wait(lambda: made.get("rollout", "health").get("status", {}).get("phase") == "Healthy", 90, "the Rollout is Healthy")
    yield made
    made.kubectl("delete", "namespace", made.name, "--wait=false")


def test_a_pod_runs_and_the_host_reaches_it(space: Space) -> None:
    pods = json.loads(space.kubectl("get", "pods", "--output=json"))["items"]
    assert len(pods) == 2
    for pod in pods:
        assert _get(f"http://{pod['status']['podIP']}:8080/health") == "OK"


def test_a_service_answers_under_its_address_and_its_name_is_known(space: Space, cluster: Node) -> None:
    address = space.get("service", "health-stable")["spec"]["clusterIP"]
    # The node learns of ready pods some time after the Rollout does, and so does the gateway.
    _wait(lambda: _is(lambda: _get(f"http://{address}:80/health") == "OK"), 60, "the Service answers")
    program = (
        "import socket, struct, sys\n"
        f"name = 'health-stable.{space.name}.svc.cluster.local'\n"
        "question = b''.join(bytes([len(part)]) + part.encode() for part in name.split('.')) + b'\\0' + struct.pack('>HH', 1, 1)\n"
        "asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "asked.settimeout(5)\n"
        f"asked.sendto(struct.pack('>HHHHHH', 7, 256, 1, 0, 0, 0) + question, ('{DNS_SERVICE}', 53))\n"
        "print('.'.join(map(str, asked.recv(512)[-4:])))\n"
    )
    # From inside a pod: in the network namespace of its container.
    pod = json.loads(space.kubectl("get", "pods", "--output=json"))["items"][0]
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    pid = next(line.split()[1] for line in cluster.containers("tasks", "list").splitlines() if line.startswith(container))
    assert cluster.run("nsenter", f"--target={pid}", "--net", "--", sys.executable, "-c", program).strip() == address


def test_the_gateway_answers_over_tls_and_counts_by_service(space: Space) -> None:
    _wait(lambda: _is(lambda: _get(f"https://{NODE}:{GATEWAY}/{space.name}/health") == "OK"), 60, "the gateway answers")
    assert _get(f"https://{NODE}:{GATEWAY}/{space.name}/nothing", expect=404) == "404 page not found\n"
    label = f"{space.name}-health-stable-80@kubernetescrd"
    query = urllib.parse.urlencode({"query": f'sum(traefik_service_requests_total{{service="{label}",code="200"}})'})
    _wait(
        lambda: json.loads(_get(f"http://{NODE}:{PROMETHEUS}/api/v1/query?{query}"))["data"]["result"] != [],
        60,
        f"Prometheus knows {label}",
    )


def test_argo_moves_the_weights_of_the_gateway(space: Space) -> None:
    space.kubectl("patch", "rollout", "health", "--type=merge", "--patch", _PATCH)
    _wait(lambda: _weights(space) == {"health-stable": 75, "health-canary": 25}, 60, "a quarter goes to the canary")
    # Argo Rollouts moves the weights first, and writes down how far it is afterwards; at the end it is the other way round.
    _wait(lambda: space.get("rollout", "health")["status"]["phase"] == "Paused", 60, "the Rollout is paused")
    assert _weights(space) == {"health-stable": 75, "health-canary": 25}
    # What a person does to go on; the definition of the resource has no sub-command for it.
    space.kubectl("patch", "rollout", "health", "--type=merge", "--subresource=status", "--patch", '{"status": {"pauseConditions": null}}')
    _wait(lambda: space.get("rollout", "health")["status"]["phase"] == "Healthy", 60, "the Rollout is Healthy again")
    _wait(lambda: _weights(space) == {"health-stable": 100, "health-canary": 0}, 60, "all goes to the stable pods")


def test_pod_security_restricted_is_enforced(space: Space) -> None:
    space.kubectl("label", "namespace", space.name, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
    try:
        root = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "root"},
            "spec": {"containers": [{"name": "root", "image": IMAGE, "imagePullPolicy": "Never"}]},
        }
        # Asked without making it: for a moment the API server may judge by the namespace as it was before.
        dry = ("apply", "--server-side", "--dry-run=server", "--filename=-")
        _wait(lambda: not _is(lambda: bool(space.kubectl(*dry, text=yaml.safe_dump(root)))), 30, "the pod is refused")
        with pytest.raises(AssertionError, match="violates PodSecurity"):
            space.apply(root)
    finally:
        space.kubectl("label", "namespace", space.name, "pod-security.kubernetes.io/enforce-")


@pytest.mark.parametrize("part", ["apiserver", "rollouts", "gateway", "kubelet", "proxy", "dns"])
def test_a_killed_part_comes_back(space: Space, cluster: Node, part: str) -> None:
    before = cluster.programs()[part][1]
    cluster.kill(part)
    _wait(lambda: cluster.programs()[part][0] == "RUNNING" and cluster.programs()[part][1] != before, 60, f"{part} runs again")
    _wait(lambda: _is(lambda: space.get("rollout", "health")["status"]["phase"] == "Healthy"), 60, "the API answers")
    _wait(lambda: _is(lambda: _get(f"https://{NODE}:{GATEWAY}/{space.name}/health") == "OK"), 60, "the gateway answers")


def test_up_again_changes_nothing_in_seconds(cluster: Node) -> None:
    began = time.monotonic()
    out = _cluster("up")
    assert "the cluster is up" in out and f"https://{NODE}:{GATEWAY}" in out
    assert time.monotonic() - began < 20
    _wait(cluster_runs(cluster), 60, "all parts run")


def test_a_second_checkouts_cluster_is_refused(cluster: Node, tmp_path: Path) -> None:
    (tmp_path / "toolchain").symlink_to(ROOT / "toolchain")
    program = (
        "import sys\nfrom pathlib import Path\nfrom toolchain import SetupError\nfrom toolchain.cluster import Place, node\n"
        f"place = Place(Path({str(tmp_path)!r}) / '.cluster')\n"
        "try:\n    node.begin(place)\nexcept SetupError as error:\n    print(error)\n    sys.exit(3)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 3, done.stderr
    assert f"another checkout's cluster has this machine's address {NODE}: {ROOT}" in done.stdout
    assert f"make -C {ROOT} cluster-down" in done.stdout
    assert cluster.programs()


_PATCH = json.dumps({"spec": {"template": {"metadata": {"annotations": {"revision": "2"}}}}})


def _objects(space: str) -> list[dict[str, Any]]:
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "health",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/health/Corefile"],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1},
        "securityContext": security,
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/health"}],
    }
    labels = {"app": "health"}
    pod = {"containers": [container], "volumes": [{"name": "settings", "configMap": {"name": "health"}}]}
    services = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        }
        for name in ("health-stable", "health-canary")
    ]
    weighted = [{"name": "health-stable", "port": 80, "weight": 100}, {"name": "health-canary", "port": 80, "weight": 0}]
    route = {
        "match": f"PathPrefix(`/{space}`)",
        "kind": "Rule",
        "middlewares": [{"name": "strip"}],
        "services": [{"name": "health", "kind": "TraefikService"}],
    }
    traffic = {"traefik": {"weightedTraefikServiceName": "health"}}
    canary = {"stableService": "health-stable", "canaryService": "health-canary", "trafficRouting": traffic}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "health"},
            "data": {"Corefile": ".:1053 {\n  health :8080\n}\n"},
        },
        *services,
        {
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "TraefikService",
            "metadata": {"name": "health"},
            "spec": {"weighted": {"services": weighted}},
        },
        {
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "Middleware",
            "metadata": {"name": "strip"},
            "spec": {"stripPrefix": {"prefixes": [f"/{space}"]}},
        },
        {
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "IngressRoute",
            "metadata": {"name": "health"},
            "spec": {"entryPoints": ["websecure"], "routes": [route]},
        },
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "health"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
                "strategy": {"canary": {**canary, "steps": [{"setWeight": 25}, {"pause": {}}]}},
            },
        },
    ]


def _weights(space: Space) -> dict[str, int]:
    services = space.get("traefikservice", "health")["spec"]["weighted"]["services"]
    return {each["name"]: each.get("weight", 0) for each in services}


def _get(url: str, *, expect: int = 200) -> str:
    context = ssl.create_default_context(cafile=str(Place().pki / "ca.crt")) if url.startswith("https") else None
    try:
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    assert status == expect, (status, text)
    return str(text)


def _wait(is_so: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def _is(asked: Callable[[], bool]) -> bool:
    """Whether it is so; False while whoever was asked does not answer."""
    try:
        return asked()
    except (AssertionError, OSError):
        return False


def _cluster(action: str) -> str:
    done = subprocess.run([sys.executable, "-m", "toolchain.cluster", action], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
