"""The real parts of the image tests: a registry on loopback, an image's files as a pod would see them, buildah with a store of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.release import Release


def tool(name: str, package: str) -> str:
    """A Debian program, installed where it is missing."""
    found = shutil.which(name)
    if found is None:
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], check=True)
        found = shutil.which(name)
    assert found is not None, f"{name} is not there, and apt-get did not bring it"
    return found


def processor_seconds() -> float:
    """What this process and all that it has waited for have used of the processor: no matter what else the machine does."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


@dataclass
class Registry:
    """Debian's docker-registry on a port of its own."""

    host: str
    folder: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, folder: Path) -> Registry:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{probe.getsockname()[1]}"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder.with_name(f"{folder.name}.yml")
        storage = {"filesystem": {"rootdirectory": str(folder)}}
        config.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": host}, "log": {"level": "error"}}))
        with config.with_suffix(".log").open("ab") as log:
            process = subprocess.Popen([tool("docker-registry", "docker-registry"), "serve", str(config)], stdout=log, stderr=log)
        made = cls(host, folder, process)
        until = time.monotonic() + 60
        while made.status("/v2/") != 200:
            assert time.monotonic() < until and process.poll() is None, config.with_suffix(".log").read_text()
            time.sleep(0.05)
        return made

    def status(self, path: str) -> int:
        """The status of a GET, 0 when nobody answers."""
        return self.get(path)[0]

    def get(self, path: str) -> tuple[int, bytes, str]:
        """Status, body and digest header of a GET."""
        connection = http.client.HTTPConnection(self.host, timeout=10)
        try:
            connection.request("GET", path, headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
            response = connection.getresponse()
            return response.status, response.read(), response.headers.get("docker-content-digest", "")
        except OSError:
            return 0, b"", ""
        finally:
            connection.close()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def documents(store: Path, record: Release) -> tuple[dict[str, Any], dict[str, Any]]:
    """Manifest and config of a release's image, as the store keeps them."""
    assert record.image is not None
    manifest = json.loads(blob(store, record, record.image.partition("@")[2]).read_bytes())
    return manifest, json.loads(blob(store, record, manifest["config"]["digest"]).read_bytes())


def blob(store: Path, record: Release, digest: str) -> Path:
    return store / "images" / record.model / "blobs" / "sha256" / digest.removeprefix("sha256:")


def unpack(store: Path, record: Release, target: Path) -> Path:
    """All layers of an image, one over the other."""
    manifest, _ = documents(store, record)
    for layer in manifest["layers"]:
        with tarfile.open(blob(store, record, layer["digest"])) as archive:
            archive.extractall(target, filter="tar")
    target.chmod(0o755)
    return target


def inside(root: Path, environment: list[str], *command: str) -> list[str]:
    """A command that runs as in a pod: the image's files read-only, user 10001, an empty /tmp, the image's environment and nothing else."""
    script = (
        'mount --bind "$0" "$0"; mount --rbind /dev "$0/dev"; mount --bind /proc "$0/proc"; mount -t tmpfs -o mode=1777 tmpfs "$0/tmp";'
        ' mount -o remount,bind,ro "$0"; cd /; exec chroot --userspec=10001:10001 "$0" env -i "$@"'
    )
    place = ["sh", "-c", 'cd /bento/src && exec "$@"', "pod"]
    return ["unshare", "--mount", "sh", "-ec", script, str(root), *environment, *place, *command]


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process, and all that it starts, for the length of a block."""
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass
class Buildah:
    """buildah with a store of its own below a folder, so that nothing of the user's is touched."""

    folder: Path

    def run(self, *arguments: str) -> str:
        command = [tool("buildah", "buildah"), "--root", str(self.folder / "root"), "--runroot", str(self.folder / "run"), *arguments]
        environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
