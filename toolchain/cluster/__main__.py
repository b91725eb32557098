"""``python -m toolchain.cluster up|down|status``: the development cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from toolchain import SetupError, process
from toolchain.cluster import (
    API,
    DASHBOARD,
    GATEWAY,
    NODE,
    PROMETHEUS,
    REGISTRY,
    Place,
    binaries,
    node,
    objects,
    packages,
    pki,
    settings,
    static_image,
)
from toolchain.cluster.node import Node, wait_until
from toolchain.cluster.settings import PAUSE
from toolchain.process import say

ACTIONS = ("up", "down", "status")


def up(place: Place) -> None:
    """Bring the cluster up; what runs already is left as it is. Raises SetupError."""
    began = time.monotonic()
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        raise SetupError(
            "a cluster of the node's own parts needs Linux and root. Do: use kind or any other cluster (docs/how-to/cluster.md)"
        )
    packages.prepare()
    programs_folder = binaries.prepare()
    place.folder.mkdir(parents=True, exist_ok=True)
    pki.make(place)
    listed = settings.programs(place, programs_folder, str(Path(sys.prefix) / "bin" / "traefik"))
    if node.running(place) is None:
        # An update of the files under a running node would be seen by half of its programs.
        for name, text in settings.files(place, listed).items():
            (place.settings / name).parent.mkdir(parents=True, exist_ok=True)
            (place.settings / name).write_text(text)
    made = node.begin(place)
    _start(made, [program.name for program in listed if program.stage == 1])
    wait_until(lambda: _says_ready(place), seconds=60, what="the API server", log=place.logs / "apiserver.log")
    _kubectl(place, "apply", "--server-side", "--force-conflicts", "--filename=-", text=objects.documents(programs_folder))
    _import_pause(place, made, programs_folder)
    _start(made, [program.name for program in listed if program.stage == 2])
    wait_until(lambda: _node_is_ready(place), seconds=90, what="the node", log=place.logs / "kubelet.log")
    for name, url in {
        "registry": f"http://{NODE}:{REGISTRY}/v2/",
        "gateway": f"http://{NODE}:{DASHBOARD}/ping",
        "prometheus": f"http://{NODE}:{PROMETHEUS}/-/ready",
    }.items():
        wait_until(lambda url=url: _answers(url), seconds=60, what=name, log=place.logs / f"{name}.log")
    say(f"the cluster is up ({time.monotonic() - began:.1f} s)")
    print(_addresses(place))


def down(place: Place) -> None:
    """End the cluster and remove all that it made."""
    done = node.end(place)
    existed = place.folder.exists()
    shutil.rmtree(place.folder, ignore_errors=True)
    say("the cluster is gone" if done or existed else "there is no cluster")


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


def _start(made: Node, names: list[str]) -> None:
    programs = made.programs()
    for name in names:
        if programs[name][0] not in ("RUNNING", "STARTING"):
            made.start(name)


def _import_pause(place: Place, made: Node, programs_folder: Path) -> None:
    wait_until(lambda: _has_containerd(made), seconds=30, what="containerd", log=place.logs / "containerd.log")
    if PAUSE in made.containers("images", "list", "--quiet"):
        return
    archive = place.folder / "pause.tar"
    static_image.write(programs_folder / "pause", archive, tag=PAUSE)
    made.containers("images", "import", str(archive))


def _has_containerd(made: Node) -> bool:
    try:
        made.containers("version")
    except SetupError:
        return False
    return True


def _kubectl(place: Place, *arguments: str, text: str | None = None) -> str:
    command = ["kubectl", f"--kubeconfig={place.kubeconfig}", *arguments]
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SetupError(f"kubectl {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def _says_ready(place: Place) -> bool:
    try:
        return _kubectl(place, "get", "--raw=/readyz", "--request-timeout=2s") == "ok"
    except SetupError:
        return False


def _node_is_ready(place: Place) -> bool:
    path = '--output=jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'
    try:
        return _kubectl(place, "get", "nodes", path) == "True"
    except SetupError:
        return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """Run one action; return the exit code."""
    if len(arguments) != 1 or arguments[0] not in ACTIONS:
        print(f"usage: python -m toolchain.cluster {'|'.join(ACTIONS)}", file=sys.stderr)
        return 2
    place = Place()
    try:
        if arguments[0] == "status":
            return status(place)
        up(place) if arguments[0] == "up" else down(place)
    except SetupError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped; the next call goes on from here, and make cluster-down removes what is there")
        return 130
    except OSError as error:
        say(f"error: {process.explain(error)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
