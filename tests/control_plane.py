"""A Kubernetes control plane of the test's own on the loopback interface: etcd, API server, controllers; no node, so nothing ever runs."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from toolchain.cluster import binaries, packages
from toolchain.kubernetes_provider.api import Api, ApiError, ApiUnreachable
from toolchain.kubernetes_provider.kubeconfig import connect

READY_SECONDS = 180


@dataclass(frozen=True)
class ControlPlane:
    """One API server. Users: ``admin``, and ``guest``, who may do nothing but look at what the server serves."""

    folder: Path
    port: int

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def kubeconfig(self, user: str = "admin") -> Path:
        """A kubeconfig whose context ``here`` is this server as a user."""
        path = self.folder / f"kubeconfig-{user}"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": self.server, "certificate-authority": "pki/apiserver.crt"}}],
            "users": [{"name": user, "user": {"token": f"token-of-{user}"}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": user}}],
        }
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    @contextlib.contextmanager
    def api(self) -> Iterator[Api]:
        """A client of the server, as admin."""
        made = Api(connect(str(self.kubeconfig()), {}))
        try:
            yield made
        finally:
            made.close()

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """What kubectl prints, as admin."""
        command = ["kubectl", "--kubeconfig", str(self.kubeconfig()), *arguments]
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """An object or a list, as kubectl sees it."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))


@contextlib.contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """A control plane for the length of a block."""
    etcd_port, peer_port, port, controller_port = _free_ports(4)
    (folder / "tokens.csv").write_text('token-of-admin,admin,1,"system:masters"\ntoken-of-guest,guest,2\n', encoding="utf-8")
    (folder / "accounts.key").write_bytes(_key())
    made = ControlPlane(folder, port)
    packages.prepare()
    kubernetes = str(binaries.prepare() / "kubernetes")
    with contextlib.ExitStack() as stack:
        etcd = f"http://127.0.0.1:{etcd_port}"
        _run(
            stack,
            folder,
            ["etcd"],
            "--data-dir=etcd",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}",
            f"--initial-cluster=default=http://127.0.0.1:{peer_port}",
            "--unsafe-no-fsync",
        )
        _run(
            stack,
            folder,
            [kubernetes, "kube-apiserver"],
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--cert-dir=pki",
            "--token-auth-file=tokens.csv",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://here",
            "--service-account-signing-key-file=accounts.key",
            "--service-account-key-file=accounts.key",
            "--service-cluster-ip-range=10.97.0.0/16",
            "--disable-admission-plugins=ServiceAccount",
        )
        _wait(made)
        _run(
            stack,
            folder,
            [kubernetes, "kube-controller-manager"],
            f"--kubeconfig={made.kubeconfig()}",
            "--leader-elect=false",
            f"--secure-port={controller_port}",
            "--cert-dir=pki-controllers",
            "--bind-address=127.0.0.1",
        )
        yield made


def _run(stack: contextlib.ExitStack, folder: Path, program: list[str], *arguments: str) -> None:
    log = stack.enter_context((folder / f"{program[-1]}.log").open("w"))
    command = [*program, *arguments]
    environment = {**os.environ, "PATH": packages.PATH, "ETCD_UNSUPPORTED_ARCH": "arm64"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
    stack.callback(process.wait)
    stack.callback(process.kill)


def _wait(made: ControlPlane) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            if (made.folder / "pki" / "apiserver.crt").is_file():
                with made.api() as api:
                    # The default namespace is the last thing that a new server makes.
                    api.ask("GET", "/api/v1/namespaces/default", tries=1)
                return
        except (ApiError, ApiUnreachable):
            pass
        log = made.folder / "kube-apiserver.log"
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")[-3000:]
        time.sleep(0.1)


def _key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(*form)


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        for port in random.sample(range(20_000, 32_000), 200):
            probe = stack.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise AssertionError("no free ports")
