"""supervisord: what keeps the local target's processes alive after the command that started them has ended."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from infra.driver import is_alive
from infra.errors import PlatformError
from infra.local import place

CONFIG = place.SUPERVISOR / "supervisord.conf"
PROGRAMS = place.SUPERVISOR / "programs"
STOP_SECONDS = 15


@dataclass(frozen=True, kw_only=True)
class Program:
    """A process to keep alive: its name, what to run, where, and with which variables beside the inherited ones."""

    name: str
    argv: Sequence[str]
    directory: str
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: int = STOP_SECONDS

    @property
    def log(self) -> Path:
        """Where its output goes, both streams together."""
        return place.LOGS / f"{self.name}.log"

    def section(self) -> str:
        """The program's file for supervisord."""
        variables = {**self.environment, place.STORE_VARIABLE: str(place.STORE)}
        lines = [
            f"[program:{self.name}]",
            "command=" + shlex.join(self.argv),
            f"directory={self.directory}",
            "environment=" + ",".join(f'{key}="{value}"' for key, value in sorted(variables.items())),
            f"stdout_logfile={self.log}",
            "redirect_stderr=true",
            "stdout_logfile_maxbytes=5MB",
            "stdout_logfile_backups=1",
            "autostart=true",
            "autorestart=true",
            "startsecs=1",
            "startretries=20",
            f"stopwaitsecs={self.stop_seconds}",
            "stopasgroup=true",
            "killasgroup=true",
        ]
        head, *rest = lines
        return "\n".join([head, *(line.replace("%", "%%") for line in rest)]) + "\n"


def socket() -> Path:
    """The daemon's own socket, readable by its user alone."""
    return place.runtime_folder() / "supervisor.sock"


def call(method: str, *arguments: Any) -> Any:
    """Ask the daemon over its socket. Raises OSError where none listens, xmlrpc.client.Fault where it refuses."""
    transport = SupervisorTransport(None, None, f"unix://{socket()}")
    try:
        return getattr(xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport), method)(*arguments)
    finally:
        transport.close()


def is_running() -> bool:
    """Whether the daemon answers."""
    try:
        return bool(call("supervisor.getState")["statename"] == "RUNNING")
    except (OSError, xmlrpc.client.Error, xmlrpc.client.ProtocolError):
        return False


def start() -> None:
    """Start the daemon, which starts every program that it had; does nothing where it runs. Raises PlatformError."""
    with place.locked(place.SUPERVISOR / "start.lock", wait_seconds=30):
        if is_running():
            return
        end_orphans()
        PROGRAMS.mkdir(parents=True, exist_ok=True)
        place.LOGS.mkdir(parents=True, exist_ok=True)
        place.write_whole(CONFIG, _configuration())
        with contextlib.suppress(FileNotFoundError):
            socket().unlink()
        done = subprocess.run(
            [place.executable("supervisord"), "-c", str(CONFIG)],
            capture_output=True,
            text=True,
            check=False,
            # A session of its own: a Ctrl-C on the command that starts it must not reach what serves.
            start_new_session=True,
            env=_plain_environment(),
        )
        deadline = time.monotonic() + 10
        while done.returncode == 0 and time.monotonic() < deadline:
            if is_running():
                return
            time.sleep(0.02)
        raise PlatformError(
            f"supervisord did not start: {(done.stderr or done.stdout).strip()}",
            where=str(CONFIG),
            act="read .local/supervisor/supervisord.log",
        )


def stop() -> None:
    """Stop the daemon and all that it runs, and wait until they have ended."""
    processes = []
    with contextlib.suppress(OSError, xmlrpc.client.Error, psutil.Error):
        daemon = psutil.Process(call("supervisor.getPID"))
        processes = [daemon, *daemon.children(recursive=True)]
        call("supervisor.shutdown")
    end(processes, patience_seconds=STOP_SECONDS + 5)
    end_orphans()
    shutil.rmtree(place.runtime_folder(), ignore_errors=True)


