"""``python -m toolchain.cluster up|down|status``: the development cluster."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import datetime
from functools import partial
from pathlib import Path

from toolchain import SetupError, process
from toolchain.cluster import (
    API,
    API_SERVICE,
    DASHBOARD,
    DATABASE,
    DOMAIN,
    GATEWAY,
    NODE,
    POLICIES,
    PROMETHEUS,
    REGISTRY,
    ROLLOUTS,
    STORE,
    Place,
    binaries,
    names,
    node,
    objects,
    packages,
    pki,
    settings,
    static_image,
    tracking,
)
from toolchain.cluster.node import Node, wait_until
from toolchain.cluster.settings import PAUSE, Program
from toolchain.process import cache_dir, exclusive, say

ACTIONS = ("up", "down", "status")
MINIMUM_FREE = 2_000_000_000
"""Bytes for the state of a cluster and the images of a few releases."""


def up(place: Place) -> None:
    """Bring the cluster up; what runs already is left as it is. Raises SetupError."""
    began = time.monotonic()
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        raise SetupError(
            "a cluster of the node's own parts needs Linux and root. Do: use kind or any other cluster (docs/how-to/cluster.md)"
        )
    packages.prepare()
    built = binaries.prepare()
    # One for the machine, as the addresses are.
    with exclusive(cache_dir() / "cluster" / "node.lock", "the cluster"):
        _up(place, built)
    say(f"the cluster is up ({time.monotonic() - began:.1f} s)")
    print(_addresses(place))


def _up(place: Place, built: Path) -> None:
    _refuse_full_disk(place)
    place.folder.mkdir(parents=True, exist_ok=True)
    pki.make(place)
    if node.running(place) is None:
        tracking.make_accounts(place)
        tracking.make_folders(place)
    listed = settings.programs(place, built, str(Path(sys.prefix) / "bin" / "traefik"), packages.database_programs())
    texts = {place.settings / name: text for name, text in settings.files(place, listed).items()}
    if node.running(place) is None:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    elif any(not path.is_file() or path.read_text() != text for path, text in texts.items()):
        # Written under a running node, only those of its programs that happen to start anew would see it.
        say("the cluster runs as an older version of this checkout made it; for a new one: make cluster-down, then make cluster")
    made = node.begin(place, keep=[built])
    _start(made, listed, stage=1)
    is_current = "database" in made.programs()
    if is_current:
        tracking.make_database(place, made)
    wait_until(lambda: _says_ready(place), seconds=60, what="the API server", log=place.logs / "apiserver.log")
    _kubectl(place, "apply", "--server-side", "--force-conflicts", "--filename=-", text=objects.documents(built))
    if is_current:
        _kubectl(place, "apply", "--server-side", "--force-conflicts", "--filename=-", text=tracking.documents(place))
    _import_pause(place, made, built)
    _start(made, listed, stage=2)
    wait_until(lambda: _node_is_ready(place, made), seconds=90, what="the node", log=place.logs / "kubelet.log")
    _start(made, listed, stage=3)
    programs = made.programs()
    for name, url in {
        "registry": f"http://{NODE}:{REGISTRY}/v2/",
        "rollouts": f"http://{NODE}:{ROLLOUTS}/healthz",
        "gateway": f"http://{NODE}:{DASHBOARD}/ping",
        "prometheus": f"http://{NODE}:{PROMETHEUS}/-/ready",
        **({"store": f"http://{NODE}:{STORE}/health"} if "store" in programs else {}),
        **({"policies": f"http://{NODE}:{POLICIES}/healthz"} if "policies" in programs else {}),
    }.items():
        wait_until(partial(_answers, url), seconds=60, what=name, log=place.logs / f"{name}.log")
    if is_current:
        wait_until(_database_listens, seconds=60, what="the database", log=place.logs / "database.log")
    api = f"kubernetes.default.svc.{DOMAIN}"
    wait_until(lambda: names.address_of(api) == API_SERVICE, seconds=60, what="DNS", log=place.logs / "dns.log")
    # Without it no pod can be made: the first sign that the controllers have come to work.
    wait_until(lambda: _has_account(place), seconds=60, what="the controllers", log=place.logs / "controller-manager.log")


def down(place: Place) -> None:
    """End the cluster and remove all that it made."""
    with exclusive(cache_dir() / "cluster" / "node.lock", "the cluster"):
        was_there = node.end(place)
        if place.folder.exists():
            was_there = True
            shutil.rmtree(place.folder)
    say("the cluster is gone" if was_there else "there is no cluster")


def status(place: Place) -> int:
    """Print the state of each program; 0 only if all of them run."""
    made = node.running(place)
    if made is None:
        print("there is no cluster (make cluster)")
        return 1
    programs = made.programs()
    for name, (state, _) in programs.items():
        print(f"{name:<20}{state}")
    print(_addresses(place))
    return 0 if programs and all(state == "RUNNING" for state, _ in programs.values()) else 1


def _addresses(place: Place) -> str:
    return "\n".join(
        [
            "",
            f"  API         https://{NODE}:{API}   (export KUBECONFIG={place.kubeconfig})",
            f"  gateway     https://{NODE}:{GATEWAY}   (certificate of {place.pki / 'ca.crt'})",
            f"  dashboard   http://{NODE}:{DASHBOARD}/dashboard/",
            f"  Prometheus  http://{NODE}:{PROMETHEUS}",
            f"  registry    {NODE}:{REGISTRY}",
            "",
            "Next:",
            "  make up STACK=cluster",
        ]
    )


def _start(made: Node, listed: list[Program], *, stage: int) -> None:
    programs = made.programs()
    for program in listed:
        # A node that an older version made may lack one.
        if program.stage == stage and programs.get(program.name, ("RUNNING", 0))[0] not in ("RUNNING", "STARTING"):
            made.start(program.name)


def _import_pause(place: Place, made: Node, built: Path) -> None:
    wait_until(lambda: _has_containerd(made), seconds=30, what="containerd", log=place.logs / "containerd.log")
    if PAUSE in made.containers("images", "list", "--quiet"):
        return
    archive = place.folder / "pause.tar"
    static_image.write(built / "pause", archive, tag=PAUSE)
    made.containers("images", "import", str(archive))
    archive.unlink()


def _refuse_full_disk(place: Place) -> None:
    """A kubelet whose disk is nearly full starts no pod, and says so only in the node's conditions."""
    disk = shutil.disk_usage(place.folder.parent)
    needed = max(MINIMUM_FREE, disk.total * settings.EVICT_PERCENT // 100)
    if disk.free < needed:
        raise SetupError(
            f"{place.folder} has {disk.free / 1e9:.1f} GB of disk left; the cluster needs {needed / 1e9:.1f} GB.\n"
            "  Do: free some space, then run make cluster again."
        )


def _has_containerd(made: Node) -> bool:
    try:
        made.containers("version")
    except SetupError:
        return False
    return True


def _kubectl(place: Place, *arguments: str, text: str | None = None) -> str:
    command = [str(Path(sys.prefix) / "bin" / "kubectl"), f"--kubeconfig={place.kubeconfig}", *arguments]
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SetupError(f"kubectl {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def _says_ready(place: Place) -> bool:
    try:
        return _kubectl(place, "get", "--raw=/readyz", "--request-timeout=2s") == "ok"
    except SetupError:
        return False


def _node_is_ready(place: Place, made: Node) -> bool:
    """Whether the kubelet that runs now says so: one before it may have left its word behind."""
    try:
        conditions = json.loads(_kubectl(place, "get", "node", "node", "--output=json"))["status"]["conditions"]
    except (SetupError, KeyError):
        return False
    ready = next((each for each in conditions if each["type"] == "Ready"), None)
    if ready is None or ready["status"] != "True":
        return False
    return datetime.fromisoformat(ready["lastHeartbeatTime"].replace("Z", "+00:00")).timestamp() >= int(
        made.ask("getProcessInfo", "kubelet")["start"]
    )


def _has_account(place: Place) -> bool:
    return "default" in _kubectl(place, "get", "serviceaccount", "default", "--ignore-not-found", "--output=name")


def _database_listens() -> bool:
    try:
        with socket.create_connection((NODE, DATABASE), timeout=2):
            return True
    except OSError:
        return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@process.plain_errors("stopped; the next call goes on from here, and make cluster-down removes what is there")
def main(arguments: list[str]) -> int:
    """Run one action; return the exit code."""
    if len(arguments) != 1 or arguments[0] not in ACTIONS:
        print(f"usage: python -m toolchain.cluster {'|'.join(ACTIONS)}", file=sys.stderr)
        return 2
    place = Place()
    if arguments[0] == "status":
        return status(place)
    up(place) if arguments[0] == "up" else down(place)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
