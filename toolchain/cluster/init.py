"""The node's first process: ``python -m toolchain.cluster.init SUPERVISOR_CONFIG``, run in namespaces of its own.

Gives the node its own places for what lives only as long as it does, waits for the cable to the host, and becomes the supervisor, which
adopts and reaps whatever the node's programs leave behind.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from toolchain.cluster import HOST, NODE
from toolchain.cluster.packages import PATH

OWN = ("/run", "/var/lib", "/var/log", "/tmp")
"""Hidden behind a file system in memory: programs that insist on these places leave nothing on the machine."""

CABLE = "eth0"
CGROUP = "mldelivery"


def main(arguments: list[str]) -> None:
    """Set the node up and exec the supervisor; never returns."""
    keep = Path.cwd()
    _run("mount", "--make-rprivate", "/")
    for place in OWN:
        if not keep.is_relative_to(place):
            _run("mount", "-t", "tmpfs", "-o", "mode=0755,nosuid,nodev", "node", place)
    _run("mount", "-t", "proc", "proc", "/proc")
    _run("mount", "--make-rshared", "/")
    _cgroups()
    _run("ip", "link", "set", "lo", "up")
    _wait_for_cable()
    _run("ip", "addr", "add", f"{NODE}/24", "dev", CABLE)
    _run("ip", "link", "set", CABLE, "up")
    _run("ip", "route", "add", "default", "via", HOST)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    os.execv(sys.executable, [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--configuration", arguments[0]])


def _run(*command: str) -> None:
    subprocess.run(command, check=True, env={**os.environ, "PATH": PATH})


def _cgroups() -> None:
    """A cgroup of the node's own in every hierarchy, under which the kubelet makes those of pods."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        (root / CGROUP).mkdir(exist_ok=True)
        return
    for hierarchy in filter(Path.is_dir, root.iterdir()):
        own = hierarchy / CGROUP
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
    while not _has_cable():
        if time.monotonic() > deadline:
            raise SystemExit("the cable to the host did not come")
        time.sleep(0.02)


def _has_cable() -> bool:
    # /sys still shows the host's interfaces; the kernel's own list is that of this namespace.
    return any(line.strip().startswith(f"{CABLE}:") for line in Path("/proc/self/net/dev").read_text().splitlines())


if __name__ == "__main__":
    main(sys.argv[1:])
