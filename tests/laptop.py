"""A laptop of the test's own: a copy of this checkout with its own store, state and ports, driven by the same command line as a user's."""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil
import yaml

from tests import faulty
from tests.load import Load
from toolchain import environment

ROOT = Path(__file__).parents[1]
ENDING_SECONDS = 10
"""So long a process may take to end after the command that needed it: a part of an engine that was killed stays 5 s by itself."""
FAST = {"steps": [20, 60], "step-seconds": 0.6, "bake-seconds": 0.6, "minimum-sample": 30, "insufficient": "probe"}
SLO = {"error-rate": 0.02, "p99-ms": 2500}
"""How slow is too slow is asked by one scenario: elsewhere one slow request on a busy machine must not end a good release."""


def copy_checkout(folder: Path) -> None:
    """Copy the checkout (what Git knows or would add) into a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


@dataclass
class Laptop:
    """One copy. ``environment`` is what its commands run with."""

    root: Path
    port: int
    stack: str = "local"
    environment: dict[str, str] = field(default_factory=dict)
    reservation: socket.socket | None = None

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Copy the checkout (what Git knows or would add) into a folder, with ports of its own."""
        copy_checkout(folder)
        port, reservation = _free_block()
        laptop = cls(folder, port, reservation=reservation)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "MLDELIVERY_", "MLFLOW_"))}
        laptop.environment = {**kept, "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(folder)}
        laptop.configure({"iris": {"champion": 1}})
        return laptop

    @property
    def store(self) -> Path:
        return self.root / ".local"

    @property
    def state(self) -> Path:
        """The folder of the engine's file backend."""
        return self.store / "state" / ".pulumi"

    @property
    def releases(self) -> Path:
        """The folder that holds the stack's release records and what they name."""
        return self.store

    @property
    def config(self) -> Path:
        return self.root / f"Pulumi.{self.stack}.yaml"

    @property
    def dashboard(self) -> int:
        return self.port + 1

    def configure(self, models: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the stack's file; a model that says nothing of its rollout gets a fast one."""
        document = {
            "config": {
                "mldelivery:target": "local",
                "mldelivery:models": {
                    # Copies: one shared mapping would be written as a YAML alias, which config refuses.
                    name: copy.deepcopy({"rollout": FAST, "slo": SLO, "ready-seconds": 20, **model})
                    for name, model in models.items()
                },
                "mldelivery:ports": {
                    "gateway": self.port,
                    "dashboard": self.dashboard,
                    "mlflow": self.port + 2,
                    "servers": self.port + 10,
                },
            }
        }
        self.config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def champion(self, number: int | str, model: str = "iris", **changes: Any) -> None:
        """Edit one model of the stack's file, as a person would."""
        document = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        document["config"]["mldelivery:models"][model].update({"champion": number, **changes})
        self.config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def drop_challenger(self, model: str = "iris") -> None:
        """Take a model's challenger out of the stack's file, where it has one."""
        document = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        document["config"]["mldelivery:models"][model].pop("challenger", None)
        self.config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of the project, in a session of its own, with both streams together."""
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines", *arguments],
            cwd=self.root,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *arguments: str, timeout: float = 480) -> subprocess.CompletedProcess[str]:
        """Run a command of the project to its end."""
        process = self.start(*arguments)
        try:
            out, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            out, _ = process.communicate()
            raise AssertionError(f"{arguments} took more than {timeout} s:\n{out}") from None
        return subprocess.CompletedProcess(arguments, process.returncode, out, "")

    def ok(self, *arguments: str) -> str:
        """Run a command that must succeed; returns what it printed."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """Run a command that must fail without a traceback; returns what it printed."""
        done = self.run(*arguments)
        assert done.returncode not in (0, None), done.stdout
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    def up(self) -> str:
        return self.ok("up", "--stack", self.stack)

    def has_no_changes(self) -> None:
        """Assert that the engine sees nothing to do."""
        out = self.ok("preview", "--stack", self.stack)
        assert "unchanged" in out and not any(word in out for word in ("to create", "to update", "to delete", "to replace")), out

    def connect(self) -> http.client.HTTPConnection:
        """A connection to the gateway."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def make_release(self, number: int, *, fault: faulty.Fault | None = None) -> None:
        """Make release ``number`` from release 2, with a fault in it or none."""
        faulty.make(self.store, number, fault=fault)

    def ask(self, body: Any, *, path: str = "/iris/predict", headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], Any]:
        """One request through the gateway: status, headers in lower case, body."""
        connection = self.connect()
        try:
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            text = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, json.loads(text) if found.get("content-type", "").startswith("application/json") else text
        finally:
            connection.close()

    def golden(self, release: int, model: str = "iris") -> list[dict[str, Any]]:
        """The golden requests and answers of a release."""
        text = (self.releases / "bentos" / model / str(release) / "src" / "release" / "golden.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def load(self, *, rate: float = 60) -> Load:
        """Users who ask iris at a constant rate, with requests whose answers both real releases (1 and 2) recorded."""
        shared = {str(line["request"]) for line in self.golden(2)}
        bodies = [line["request"] for line in self.golden(1) if str(line["request"]) in shared]
        assert len(bodies) >= 10, "releases 1 and 2 share too few golden requests to check answers with"
        return Load(self.connect, "/iris/predict", bodies, rate=rate)

    def status(self) -> dict[str, Any]:
        """What `make status` says of the first model."""
        return dict(json.loads(self.ok("status", "--stack", self.stack, "--json"))["models"][0])

    def account(self, model: str = "iris") -> dict[str, Any]:
        """The ledger of a model's rollouts."""
        return dict(json.loads((self.store / "rollouts" / f"{model}.json").read_text(encoding="utf-8")))

    def processes(self) -> list[psutil.Process]:
        """Every living process that carries this copy's mark."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("MLDELIVERY_STORE") == str(self.store) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def remaining(self, spared: Callable[[], Collection[int]] = tuple) -> list[psutil.Process]:
        """The copy's processes that stay, without the spared ones: what its engine has killed may be there for a moment yet."""
        deadline = time.monotonic() + ENDING_SECONDS
        while (left := [process for process in self.processes() if process.pid not in spared()]) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def server(self, release: int, model: str = "iris") -> psutil.Process:
        """The process that serves a release."""
        needle = f"serve-{model}-{release}-0"
        found = [process for process in self.processes() if any(needle in word for word in process.cmdline())]
        assert len(found) == 1, [process.cmdline() for process in found]
        return found[0]

    def serving(self) -> set[str]:
        """Names of the supervised model servers."""
        return {file.stem for file in (self.store / "supervisor" / "programs").glob("serve-*.conf")}

    def left_over(self, champion: int) -> list[str]:
        """What lies or runs about beside the servers of the champion and the platform: processes, files, locks; in words."""
        found = [f"server {name}" for name in self.serving() if name.rsplit("-", 1)[0] != f"serve-iris-{champion}"]
        if not self.serving():
            found.append(f"no server of {champion}")
        found += [f"process {command_of(process)}" for process in self.remaining(self._supervised)]
        if (self.store / "rollouts" / "interrupt").exists():
            found.append("the note of an interruption")
        return found + self.left_files()

    def left_files(self) -> list[str]:
        """Half-written files and locks of the copy, in words."""
        partial = [path for path in self.root.rglob("*.partial") if ".venv" not in path.parts]
        locks = (self.state / "locks").rglob("*.json")
        return [f"half-written {path}" for path in partial] + [f"lock {path}" for path in locks]

    def _supervised(self) -> list[int]:
        pid = int((self.store / "supervisor" / "supervisord.pid").read_text(encoding="utf-8"))
        with contextlib.suppress(psutil.NoSuchProcess):
            return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        return []

    def destroy(self) -> None:
        """Take the copy down and assert that nothing of it still runs."""
        self.run("down", "--stack", self.stack)
        if self.reservation is not None:
            self.reservation.close()
        left = self.remaining()
        told = [(process.pid, command_of(process)) for process in left]
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        assert not left, told


def lend_environment(root: Path) -> None:
    """Give a copy this checkout's Python environment, so that `make` finds it set up (``tests/unit/toolchain`` tests the set-up)."""
    venv = root / ".venv"
    venv.mkdir()
    for path in (ROOT / ".venv").iterdir():
        if path.name != environment.STAMP:
            (venv / path.name).symlink_to(path)
    (venv / environment.STAMP).write_text(environment.fingerprint(root), encoding="utf-8")


def wait_until(happened: Any, *, seconds: float = 120, what: str = "") -> None:
    """Wait for a condition, bounded: by default for longer than anything takes on a busy machine."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def command_of(process: psutil.Process) -> list[str]:
    """A process's command line, empty for one that has ended meanwhile."""
    with contextlib.suppress(psutil.Error):
        return list(process.cmdline())
    return []


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Read a started command's output until it says something; returns what was read."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if words in line:
            return text
    raise AssertionError(f"ended without saying {words!r}:\n{text}")


def kill_session(process: subprocess.Popen[str]) -> None:
    """kill -9 a started command and every process of its session, as a power cut would; supervised servers have sessions of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for found in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(found.pid) == process.pid:
                found.kill()
    process.communicate()


def _free_block() -> tuple[int, socket.socket]:
    """A port whose successors are free: the copy's gateway, dashboard, MLflow and servers; the socket keeps the block from other tests."""
    for base in random.sample(range(20_000, 32_000, 1_000), 12):
        reservation = socket.socket()
        try:
            # The last of the block, which no server asks for.
            reservation.bind(("127.0.0.1", base + 999))
            for offset in range(20):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", base + offset))
        except OSError:
            reservation.close()
            continue
        return base, reservation
    raise AssertionError("no free block of ports")


@contextlib.contextmanager
def laptop(folder: Path) -> Iterator[Laptop]:
    """A laptop for the length of a block."""
    made = Laptop.make(folder)
    try:
        yield made
    finally:
        made.destroy()
