"""Starts the node's namespaces and talks to its supervisor; ends them, and what they leave on the host."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from toolchain import ROOT, SetupError
from toolchain.cluster import HOST, LINK, NODE, PODS, SERVICES, Place
from toolchain.cluster.init import CABLE
from toolchain.cluster.packages import PATH
from toolchain.cluster.settings import CONTAINERD, SUPERVISOR
from toolchain.process import say

PATIENCE_SECONDS = 2
"""What takes longer is said."""


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

    def run(self, *command: str, text: str | None = None) -> str:
        """Run a command inside of the node's namespaces, ``text`` on its input; returns its output. Raises SetupError with its words."""
        entered = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--", *command]
        done = subprocess.run(entered, env={**os.environ, "PATH": PATH}, input=text, text=True, capture_output=True, check=False)
        if done.returncode:
            raise SetupError(f"{' '.join(command)} failed in the node: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def containers(self, *arguments: str) -> str:
        """What containerd's own client says of the node's pods and images."""
        return self.run("ctr", f"--address={CONTAINERD}", "--namespace=k8s.io", *arguments)


def running(place: Place) -> Node | None:
    """This checkout's node, if it runs. Nothing on disk is asked: a folder that was removed does not hide the node."""
    return next((Node(pid) for pid, configuration in _nodes() if configuration == place.supervisor), None)


def begin(place: Place, keep: Sequence[Path] = ()) -> Node:
    """The node, started where it does not run, with its cable to the host; its programs are not started yet.

    ``keep`` are folders that it must see wherever they lie. Raises SetupError where its addresses are taken.
    """
    node = running(place)
    try:
        if node is None:
            _refuse_second()
            # The kubelet would take half a minute to see that what a killed node left there is dead.
            _remove_cgroups(place)
            node = _start(place, keep)
        _connect(node)
        wait_until(lambda: bool(node.programs()), seconds=20, what="the node's supervisor", log=place.logs / "node.log")
    except BaseException:
        if node is not None:
            end(place)
        raise
    return node


def end(place: Place) -> bool:
    """End the node and remove all that it left on the host but its folder; returns whether there was any. Safe to run always."""
    node = running(place)
    if node is not None:
        # With the first process of their namespace the kernel ends all others at once: nothing is left to start anything again.
        with contextlib.suppress(ProcessLookupError):
            os.kill(node.pid, signal.SIGKILL)
        try:
            psutil.Process(node.pid).wait(30)
        except psutil.NoSuchProcess:
            pass
        except psutil.TimeoutExpired:
            raise SetupError(f"the node (process {node.pid}) does not end. Do: see what it waits for, then run the same command") from None
    has_cable = _has_cable() and not any(_nodes())
    if has_cable:
        # The kernel may have been quicker: the cable goes with the network that was its other end.
        with contextlib.suppress(SetupError):
            _ip("link", "delete", LINK)
    return _remove_cgroups(place) or has_cable or node is not None


def wait_until(is_so: Callable[[], bool], *, seconds: float, what: str, log: Path) -> None:
    """Wait for a condition, bounded. Raises SetupError with the log's last lines."""
    began = time.monotonic()
    is_said = False
    while not is_so():
        waited = time.monotonic() - began
        if waited > PATIENCE_SECONDS and not is_said:
            is_said = True
            say(f"  waiting for {what}")
        if waited > seconds:
            tail = "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-12:]) if log.is_file() else ""
            raise SetupError(
                f"{what}: not there within {seconds:.0f} s. The end of {log}:\n{tail}\n"
                "  Do: run make cluster again, which goes on from here, or make cluster-down first, for a new one."
            )
        time.sleep(0.05)


def clash(routes: Sequence[Mapping[str, Any]]) -> str | None:
    """The first route of this machine that the node's own would take away, in words.

    ``routes`` are those that ``ip -json route`` lists. A wider one, such as the default, keeps all but the node's addresses.
    """
    for route in routes:
        with contextlib.suppress(ValueError):
            network = ipaddress.IPv4Network(route["dst"])
            if route.get("dev") != LINK and any(network.subnet_of(own) for own in _networks()):
                return f"{network} by {route.get('dev', route.get('type', 'no device'))}"
    return None


def _networks() -> list[ipaddress.IPv4Network]:
    return [ipaddress.IPv4Interface(f"{HOST}/24").network, ipaddress.IPv4Network(PODS), ipaddress.IPv4Network(SERVICES)]


def _nodes() -> Iterator[tuple[int, Path]]:
    """Every node with a cable to this network: its first process, and its supervisor's configuration."""
    network = Path("/proc/self/ns/net").readlink()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            words = process.cmdline()
            configuration = next((Path(word) for word in words if word.endswith(str(Place(Path("/")).supervisor))), None)
            if configuration is None or not is_first(Path(f"/proc/{process.pid}/status").read_text()):
                continue
            own, waiting = (Path(f"/proc/{pid}/ns/net").readlink() for pid in (process.pid, process.ppid()))
            if own != waiting == network:
                yield process.pid, configuration


def is_first(status: str) -> bool:
    """Whether a process is the first of a namespace below this one, by its /proc/PID/status."""
    ids = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
    return len(ids) > 1 and ids[-1] == "1"


def _start(place: Place, keep: Sequence[Path]) -> Node:
    place.logs.mkdir(parents=True, exist_ok=True)
    log = place.logs / "node.log"
    # The network is parted from inside: the process that waits for the node stays in that of the host.
    command = ["unshare", "--fork", "--pid", "--mount", "--kill-child", "unshare", "--net"]
    command += [sys.executable, "-m", "toolchain.cluster.init", place.cgroup, str(place.supervisor), *map(str, keep)]
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
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and holder.poll() is None:
        found = running(place)
        if found is not None:
            return found
        time.sleep(0.02)
    holder.kill()
    raise SetupError(
        f"the node's namespaces could not be made: {log.read_text(errors='replace').strip()}\n"
        "  Do: run it where root may make them; a container has to be privileged for that."
    )


def _connect(node: Node) -> None:
    """Lay the cable to the node and the routes to its networks, or what is missing of them after an interruption."""
    if not (_has_cable() and f"{CABLE}:" in Path(f"/proc/{node.pid}/net/dev").read_text()):
        _refuse_clash()
        with contextlib.suppress(SetupError):
            # That of a node that was killed: the kernel may be about to remove it.
            _ip("link", "delete", LINK)
        _ip("link", "add", LINK, "type", "veth", "peer", "name", CABLE, "netns", str(node.pid))
    _ip("addr", "replace", f"{HOST}/24", "dev", LINK)
    _ip("link", "set", LINK, "up")
    for network in (PODS, SERVICES):
        _ip("route", "replace", network, "via", NODE)


def _has_cable() -> bool:
    # Not /sys/class/net, which goes on showing another network where only that of the process was changed.
    return f"{LINK}:" in Path("/proc/self/net/dev").read_text()


def _refuse_second() -> None:
    """Refuse another checkout's node in the same network, which has the same addresses."""
    found = next(_nodes(), None)
    if found is not None:
        pid, configuration = found
        checkout = configuration.parents[2]
        is_there = (checkout / "Makefile").is_file()
        act = f"use that one, or end it: make -C {checkout} cluster-down" if is_there else f"that folder is gone; end it: kill {pid}"
        raise SetupError(f"another checkout's cluster has this machine's address {NODE}: {checkout} (process {pid}).\n  Do: {act}")


def _refuse_clash() -> None:
    found = clash(json.loads(_ip("-json", "-4", "route", "show") or "[]"))
    if found is not None:
        raise SetupError(
            f"this machine sends addresses that the cluster needs another way: {found} (needed: {', '.join(map(str, _networks()))}).\n"
            "  Do: end what has that network (another cluster, a VPN), then run make cluster again."
        )


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], env={**os.environ, "PATH": PATH}, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SetupError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _remove_cgroups(place: Place) -> bool:
    """Remove the node's cgroups, innermost first, and say whether there were any. Their last processes take a moment to go."""
    deadline = time.monotonic() + 10
    was_there = False
    while tops := [
        path for path in (Path("/sys/fs/cgroup") / place.cgroup, *Path("/sys/fs/cgroup").glob(f"*/{place.cgroup}")) if path.is_dir()
    ]:
        was_there = True
        for folder in (Path(found) for top in tops for found, _, _ in os.walk(top, topdown=False)):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if time.monotonic() > deadline:
            raise SetupError(f"{tops[0]} can't be removed: a process is still in it. Do: end it (cgroup.procs), then run the same command")
        time.sleep(0.05)
    return was_there
