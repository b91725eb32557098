"""A preview that needs no account, no plugin, no cluster and no network: everything is shown as new, from a state of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml

from infra.config import file_name, load
from infra.errors import PlatformError
from pipelines.engine import Ended, Engine

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
    with tempfile.TemporaryDirectory(prefix="mldelivery-offline-") as folder:
        engine = Engine(root, stack, offline=Path(folder))
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
        ended = engine.run("preview", "--diff", "--suppress-outputs", "--config-file", str(config), is_policed=is_policed)
    if ended.code:
        raise PlatformError(f"the offline preview of {stack} failed: {ended.reason}", act="as the message above says")
    return ended
