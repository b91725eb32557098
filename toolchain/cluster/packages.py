"""The cluster's programs that Debian packages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Container
from pathlib import Path

from toolchain import SetupError
from toolchain.process import run, say

# Program -> its package. Debian lays some of them into sbin.
PROGRAMS = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
    "prometheus": "prometheus",
    "iptables": "iptables",
    "ipset": "ipset",
    "ip": "iproute2",
    "conntrack": "conntrack",
}
# File, or pattern of one -> its package: what Debian lays where PATH does not lead.
FILES = {"usr/lib/cni/bridge": "containernetworking-plugins", "usr/lib/postgresql/*/bin/postgres": "postgresql"}
DATABASE = "postgresql"
PATH = os.pathsep.join(["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])


def missing() -> list[str]:
    """Packages whose programs are not there."""
    found = [package for program, package in PROGRAMS.items() if shutil.which(program, path=PATH) is None]
    return found + [package for pattern, package in FILES.items() if not any(Path("/").glob(pattern))]


def database_programs() -> Path:
    """The folder of PostgreSQL's programs, of the newest version that is there."""
    return max(Path("/").glob("usr/lib/postgresql/*/bin/postgres"), key=lambda path: int(path.parts[4])).parent


def prepare(only: Container[str] | None = None) -> None:
    """Install what is missing, of ``only`` these packages. Raises SetupError where this is no Debian, or apt refuses."""
    wanted = [package for package in missing() if only is None or package in only]
    if not wanted:
        return
    apt = shutil.which("apt-get", path=PATH)
    if apt is None:
        raise SetupError(f"{', '.join(wanted)} needed, and there is no apt-get here. Do: install them, then run the same command again")
    say(f"installing from Debian: {', '.join(wanted)}")
    # Their services stay off: the node runs them itself.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    run([apt, "update", "-q"], "looking for packages", env=environment)
    run([apt, "install", "-y", "-q", "--no-install-recommends", *wanted], "installing packages", env=environment)
    left = set(wanted) & set(missing())
    if left:
        raise SetupError(f"installed, and still not there: {', '.join(left)}")
