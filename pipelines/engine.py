"""Drives the Pulumi command line for one stack, and learns from its own event log why an update failed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.config import PROJECT
from infra.errors import PlatformError


@dataclass(frozen=True)
class Ended:
    """How a run of the engine ended: its exit code, its error messages by resource, and the number of resources it changed."""

    code: int
    errors: tuple[str, ...]
    changes: int

    @property
    def reason(self) -> str:
        """The first error in plain words."""
        return self.errors[0] if self.errors else f"the engine ended with exit code {self.code}"


@dataclass(frozen=True)
class Engine:
    """The engine for one stack of a checkout; ``offline`` is the folder of the state of a preview that asks nobody."""

    root: Path
    stack: str
    offline: Path | None = None

    @property
    def backend(self) -> str:
        """Where the stack's state lies: in the checkout for a machine's own stacks, else where PULUMI_BACKEND_URL says.

        Raises PlatformError for an environment without a place of its own: in a checkout nobody else would find what stands.
        """
        if self.offline is not None:
            return f"file://{self.offline}"
        own = self.root / ".local" / "state"
        if self.stack in _OWN:
            return f"file://{own}"
        url = os.environ.get("PULUMI_BACKEND_URL", "")
        if not url or Path(url.removeprefix("file://")).resolve() == own.resolve():
            raise PlatformError(
                f"the state of {self.stack} needs a place that all who work on it share",
                where="PULUMI_BACKEND_URL",
                got=url or "not set",
                allowed=f"the line that this prints: python -m infra.aws.bootstrap {self.stack}",
                act=f"export it and run the same command again; to look without an account: make preview STACK={self.stack} OFFLINE=1",
            )
        return url

    @property
    def state_folder(self) -> Path | None:
        """Folder of the file backend, or None where the state lies elsewhere."""
        url = self.backend
        return Path(url.removeprefix("file://")) / ".pulumi" if url.startswith("file://") else None

    @property
    def state_file(self) -> Path | None:
        """The stack's state in the file backend."""
        return self.state_folder / "stacks" / PROJECT / f"{self.stack}.json" if self.state_folder else None

    def state(self) -> dict[str, Any]:
        """The stack's deployment as it stands; empty for a stack that was never brought up."""
        if self.state_file is not None:
            try:
                found = json.loads(self.state_file.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return {}
            except ValueError as error:
                act = "restore the newest file of .local/state/.pulumi/backups, or: make clean"
                raise PlatformError(f"the state is damaged: {error}", where=str(self.state_file), act=act) from None
            return dict(found.get("checkpoint", {}).get("latest") or {})
        done = self.capture("stack", "export")
        return dict(json.loads(done.stdout).get("deployment") or {}) if done.returncode == 0 else {}

    def ensure_stack(self) -> None:
        """Make the stack's state where there is none yet."""
        if self.state_folder is not None:
            self.state_folder.parent.mkdir(parents=True, exist_ok=True)
        if self.state_file is not None and self.state_file.is_file():
            return
        done = self.capture("stack", "init", self.stack)
        if done.returncode and "already exists" not in done.stderr:
            raise PlatformError(f"the stack could not be made: {done.stderr.strip()}", where=self.stack)

    def capture(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the engine and keep what it prints."""
        return subprocess.run(
            [_pulumi(), *arguments, *self._flags(arguments)],
            cwd=self.root,
            env=self._environment(),
            input=text,
            text=True,
            capture_output=True,
            check=False,
        )

    def declared(self, config: str) -> str:
        """All that the stack would make, as ``pulumi preview --json`` prints it, with the config of a file. Raises PlatformError."""
        arguments = ("preview", "--json", "--config-file", config)
        command = [*self._attaching(), _pulumi(), *arguments, *self._flags(arguments), *_QUIET]
        done = subprocess.run(command, cwd=self.root, env=self._environment(), text=True, capture_output=True, check=False)
        if done.returncode:
            raise PlatformError(f"the preview of {self.stack} failed: {_said(done)}")
        return done.stdout

    def run(self, *arguments: str, is_policed: bool | None = None) -> Ended:
        """Run the engine with its output passing through, live.

        It asks the policy pack in previews and updates of every stack that is not a machine's own, unless told otherwise.
        """
        asks = is_policed if is_policed is not None else self.stack not in _OWN and arguments[0] in ("preview", "up")
        sys.stdout.flush()
        with tempfile.TemporaryDirectory(prefix="mldelivery-") as folder:
            log = Path(folder) / "events.jsonl"
            pack = [sys.executable, "-m", "toolchain.policy_pack", "--"] if asks else []
            command = [*pack, *self._attaching(), _pulumi(), *arguments, *self._flags(arguments), *_QUIET, "--event-log", str(log)]
            with _interrupts_reach_rollouts(self.root):
                code = subprocess.run(command, cwd=self.root, env=self._environment(), check=False).returncode
            return _ended(code, log)

    def _attaching(self) -> list[str]:
        """The command in front of the engine's that lends it providers where the official plugins are missing; a laptop needs none."""
        plugins = [] if self.stack == "local" else ["kubernetes"] if self.stack == "cluster" else ["kubernetes", "aws"]
        options = ["--offline"] if self.offline else []
        return [sys.executable, "-m", "toolchain.providers", *options, *plugins, "--"] if plugins else []

    def _flags(self, arguments: Sequence[str]) -> list[str]:
        return ["--non-interactive", *([] if arguments[:2] == ("stack", "init") else ["--stack", self.stack])]

    def _environment(self) -> dict[str, str]:
        defaults = {
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "DO_NOT_TRACK": "1",
            # Without it the flag --event-log does not exist.
            "PULUMI_DEBUG_COMMANDS": "true",
        }
        if self.stack in _OWN:
            # The state of a machine's own stacks holds no secret; an empty passphrase spares its user a prompt.
            defaults["PULUMI_CONFIG_PASSPHRASE"] = ""
        forced = {"PULUMI_BACKEND_URL": self.backend}
        if self.offline is not None:
            forced |= {"PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_HOME": str(home(self.offline))}
            # It begins with nothing and ends in seconds: twice the memory costs less than looking four times for what can be given back.
            # Official plugins, which are much larger and inherit this, are not started.
            defaults["GOGC"] = "400"
        path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**defaults, **os.environ, **forced, "PATH": path, "MLDELIVERY_STORE": str(self.root / ".local")}


def home(offline: Path) -> Path:
    """The engine's own folder in a preview that asks nobody: it leaves nothing in the user's, and finds nothing there."""
    return offline / "home"


_OWN = ("local", "cluster")
"""Stacks of one machine. They ask the policy pack on demand only (`make policy`): it costs a second of every run."""

_QUIET = ("--suppress-progress", "--skip-plugin-pre-install")
"""No lines of dots; and no attempt to fetch the cloud's plugins before they are needed, which costs seconds where there is no network."""


def _pulumi() -> str:
    found = shutil.which("pulumi")
    if found is None:
        raise PlatformError("pulumi is not on PATH", act="use make, or: source toolchain/activate")
    return found


@contextlib.contextmanager
def _interrupts_reach_rollouts(root: Path) -> Iterator[None]:
    """On Ctrl-C, tell a running rollout to go back at once: the engine would wait for its end."""
    note = root / ".local" / "rollouts" / "interrupt"

    def interrupted(_signal: int, _frame: object) -> None:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(str(os.getpid()), encoding="utf-8")

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        note.unlink(missing_ok=True)


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """The first error of a preview that printed JSON, or else what it wrote beside that."""
    with contextlib.suppress(ValueError):
        for each in json.loads(done.stdout).get("diagnostics") or []:
            if each.get("severity") == "error":
                return plain(str(each["message"]))
    return done.stderr.strip()[-2000:]


def _ended(code: int, log: Path) -> Ended:
    errors: list[str] = []
    findings: list[str] = []
    changes = 0
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            diagnostic = event.get("diagnosticEvent")
            if diagnostic and diagnostic.get("severity") == "error":
                errors.append(plain(diagnostic["message"]))
            policy = event.get("policyEvent")
            if policy and policy.get("enforcementLevel") == "mandatory":
                # Its first line says where to read more; that is said once.
                findings.append(plain(policy["message"]).partition("\n")[2])
            if summary := event.get("summaryEvent"):
                changes = sum(count for kind, count in (summary.get("resourceChanges") or {}).items() if kind != "same")
    if findings:
        errors.insert(0, "\n".join((f"what no stack may do (docs/how-to/policy.md), {len(findings)} found", *findings)))
    return Ended(code, tuple(error for error in errors if error and error != "update failed"), changes)


def plain(message: str) -> str:
    """An engine's error message without its colours and the wrapping of the dynamic provider's transport."""
    import re

    text = re.sub(r"<\{%.*?%\}>|\x1b\[[0-9;]*m", "", message).strip()
    text = re.sub(r"^.*?Exception calling application: ", "", text, flags=re.DOTALL)
    return text.strip().rstrip(":").strip()
