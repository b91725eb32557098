"""The Python environments, with exactly what requirements pin, hashes checked: ``.venv``, and apart from it what conflicts with it."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from toolchain import SetupError
from toolchain.process import cache_dir, exclusive, run, say

REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
PYTHON = ">=3.11,<3.14"
STAMP = ".requirements-sha256"


def prepare(root: Path) -> Path:
    """Return ``.venv``, made or brought up to date first if it is not what the requirements say.

    The stamp is written last: what was interrupted has none, and is made anew. Costs a millisecond when nothing changed.
    """
    venv = root / ".venv"
    wanted = fingerprint(root)
    if is_current(venv, wanted):
        return venv
    with exclusive(root / ".cache" / "environment.lock", "the Python environment"):
        if not is_current(venv, wanted):
            _install(root, venv, wanted, REQUIREMENTS)
    return venv


def apart(root: Path, name: str) -> Path:
    """Return the environment of ``requirements/<name>.txt``, as ``locked`` does."""
    return locked(root, name, root / "requirements" / f"{name}.txt")


def locked(root: Path, name: str, requirements: Path) -> Path:
    """Return the environment of a file that pins all, made first if need be, in the cache under its name and the file's digest."""
    wanted = hashlib.sha256(f"{PYTHON}\n".encode() + requirements.read_bytes()).hexdigest()
    venv = cache_dir() / "environments" / f"{name}-{wanted[:16]}"
    if not is_current(venv, wanted):
        with exclusive(venv.with_name(f"{name}.lock"), f"the Python environment of {name}"):
            if not is_current(venv, wanted):
                _install(root, venv, wanted, (str(requirements),))
    return venv


def fingerprint(root: Path) -> str:
    """Digest of all that decides what is installed; a moved clone counts as changed, since scripts in ``.venv`` hold its path."""
    digest = hashlib.sha256(f"{root}\n{PYTHON}\n".encode())
    for name in REQUIREMENTS:
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def is_current(venv: Path, wanted: str) -> bool:
    """Whether ``venv`` was finished for exactly these requirements and its interpreter is still there."""
    try:
        return (venv / STAMP).read_text().strip() == wanted and (venv / "bin" / "python").exists()
    except OSError:
        return False


def find_uv(root: Path) -> str:
    """Path of uv: the one on PATH, else a pinned one fetched with pip into ``.cache``, its hash checked."""
    fetched = root / ".cache" / "uv"
    for candidate in (shutil.which("uv"), str(fetched / "bin" / "uv")):
        if candidate and Path(candidate).exists():
            return candidate
    return _fetch_uv(root, fetched)


def _fetch_uv(root: Path, target: Path) -> str:
    """``pip install --target`` is allowed where the system's Python is marked as externally managed, and leaves that Python alone."""
    pinned = [
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--require-hashes",
        "--requirement",
        str(root / "toolchain" / "uv.txt"),
    ]
    say("uv is not on PATH: fetching it with pip")
    tried = []
    shutil.rmtree(target, ignore_errors=True)
    try:
        run([sys.executable, "-m", "pip", *pinned, "--target", str(target)], "pip install uv")
        return str(target / "bin" / "uv")
    except SetupError as error:
        tried.append(str(error))
    shutil.rmtree(target, ignore_errors=True)
    try:
        run([sys.executable, "-m", "venv", str(target)], "python -m venv")
        run([str(target / "bin" / "python"), "-m", "pip", *pinned], "pip install uv")
        return str(target / "bin" / "uv")
    except SetupError as error:
        tried.append(str(error))
        shutil.rmtree(target, ignore_errors=True)
    listing = "\n  ".join(tried)
    raise SetupError(
        f"uv is not on PATH and could not be fetched with pip.\n  {listing}\n  Install uv (or pip for {sys.executable}) and run again."
    )


def _install(root: Path, venv: Path, wanted: str, requirements: Sequence[str]) -> None:
    uv = find_uv(root)
    is_finished = (venv / STAMP).exists() and (venv / "bin" / "python").exists()
    if is_finished:
        (venv / STAMP).unlink()
    else:
        if venv.exists():
            say(f"{venv.name} was not finished by the last run: making it anew")
        shutil.rmtree(venv, ignore_errors=True)
        try:
            run([uv, "venv", "--quiet", "--no-project", "--python", PYTHON, str(venv)], f"making {venv.name} with Python {PYTHON}")
        except SetupError as error:
            raise SetupError(f"{error}\n  Do: install Python 3.11, 3.12 or 3.13 so that it is on PATH, then run again.") from error
    files = [str(root / name) for name in requirements]
    say("installing the Python packages that the requirements pin, hashes checked")
    environ = {**os.environ, "VIRTUAL_ENV": str(venv)}
    run([uv, "pip", "sync", "--require-hashes", *files], "installing Python packages", env=environ, note=_note)
    temporary = venv / f"{STAMP}.new"
    temporary.write_text(f"{wanted}\n")
    temporary.replace(venv / STAMP)


def _note(line: str) -> str | None:
    return line.strip() if line.startswith(("Resolved", "Prepared", "Installed", "Uninstalled")) else None
