"""A stack of the test's own on the real cluster: a copy of this checkout whose stack `cluster` has its own namespace and host name."""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import secrets
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests import faulty
from tests.laptop import FAST, ROOT, SLO, Laptop, command_of, wait_until
from toolchain.cluster.node import Node

CLUSTER = ROOT / ".cluster"
NODE = "10.99.0.2"
GATEWAY_PORT = 8443


class _Gateway(http.client.HTTPSConnection):
    """A connection to the node's gateway, under the host name of one stack."""

    def connect(self) -> None:
        raw = socket.create_connection((NODE, GATEWAY_PORT), self.timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.create_default_context(cafile=str(CLUSTER / "pki" / "ca.crt"))
        # The certificate is that of the node: every test's stack has a host name of its own.
        self.sock = context.wrap_socket(raw, server_hostname=NODE)


@dataclass
class ClusterStack(Laptop):
    """One copy, whose stack runs in the cluster. ``said`` is what its first update printed."""

    stack: str = "cluster"
    said: str = ""
    namespace: str = field(default_factory=lambda: f"test-{secrets.token_hex(4)}")

    @property
    def host(self) -> str:
        return f"{self.namespace}.gateway.local"

    def configure(self, models: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the stack's file: the repository's own, with this copy's namespace, host and models."""
        document = yaml.safe_load((ROOT / self.config.name).read_text(encoding="utf-8"))
        document["config"]["mldelivery:kubernetes"] = self.section()
        document["config"]["mldelivery:models"] = {
            name: copy.deepcopy({"rollout": FAST, "slo": SLO, "ready-seconds": 20, **model}) for name, model in models.items()
        }
        self.config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def section(self) -> dict[str, Any]:
        """The cluster and what stands in it already, as the repository's own cluster has it, with this copy's namespace and host."""
        document = yaml.safe_load((ROOT / "Pulumi.cluster.yaml").read_text(encoding="utf-8"))
        cluster: dict[str, Any] = document["config"]["mldelivery:kubernetes"]
        cluster.update({"kubeconfig": str(CLUSTER / "kubeconfig"), "namespace": self.namespace})
        # One is enough for a cluster, and has tests of its own.
        cluster.pop("tracking")
        cluster["gateway"].update({"url": f"https://{self.host}:{GATEWAY_PORT}", "ca": str(CLUSTER / "pki" / "ca.crt")})
        return cluster

    def connect(self) -> http.client.HTTPConnection:
        return _Gateway(self.host, GATEWAY_PORT, timeout=20)

    def make_release(self, number: int, *, fault: faulty.Fault | None = None) -> None:
        """Make release ``number`` from release 2, with its image and signature, with a fault in it or none."""
        faulty.make(self.store, number, fault=fault, with_image=True)

    def kubectl(self, *arguments: str) -> str:
        """What kubectl says in the stack's namespace."""
        command = ["kubectl", f"--kubeconfig={CLUSTER / 'kubeconfig'}", f"--namespace={self.namespace}", *arguments]
        done = subprocess.run(command, env=self.environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def objects(self, kind: str, *options: str) -> list[dict[str, Any]]:
        """All objects of a kind in the stack's namespace."""
        return list(json.loads(self.kubectl("get", kind, "--output=json", *options))["items"])

    def account(self, model: str = "iris") -> dict[str, Any]:
        """The ledger of a model's rollouts."""
        found = json.loads(self.kubectl("get", "configmap", f"{model}-ledger", "--output=json"))
        return dict(json.loads(found["data"]["ledger"]))

    def serving(self) -> set[str]:
        """The pods that run servers, by model and release: ``serve-iris-2``."""
        pods = self.objects("pods", "--selector=mldelivery/release")
        alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] in ("Pending", "Running")]
        labels = [pod["metadata"]["labels"] for pod in alive]
        return {f"serve-{each['app.kubernetes.io/name']}-{each['mldelivery/release']}" for each in labels}

    def left_over(self, champion: int) -> list[str]:
        # Pods that retire answer for some seconds yet, so that no request is lost; Jobs end a while after an analysis that was cut short.
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self._left_in_cluster(champion), seconds=90, what="the old pods are gone")
        return [*self._left_in_cluster(champion), *(f"process {command_of(process)}" for process in self.remaining()), *self.left_files()]

    def _left_in_cluster(self, champion: int) -> list[str]:
        serving = self.serving()
        found = [f"pod of {name}" for name in serving if name != f"serve-iris-{champion}"]
        if not serving:
            found.append(f"no pod of {champion}")
        running = [run["metadata"]["name"] for run in self.objects("analysisruns") if run.get("status", {}).get("phase") in ("Running", "")]
        jobs = [job["metadata"]["name"] for job in self.objects("jobs") if job["status"].get("active")]
        return found + [f"analysis {name}" for name in running] + [f"job {name}" for name in jobs]

    def destroy(self) -> None:
        """Take the stack down and assert that nothing of it is left in the cluster or on this machine."""
        done = self.run("down", "--stack", self.stack)
        if self.reservation is not None:
            self.reservation.close()
        assert done.returncode == 0, done.stdout
        command = ["kubectl", f"--kubeconfig={CLUSTER / 'kubeconfig'}", "get", "namespace", self.namespace, "--ignore-not-found"]
        left = subprocess.run(command, env=self.environment, text=True, capture_output=True, check=True).stdout
        assert not left, left
        remaining = self.remaining()
        assert not remaining, [command_of(process) for process in remaining]


def cluster_runs(node: Node) -> Callable[[], bool]:
    """Whether all parts of the node run, as a condition to wait for; while its supervisor gives no answer, they do not."""

    def runs() -> bool:
        programs = node.programs()
        return bool(programs) and all(state == "RUNNING" for state, _ in programs.values())

    return runs


@contextlib.contextmanager
def clustered(folder: Path) -> Iterator[ClusterStack]:
    """A stack on the running cluster for the length of a block."""
    made = ClusterStack.make(folder)
    try:
        yield made
    finally:
        made.destroy()
