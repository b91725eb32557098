"""A real one-node Kubernetes cluster for development and tests, made of parts from package registries.

The node is a set of Linux namespaces (processes, mounts, network), as a kind node is one container: its first process is a supervisor, and
when that ends, the kernel ends all the rest with it: processes, mounts, bridges, packet filters.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from toolchain import ROOT

HOST = "10.99.0.1"
NODE = "10.99.0.2"
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
DOMAIN = "cluster.local"
NAME = "mldelivery"
LINK = "mldelivery0"
"""The host's end of the cable to the node."""

DATA = Path("/var/lib/postgresql")
"""Where the node shows ``Place.database``: its own path may lead through folders that are root's alone."""

API = 6443
REGISTRY = 5000
GATEWAY = 8443
PROBES = 8082
DASHBOARD = 8081
PROMETHEUS = 9090
DATABASE = 5432
STORE = 9000
ROLLOUTS = 8092
"""Where Argo Rollouts says that it is well."""
POLICIES = 8093
"""Where kube-router says so."""


@dataclass(frozen=True)
class Place:
    """Where a checkout keeps its cluster; all of it goes with ``make cluster-down``."""

    folder: Path = ROOT / ".cluster"

    @property
    def kubeconfig(self) -> Path:
        """For people, tests and the stack: the administrator's."""
        return self.folder / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.folder / "pki"

    @property
    def accounts(self) -> Path:
        """Passwords of MLflow's server and of what it needs, readable by their owner only."""
        return self.folder / "tracking"

    @property
    def database(self) -> Path:
        """PostgreSQL's own folder."""
        return self.folder / "database"

    @property
    def store(self) -> Path:
        """What the S3 server holds: a folder for each bucket, a file for each object."""
        return self.folder / "store"

    @property
    def settings(self) -> Path:
        """The configuration of the node's programs."""
        return self.folder / "settings"

    @property
    def logs(self) -> Path:
        """One log for each program."""
        return self.folder / "logs"

    @property
    def supervisor(self) -> Path:
        """The supervisor's configuration. Its path stands in the command of the node's first process, by which that is found."""
        return self.settings / "supervisor.conf"

    @property
    def cgroup(self) -> str:
        """Name of the node's own group in every cgroup hierarchy, unlike that of any other checkout's node; those of pods are below it."""
        return f"{NAME}-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"
