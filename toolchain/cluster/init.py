"""The node's first process: ``python -m toolchain.cluster.init CGROUP SUPERVISOR_CONFIG FOLDER...``, run in namespaces of its own.

Gives the node its own places for what lives only as long as it does, waits for the cable to the host, and becomes the supervisor, which
adopts and reaps whatever the node's programs leave behind.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from toolchain.cluster import DATA, HOST, NODE, Place
from toolchain.cluster.packages import PATH

OWN = ("/run", "/var/lib", "/var/log", "/tmp")
"""Hidden behind a file system in memory: programs that insist on these places leave nothing on the machine."""

CABLE = "eth0"
STAGE = Path("/mnt")
"""Where a folder waits while what it lies in is hidden."""


def main(arguments: list[str]) -> None:
    """Set the node up and exec the supervisor; never returns."""
    cgroup, configuration, *keep = arguments
    _run("mount", "--make-rprivate", "/")
    _hide([Path.cwd(), Path(sys.prefix), Path(sys.base_prefix), *map(Path, keep)])
    DATA.mkdir()
    _run("mount", "--bind", str(Place(Path(configuration).parents[1]).database), str(DATA))
    _run("mount", "-t", "proc", "proc", "/proc")
    _run("mount", "--make-rshared", "/")
    _cgroups(cgroup)
    _run("ip", "link", "set", "lo", "up")
    _wait_for_cable()
    _run("ip", "addr", "add", f"{NODE}/24", "dev", CABLE)
    _run("ip", "link", "set", CABLE, "up")
    _run("ip", "route", "add", "default", "via", HOST)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    os.execv(sys.executable, [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--configuration", configuration])


def hidden(folders: Iterable[Path]) -> list[Path]:
    """Which of the folders lie in a place that is hidden, each once, without those inside of another."""
    within = {folder for folder in folders if any(folder.is_relative_to(place) for place in OWN)}
    return sorted(folder for folder in within if not within.intersection(folder.parents))


def _hide(keep: list[Path]) -> None:
    shown = hidden(keep)
    _run("mount", "-t", "tmpfs", "node", str(STAGE))
    for number, folder in enumerate(shown):
        (STAGE / str(number)).mkdir()
        _run("mount", "--rbind", str(folder), str(STAGE / str(number)))
    for place in OWN:
        _run("mount", "-t", "tmpfs", "-o", "mode=0755,nosuid,nodev", "node", place)
    for number, folder in enumerate(shown):
        folder.mkdir(parents=True)
        _run("mount", "--move", str(STAGE / str(number)), str(folder))
    _run("umount", str(STAGE))
    # The folder that this process is in is the hidden one until it is entered anew.
    os.chdir(keep[0])


def _run(*command: str) -> None:
    subprocess.run(command, check=True, env={**os.environ, "PATH": PATH})


def _cgroups(name: str) -> None:
    """A cgroup of the node's own in every hierarchy, under which the kubelet makes those of pods."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        for controller in (root / "cgroup.controllers").read_text().split():
            # One that can't be handed on is one that pods do without.
            with contextlib.suppress(OSError):
                (root / "cgroup.subtree_control").write_text(f"+{controller}")
        (root / name).mkdir(exist_ok=True)
        return
    for hierarchy in filter(Path.is_dir, root.iterdir()):
        own = hierarchy / name
        try:
            own.mkdir(exist_ok=True)
        except OSError:
            continue
        for file in ("cpuset.cpus", "cpuset.mems"):
            # A new cpuset is empty, and may hold no process until it is not.
            if (own / file).exists():
                (own / file).write_text((hierarchy / file).read_text())


def _wait_for_cable() -> None:
    deadline = time.monotonic() + 10
    # /sys still shows the host's interfaces; the kernel's own list is that of this namespace.
    while f"{CABLE}:" not in Path("/proc/self/net/dev").read_text():
        if time.monotonic() > deadline:
            raise SystemExit("the cable to the host did not come")
        time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1:])
