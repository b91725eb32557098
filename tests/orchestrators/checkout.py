"""A checkout of the test's own, in which an orchestrator makes releases of iris as it would in a user's."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from infra.release import load, numbers
from tests.laptop import Laptop, lend_environment

FIRST = "2026-10-31"
LATER = "2026-11-24"
BATCH = "2026-10-19.csv"
COLOUR = re.compile("\x1b\\[[0-9;]*m")
OF_ITS_RUN = {"created", "tracking", "card", "digest"}
"""What differs between two releases made from the same things: times, MLflow's numbers, and the card, which shows them."""


@dataclass
class Checkout:
    """A copy of this checkout with this one's environment. ``port``: the first of twenty free ones."""

    root: Path
    port: int
    environ: dict[str, str]

    @classmethod
    def make(cls, folder: Path) -> Checkout:
        """Copy what Git knows or would add."""
        laptop = Laptop.make(folder)
        lend_environment(folder)
        kept = {key: value for key, value in laptop.environment.items() if not key.startswith(("PYTHONPATH", "AIRFLOW", "VIRTUAL_ENV"))}
        airflow = {
            "AIRFLOW__API__PORT": str(laptop.port),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(laptop.port + 1),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(laptop.port + 2),
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
            "COLUMNS": "1000",
        }
        if laptop.reservation is not None:
            laptop.reservation.close()
        return cls(folder, laptop.port, {**kept, **airflow})

    @property
    def store(self) -> Path:
        return self.root / ".local"

    @property
    def batch(self) -> Path:
        return self.root / "models" / "iris" / "data" / "batches" / BATCH

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start an orchestrator by its command, in a session of its own, both streams together."""
        return subprocess.Popen(
            [sys.executable, "-m", "toolchain.orchestrators", *arguments],
            cwd=self.root,
            env=self.environ,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *arguments: str, seconds: float = 240) -> tuple[int, str]:
        """Run an orchestrator to its end: exit code, and what it said."""
        process = self.start(*arguments)
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.end()
            said, _ = process.communicate()
            raise AssertionError(f"{arguments} took more than {seconds} s:\n{said}") from None
        return process.returncode, COLOUR.sub("", said)

    def kill_after(self, words: str, *arguments: str) -> str:
        """Start an orchestrator, and end it and all that it started by SIGKILL once it has said something, as a power cut would."""
        process = self.start(*arguments)
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if words in line:
                break
        else:
            raise AssertionError(f"ended without saying {words!r}:\n{said}")
        self.end()
        process.communicate()
        return said

    def processes(self) -> list[psutil.Process]:
        """Every living process that works in this checkout."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != os.getpid() and str(self.root) in f"{process.cwd()} {process.environ().get('AIRFLOW_HOME')}":
                    found.append(process)
        return found

    def end(self) -> None:
        """Kill all that works here."""
        deadline = time.monotonic() + 20
        while left := self.processes():
            assert time.monotonic() < deadline, left
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(signal.SIGKILL)
            time.sleep(0.1)

    def spoil(self) -> None:
        """Write a word where a number should be."""
        header, first, *others = self.batch.read_text(encoding="utf-8").splitlines(keepends=True)
        self.batch.write_text("".join([header, "long" + first[first.index(",") :], *others]), encoding="utf-8")

    def made(self, number: int, store: Path | None = None) -> dict[str, Any]:
        """A release's record, without what is of its run only."""
        document = load(store or self.store, "iris", number).as_document()
        return {key: value for key, value in document.items() if key not in OF_ITS_RUN}

    def numbers(self) -> list[int]:
        return numbers(self.store, "iris")

    def by_command(self, until: str, store: Path, *more: str) -> None:
        """Make a release with the command line, in a store of its own."""
        command = [sys.executable, "-m", "pipelines", "release", "iris", "--until", until, "--store", str(store), *more]
        subprocess.run(command, cwd=self.root, env=self.environ, check=True, capture_output=True, timeout=180)

    def dag_test(self, **params: str) -> tuple[str, ...]:
        """The command that runs the DAG of iris once, without a scheduler."""
        return ("airflow", "dags", "test", "release-iris", "--conf", json.dumps(params))
