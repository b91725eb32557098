"""Chromium, for the tests that look at a page: the one on PATH, else Debian's package where this user may install it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from toolchain import SetupError
from toolchain.process import cache_dir, exclusive, run, say

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def prepare() -> str:
    """Path of a Chromium. Raises SetupError that names what is missing and how to get it."""
    found = find()
    if found:
        return found
    command = _installer()
    if command is None:
        raise SetupError(f"no Chromium on PATH ({', '.join(NAMES)}), and this user cannot install one. Do: sudo apt-get install chromium")
    with exclusive(cache_dir() / "chromium.lock", "Chromium"):
        if not find():
            say("no Chromium on PATH: installing Debian's package, for the tests that look at a page")
            environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            run([*command, "update", "-q"], "apt-get update", env=environ)
            run([*command, "install", "-y", "-q", "--no-install-recommends", "chromium"], "apt-get install chromium", env=environ)
    found = find()
    if not found:
        raise SetupError("chromium was installed, and is not on PATH")
    return found


def find() -> str | None:
    """Path of the Chromium on PATH, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _installer() -> list[str] | None:
    apt = shutil.which("apt-get")
    if apt is None or not Path("/etc/debian_version").exists():
        return None
    if os.geteuid() == 0:
        return [apt]
    sudo = shutil.which("sudo")
    return [sudo, "-n", apt] if sudo else None
