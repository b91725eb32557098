"""Starts the node's namespaces and talks to its supervisor; ends them, and what they leave on the host."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from toolchain import ROOT, SetupError
from toolchain.cluster import HOST, LINK, NODE, PODS, SERVICES, Place
from toolchain.cluster.init import CABLE, CGROUP
from toolchain.cluster.packages import PATH
from toolchain.cluster.settings import CONTAINERD, SUPERVISOR


@dataclass(frozen=True)
class Node:
    """The running node: ``pid`` is its first process, as the host sees it."""

    pid: int

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call the supervisor's own interface, by XML-RPC over its socket in the node."""
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix:///proc/{self.pid}/root{SUPERVISOR}")
        try:
            return getattr(xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor, method)(*arguments)
        finally:
            transport.close()

    def programs(self) -> dict[str, tuple[str, int]]:
        """State, such as RUNNING, and process id inside the node of every program by name; empty while the supervisor does not answer."""
        try:
            return {str(found["name"]): (str(found["statename"]), int(found["pid"])) for found in self.ask("getAllProcessInfo")}
        except (OSError, http.client.HTTPException, xmlrpc.client.Error, ValueError):
            return {}

    def start(self, name: str) -> None:
        """Start a program; nothing where it runs."""
        with contextlib.suppress(xmlrpc.client.Fault):
            self.ask("startProcess", name, False)

    def stop(self, name: str) -> None:
        """Stop a program and leave it so."""
        with contextlib.suppress(xmlrpc.client.Fault):
            self.ask("stopProcess", name, True)

    def kill(self, name: str) -> None:
        """kill -9 a program; the supervisor starts it again."""
        with contextlib.suppress(xmlrpc.client.Fault):
            self.ask("signalProcess", name, "KILL")

    def run(self, *command: str) -> str:
        """Run a command inside of the node's namespaces; returns what it printed. Raises SetupError with its words."""
        entered = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--", *command]
        done = subprocess.run(entered, env={**os.environ, "PATH": PATH}, text=True, capture_output=True, check=False)
        if done.returncode:
            raise SetupError(f"{' '.join(command)} failed in the node: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def containers(self, *arguments: str) -> str:
        """What containerd's own client says of the node's pods and images."""
        return self.run("ctr", f"--address={CONTAINERD}", "--namespace=k8s.io", *arguments)


def running(place: Place) -> Node | None:
    """This checkout's node, if it runs."""
    try:
        facts = json.loads(place.holder.read_text())
        process = psutil.Process(int(facts["pid"]))
        if abs(process.create_time() - float(facts["since"])) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return Node(int(facts["pid"]))
    except (OSError, ValueError, KeyError, psutil.Error):
        pass
    return None


def begin(place: Place) -> Node:
    """The node, started where it does not run; its programs are not started yet. Raises SetupError where its addresses are taken."""
    found = running(place)
    if found is not None:
        return found
    _refuse_second()
    place.logs.mkdir(parents=True, exist_ok=True)
    log = place.logs / "node.log"
    command = ["unshare", "--fork", "--pid", "--mount", "--net", "--kill-child"]
    command += [sys.executable, "-m", "toolchain.cluster.init", str(place.settings / "supervisor.conf")]
    with log.open("w") as file:
        holder = subprocess.Popen(
            command,
            cwd=ROOT,
            env={"PATH": PATH, "PYTHONPATH": str(ROOT), "HOME": "/root", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    first = _first_process(holder, log)
    since = psutil.Process(first).create_time()
    place.holder.write_text(json.dumps({"pid": first, "holder": holder.pid, "since": since}))
    try:
        _ip("link", "add", LINK, "type", "veth", "peer", "name", CABLE, "netns", str(first))
        _ip("addr", "add", f"{HOST}/24", "dev", LINK)
        _ip("link", "set", LINK, "up")
        for network in (PODS, SERVICES):
            _ip("route", "replace", network, "via", NODE)
        node = Node(first)
        wait_until(lambda: bool(node.programs()), seconds=20, what="the node's supervisor", log=log)
    except BaseException:
        end(place)
        raise
    return node


def end(place: Place) -> list[str]:
    """End the node and remove all that it left on the host but its folder; returns what was there, in words. Safe to run always."""
    done = []
    node = running(place)
    if node is not None:
        # In order, so that containers are ended before what would start them again.
        for name in ("kubelet", "controller-manager", "scheduler"):
            with contextlib.suppress(OSError, xmlrpc.client.Error):
                node.stop(name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(node.pid, signal.SIGKILL)
        with contextlib.suppress(psutil.TimeoutExpired, psutil.NoSuchProcess):
            psutil.Process(node.pid).wait(20)
        done.append("ended the node")
    if running(place) is None:
        place.holder.unlink(missing_ok=True)
    if not _is_taken() or node is not None:
        with contextlib.suppress(SetupError):
            _ip("link", "delete", LINK)
            done.append("removed the cable")
    if node is not None or not _is_taken():
        _remove_cgroups()
    return done


def wait_until(is_so: Any, *, seconds: float, what: str, log: Path) -> None:
    """Wait for a condition, bounded. Raises SetupError with the log's last lines."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            tail = "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-12:]) if log.is_file() else ""
            raise SetupError(f"{what}: not there within {seconds:.0f} s. The end of {log}:\n{tail}")
        time.sleep(0.05)


def _first_process(holder: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 10
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if found := children.read_text().split():
                return int(found[0])
        if holder.poll() is not None:
            break
        time.sleep(0.02)
    raise SetupError(f"the node's namespaces could not be made: {log.read_text(errors='replace').strip()}\n  Do: run it as root, on Linux")


def _is_taken() -> bool:
    return Path(f"/sys/class/net/{LINK}").exists()


def _refuse_second() -> None:
    if not _is_taken():
        return
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "toolchain.cluster.init" in words or any("supervisor.supervisord" in word for word in words):
            config = next((word for word in words if word.endswith("/.cluster/settings/supervisor.conf")), None)
            if config is not None:
                folder = Path(config).parents[2]
                raise SetupError(
                    f"another checkout's cluster has this machine's address {NODE}: {folder} (process {process.pid}).\n"
                    f"  Do: use that one, or end it: make -C {folder} cluster-down"
                )
    # The cable of a node that was killed: nothing is at its other end.
    _ip("link", "delete", LINK)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], env={**os.environ, "PATH": PATH}, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SetupError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _remove_cgroups() -> None:
    """Remove the node's cgroups, innermost first; their processes are gone with the node."""
    for hierarchy in Path("/sys/fs/cgroup").glob(f"*/{CGROUP}"):
        for folder, _, _ in os.walk(hierarchy, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
    with contextlib.suppress(OSError):
        (Path("/sys/fs/cgroup") / CGROUP).rmdir()