def put(program: Program) -> None:
    """Have the daemon run a program as given: started, restarted where its file changed, revived where it had given up."""
    with place.locked(place.SUPERVISOR / "programs.lock", wait_seconds=60):
        place.write_whole(PROGRAMS / f"{program.name}.conf", program.section())
        _, changed, _ = call("supervisor.reloadConfig")[0]
        if program.name in changed:
            _forget(program.name)
        try:
            call("supervisor.addProcessGroup", program.name)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_ADDED" not in fault.faultString:
                raise
            if state(program.name) not in ("RUNNING", "STARTING", "BACKOFF"):
                call("supervisor.startProcess", program.name, False)


def remove(name: str) -> None:
    """Stop a program and forget it; nothing to do where it is not there."""
    with contextlib.suppress(OSError, xmlrpc.client.Error):
        # It takes its time, which nobody else shall wait for.
        call("supervisor.stopProcessGroup", name)
    with place.locked(place.SUPERVISOR / "programs.lock", wait_seconds=60):
        (PROGRAMS / f"{name}.conf").unlink(missing_ok=True)
        if is_running():
            _forget(name)
            call("supervisor.reloadConfig")


def state(name: str) -> str:
    """The daemon's word on a program: RUNNING, STARTING, BACKOFF, FATAL, EXITED, STOPPED, or MISSING."""
    try:
        return str(call("supervisor.getProcessInfo", name)["statename"])
    except (OSError, xmlrpc.client.Error):
        return "MISSING"


def last_lines(program: Program, count: int = 5) -> str:
    """The end of a program's log, for a message."""
    try:
        lines = program.log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-count:])


def own_processes() -> Iterator[psutil.Process]:
    """Every process of this user that carries this checkout's variable, this one and its ancestors left out."""
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        if process.pid in spared:
            continue
        with contextlib.suppress(psutil.Error):
            if process.uids().real == os.getuid() and process.environ().get(place.STORE_VARIABLE) == str(place.STORE):
                yield process


def end_orphans() -> None:
    """End what a daemon that does not answer left behind: itself and the programs it ran. Strangers are never touched."""
    orphans = []
    for process in own_processes():
        with contextlib.suppress(psutil.Error):
            if _is_daemon_or_program(process):
                orphans.append(process)
                process.terminate()
    end(orphans, patience_seconds=STOP_SECONDS)


def end_strays() -> None:
    """End parts of the engine that outlived a killed update: our own, with no engine above them."""
    strays = []
    for process in own_processes():
        with contextlib.suppress(psutil.Error):
            is_part = process.name().startswith("pulumi-") or any("pulumi" in word for word in process.cmdline()[:4])
            if is_part and not _is_daemon_or_program(process) and "pulumi" not in {parent.name() for parent in process.parents()}:
                strays.append(process)
                process.terminate()
    end(strays, patience_seconds=3)


def end(processes: Sequence[psutil.Process], *, patience_seconds: float) -> None:
    """Wait until processes that were told to stop have ended; kill what has not after ``patience_seconds``."""
    deadline = time.monotonic() + patience_seconds
    while (alive := [process for process in processes if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _is_daemon_or_program(process: psutil.Process) -> bool:
    return process.environ().get("SUPERVISOR_ENABLED") == "1" or str(CONFIG) in process.cmdline()


def _forget(name: str) -> None:
    for method in ("supervisor.stopProcessGroup", "supervisor.removeProcessGroup"):
        with contextlib.suppress(xmlrpc.client.Fault):
            call(method, name)


def _configuration() -> str:
    lines = [
        "[unix_http_server]",
        f"file={socket()}",
        "chmod=0600",
        "[supervisord]",
        f"logfile={place.SUPERVISOR / 'supervisord.log'}",
        "logfile_maxbytes=5MB",
        "logfile_backups=1",
        f"pidfile={place.SUPERVISOR / 'supervisord.pid'}",
        f"childlogdir={place.LOGS}",
        f"directory={place.STORE}",
        "minfds=4096",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        "[include]",
        f"files={PROGRAMS}/*.conf",
    ]
    return "\n".join(line.replace("%", "%%") for line in lines) + "\n"


def _plain_environment() -> dict[str, str]:
    """What the daemon and its programs inherit: nothing of the engine's, whose variables can hold a passphrase or a backend's keys."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "AWS_"))}
    return {**kept, place.STORE_VARIABLE: str(place.STORE)}
