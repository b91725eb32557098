"""Clears what a killed update left behind, when it is proven to be dead; safe to run always."""

from __future__ import annotations

import contextlib
import json
import platform
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from infra import files
from infra.config import PROJECT
from infra.errors import PlatformError
from infra.local import daemon, place
from pipelines.engine import Engine

OWN_TYPES = ("pulumi-python:dynamic/mldelivery:", "kubernetes:")
"""Types whose create, update and delete adopt what is there (in a cluster by server-side apply under fixed names), so that an operation
cut short can simply be done again."""


@dataclass(frozen=True)
class Lock:
    """A lock file of the file backend, and who holds it."""

    file: Path
    pid: int
    host: str
    user: str
    at: datetime

    @property
    def is_stale(self) -> bool:
        """Whether its owner is proven dead: this host, and no such process, or one that started after the lock was made."""
        if self.host != platform.node():
            return False
        try:
            process = psutil.Process(self.pid)
            return process.status() == psutil.STATUS_ZOMBIE or process.create_time() > self.at.timestamp() + 2
        except psutil.Error:
            return not psutil.pid_exists(self.pid)


def recover(engine: Engine) -> list[str]:
    """Clear stale locks and our own pending operations; returns what was done, in words.

    Raises PlatformError that names the holder of a lock that is not proven stale.
    """
    done = []
    served = (engine.root / "releases").glob("*/served/*")
    files.sweep([engine.root, *served])
    if _is_of_this_machine(engine):
        files.sweep([place.STORE, *place.STORE.glob("*")])
    for lock in locks(engine):
        if not lock.is_stale:
            raise PlatformError(
                f"another update holds stack {engine.stack}: process {lock.pid} of {lock.user} on {lock.host}, since {lock.at:%H:%M} UTC",
                where=str(lock.file),
                act="wait for it to end, then run the same command again; on another host, ask its owner and run: pulumi cancel",
            )
        lock.file.unlink(missing_ok=True)
        if _is_of_this_machine(engine):
            daemon.end_strays()
        done.append(f"cleared the lock of process {lock.pid}, which is dead")
    state = engine.state()
    pending = state.get("pending_operations") or []
    strangers = [operation["resource"]["type"] for operation in pending if not operation["resource"]["type"].startswith(OWN_TYPES)]
    if strangers:
        done.append(f"left alone: pending operations of {', '.join(strangers)}; read `pulumi refresh --help`")
    elif pending:
        _drop_pending(engine)
        names = ", ".join(operation["resource"]["urn"].rsplit("::", 1)[1] for operation in pending)
        done.append(f"an earlier update was cut short at {names}; it is done again")
    if done and not strangers and _is_of_this_machine(engine):
        _end_unknown_servers(state)
    return done


def locks(engine: Engine) -> list[Lock]:
    """The locks on a stack; none where the state does not lie in files."""
    if engine.state_folder is None:
        return []
    found = []
    for file in (engine.state_folder / "locks" / "organization" / PROJECT / engine.stack).glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            at = datetime.fromisoformat(facts["timestamp"])
            found.append(Lock(file, int(facts["pid"]), facts["hostname"], facts["username"], at))
    return found


def _is_of_this_machine(engine: Engine) -> bool:
    """Whether a stack's processes are those of this checkout; another stack's state knows nothing of them."""
    return engine.stack == "local" and engine.root / ".local" == place.STORE


def _end_unknown_servers(state: dict[str, Any]) -> None:
    """End servers that a killed update had started and not yet written down: nothing routes to them, and nobody would ever end them."""
    resources = [found for found in state.get("resources") or [] if found["type"].endswith(":ReleaseServer")]
    known = {found["urn"].rsplit("::", 1)[1] for found in resources}
    for file in daemon.PROGRAMS.glob("serve-*.conf"):
        if file.stem.rsplit("-", 1)[0] not in known:
            daemon.remove(file.stem)


def _drop_pending(engine: Engine) -> None:
    exported = engine.capture("stack", "export")
    if exported.returncode:
        raise PlatformError(f"the state could not be read: {exported.stderr.strip()}", where=engine.stack)
    document = json.loads(exported.stdout)
    document["deployment"]["pending_operations"] = []
    imported = engine.capture("stack", "import", text=json.dumps(document))
    if imported.returncode:
        raise PlatformError(f"the state could not be mended: {imported.stderr.strip()}", where=engine.stack)
