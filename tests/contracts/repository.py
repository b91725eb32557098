"""The repository as the contracts see it: what Git holds, and what it would take in."""

from __future__ import annotations

import subprocess
from functools import lru_cache

from toolchain import ROOT


@lru_cache
def files() -> tuple[str, ...]:
    """Paths of all files that are tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return tuple(sorted(path for path in set(listed.split("\0")) if path and (ROOT / path).is_file()))


def python_files(*parts: str) -> tuple[str, ...]:
    """Paths of the Python files in the given top-level folders; all of them if none is given."""
    return tuple(path for path in files() if path.endswith(".py") and (not parts or path.split("/")[0] in parts))


def text_of(path: str) -> str:
    """The text of a file; "" for one that is not text."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""
