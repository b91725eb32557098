"""A preview that needs no account, no plugin, no cluster and no network: everything is shown as new, from a state of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from infra.config import file_name, load
from infra.errors import ConfigError, PlatformError
from pipelines.engine import Ended, Engine, home

# How the real state is encrypted takes a key that only an account has.
ENCRYPTION = ("secretsprovider", "encryptedkey", "encryptionsalt")


def preview(root: Path, stack: str, *, is_policed: bool | None = None) -> Ended:
    """Show all that the stack declares. Neither the stack's file nor its state is changed. Raises DeliveryError.

    For ``is_policed`` see ``Engine.run``.
    """
    load(root, stack)
    print(
        f"offline: all of {stack} is shown as new, whatever stands; no account, no cluster and no network is asked",
        flush=True,
    )
    with _apart(root, stack) as (engine, config):
        ended = engine.run("preview", "--diff", "--suppress-outputs", "--config-file", config, is_policed=is_policed)
    if ended.code:
        raise PlatformError(f"the offline preview of {stack} failed: {ended.reason}", act="as the message above says")
    return ended


def scan(root: Path, stack: str) -> None:
    """Show all that the stack declares to checkov, kube-score and parliament. Raises DeliveryError where they find what is not waived."""
    target = load(root, stack).target
    if target == "local":
        where = f"{file_name(stack)}: mldelivery:target"
        act = "choose another stack: make scan STACK=prod"
        raise ConfigError("a laptop's stack has nothing that scanners read", where=where, got=target, allowed="eks, kubernetes", act=act)
    with _apart(root, stack) as (engine, config), tempfile.TemporaryDirectory(prefix="mldelivery-scan-") as folder:
        declared = engine.declared(config)
        file = Path(folder) / "preview.json"
        file.write_text(declared, encoding="utf-8")
        command = [sys.executable, "-m", "toolchain.scanners", "--", sys.executable, "-m", "policy.scan", "--stack", stack, str(file)]
        code = subprocess.run(command, cwd=root, check=False).returncode
    if code:
        raise PlatformError(f"the scan of {stack} did not pass", act="as the lines above say; docs/how-to/policy.md tells more")


@contextlib.contextmanager
def _apart(root: Path, stack: str) -> Iterator[tuple[Engine, str]]:
    """An engine with an empty state of its own, and the path of a copy of the stack's file that fits it."""
    with tempfile.TemporaryDirectory(prefix="mldelivery-offline-") as folder:
        engine = Engine(root, stack, offline=Path(folder))
        # The engine logs every value that it passes on, for a third of its time; nobody could read that once the folder is gone. It has no
        # switch for it, but does without where a file is in the way.
        home(Path(folder)).mkdir()
        (home(Path(folder)) / "logs").touch()
        project = (root / "Pulumi.yaml").read_text(encoding="utf-8")
        (Path(folder) / "Pulumi.yaml").write_text(project, encoding="utf-8")
        done = engine.capture("stack", "init", stack, "--no-select", "--cwd", folder)
        if done.returncode:
            raise PlatformError(f"the state of an offline preview could not be made: {done.stderr.strip()}", where=folder)
        config = Path(folder) / file_name(stack)
        salt = yaml.safe_load(config.read_text(encoding="utf-8")) or {}
        document = yaml.safe_load((root / file_name(stack)).read_text(encoding="utf-8")) or {}
        kept = {key: value for key, value in document.items() if key not in ENCRYPTION}
        config.write_text(yaml.safe_dump({**kept, **salt}, sort_keys=False), encoding="utf-8")
        yield engine, str(config)
