"""Digests of what a release is made from: the model's folder, the environment, any value that fits into JSON."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.release import file_digest

NOT_CODE = {"__pycache__", ".pytest_cache", ".hypothesis", "README.md"}


def of_value(value: object) -> str:
    """SHA-256 of a value's canonical JSON."""
    return "sha256:" + hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


def of_code(folder: Path, batches: str) -> str:
    """Digest of a model's folder without its data and its README: what changes it is "new code"."""
    return of_value(code_files(folder, batches))


def code_files(folder: Path, batches: str) -> dict[str, str]:
    """Path in the folder -> digest, of each file that counts as code."""
    data = folder / batches
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in _files(folder) if data not in path.parents}


def of_environment(root: Path) -> str:
    """Digest of all around the model: the locked packages, Python's version and the server's code, which every release holds a copy of."""
    return of_value(environment_parts(root))


def environment_parts(root: Path) -> dict[str, Any]:
    """What that digest is of: ``lock``, ``python``, and ``server`` file by file."""
    lock = root / "requirements.txt"
    return {
        "lock": file_digest(lock) if lock.is_file() else None,
        "python": list(sys.version_info[:2]),
        "server": {path.relative_to(root).as_posix(): file_digest(path) for path in _files(root / "serving")},
    }


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not NOT_CODE & set(path.parts) and path.suffix != ".pyc":
            yield path
