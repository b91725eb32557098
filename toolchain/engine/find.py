"""Which engine is there already, and may it be used."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from pathlib import Path

MODULE = "github.com/pulumi/pulumi/pkg/v3"
# The engine looks for all of these beside itself; without the last two a Python program, or a dynamic provider in it, does not start.
FILES = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python")
MANIFEST = "engine.json"


def pinned_version(root: Path) -> str:
    """The version that the repository is tested with, without a leading v; its one source is the CLI's go.mod."""
    return module_version(root / "toolchain" / "engine" / "cli" / "go.mod", MODULE)


def module_version(go_mod: Path, module: str) -> str:
    """The version that a go.mod requires of ``module``, without the leading v."""
    match = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+v(\S+)", go_mod.read_text(), re.MULTILINE)
    if not match:
        raise ValueError(f"{go_mod}: {module} is not required there")
    return match[1]


def recipe(root: Path) -> str:
    """Digest of the pins: an engine made from other ones is made anew."""
    digest = hashlib.sha256()
    for part in ("cli", "python-host"):
        for name in ("go.mod", "go.sum"):
            digest.update((root / "toolchain" / "engine" / part / name).read_bytes())
    return digest.hexdigest()


def platform_name() -> str:
    """Such as ``linux-x86_64``: a home folder shared by unlike machines holds an engine for each."""
    return f"{platform.system()}-{platform.machine()}".lower()


def fits(version: str, pinned: str) -> bool:
    """Whether an engine of ``version`` may stand for the pinned one: not older, and of the same major version."""
    have, want = _numbers(version), _numbers(pinned)
    return have is not None and want is not None and have >= want and have[0] == want[0]


def on_path(search_path: str, pinned: str, *, ours: Path, tried: list[str]) -> Path | None:
    """Folder of the first fitting engine on ``search_path``, not counting those under ``ours``.

    Why the others do not fit is added to ``tried``.
    """
    for entry in search_path.split(os.pathsep):
        folder = Path(entry)
        command = folder / "pulumi"
        if not entry or not folder.is_absolute() or ours in folder.parents or not os.access(command, os.X_OK):
            continue
        version = version_of(command, ours / "on-path.json")
        homes = (folder, command.resolve().parent)
        home = next((home for home in homes if all((home / name).exists() for name in FILES)), None)
        if not fits(version, pinned):
            tried.append(
                f"{command} on PATH is version {version or 'unknown'}; needed: {pinned} or newer, below {int(pinned.split('.')[0]) + 1}"
            )
        elif home is None:
            missing = [name for name in FILES if not (homes[-1] / name).exists()]
            tried.append(f"{command} on PATH fits, but beside it is no {', no '.join(missing)}")
        else:
            return home
    if not tried:
        tried.append("there is no pulumi on PATH")
    return None


def version_of(command: Path, memory: Path) -> str:
    """What ``command version`` says, without the v ("" if it fails); remembered for a binary until it changes, since asking costs 0.2 s.

    Scripts are always asked: a version manager's shim stays the same when the version behind it changes.
    """
    real = command.resolve()
    status = real.stat()
    key = [str(real), status.st_size, status.st_mtime_ns]
    try:
        known = json.loads(memory.read_text())
        if known["key"] == key:
            return str(known["version"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    environ = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        asked = subprocess.run([str(command), "version"], capture_output=True, text=True, timeout=30, env=environ, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    version = asked.stdout.strip().lstrip("v") if asked.returncode == 0 else ""
    with real.open("rb") as binary:
        is_script = binary.read(2) == b"#!"
    if version and not is_script:
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary = memory.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"key": key, "version": version}))
        temporary.replace(memory)
    return version


def seal(folder: Path, source: str, made_from: str) -> None:
    """Write the digest of every file of the engine in ``folder`` beside them."""
    files = {path.name: _entry(path, _digest(path)) for path in sorted((folder / "bin").iterdir())}
    _write(folder / MANIFEST, {"source": source, "recipe": made_from, "files": files})


def is_intact(folder: Path, made_from: str) -> bool:
    """Whether ``folder`` holds a whole engine made from these pins, each file with its recorded digest.

    A file whose size and time are as recorded is taken as unchanged (0.1 ms); else it is read whole, and the new time is recorded.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files = manifest["files"]
        if manifest["recipe"] != made_from or not set(FILES) <= set(files):
            return False
        is_touched = False
        for name, recorded in files.items():
            path = folder / "bin" / name
            if _entry(path, recorded["sha256"]) != recorded:
                if _digest(path) != recorded["sha256"] or not os.access(path, os.X_OK):
                    return False
                files[name], is_touched = _entry(path, recorded["sha256"]), True
        if is_touched:
            _write(folder / MANIFEST, manifest)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _numbers(version: str) -> tuple[int, int, int] | None:
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)(?:\+.*)?", version.strip())
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _entry(path: Path, sha256: str) -> dict[str, object]:
    status = path.stat()
    return {"sha256": sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _write(path: Path, value: object) -> None:
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=1) + "\n")
    temporary.replace(path)
