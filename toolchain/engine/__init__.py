"""The Pulumi engine: one on PATH whose version fits, else the official download, else a build from the pinned Go modules.

What is downloaded or built is kept outside Git, in a folder named after version and platform, shared by all clones of one user.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from toolchain import SetupError, process
from toolchain.engine import build, download, find

__all__ = ["prepare"]


def prepare(root: Path) -> Path:
    """Return the folder of a verified engine, obtained first if there is none. Raises `SetupError` that lists every way tried."""
    version = find.pinned_version(root)
    home = process.cache_dir() / "engine"
    target = home / f"{version}-{find.platform_name()}"
    tried: list[str] = []
    found = find.on_path(os.environ.get("PATH", ""), version, ours=home, tried=tried)
    if found:
        return found
    wanted = find.recipe(root)
    if find.is_intact(target, wanted):
        return target / "bin"
    with process.exclusive(home / "lock", "the Pulumi engine"):
        if not find.is_intact(target, wanted):
            if target.exists():
                process.say(f"the engine in {target} is not what was put there: making it anew")
            _obtain(root, version, home, target, tried)
    return target / "bin"


def _obtain(root: Path, version: str, home: Path, target: Path, tried: list[str]) -> None:
    """Fill a folder beside ``target``, then put it in place by renames: nobody ever sees half an engine."""
    for leftover in home.glob(".new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh = home / f".new-{os.getpid()}"
    for way in (download.engine, build.engine):
        shutil.rmtree(fresh, ignore_errors=True)
        (fresh / "bin").mkdir(parents=True)
        try:
            source = way(root, version, fresh / "bin")
        except SetupError as error:
            tried.append(str(error))
            continue
        find.seal(fresh, source, find.recipe(root))
        shutil.rmtree(target, ignore_errors=True)
        fresh.replace(target)
        process.say(f"Pulumi {version}: {source}")
        return
    shutil.rmtree(fresh, ignore_errors=True)
    listing = "\n".join(f"  - {reason}" for reason in tried)
    raise SetupError(
        f"no Pulumi engine {version} to be had. Tried:\n{listing}\n"
        f"  Do: install Pulumi {version} or newer so that `pulumi` is on PATH, or let this machine reach the official download or a Go"
        " module proxy; then run again."
    )
