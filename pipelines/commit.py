"""The commit that a model's code stands at."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TypedDict


class Commit(TypedDict):
    """``sha`` is ``none`` outside of a Git repository, or before its first commit."""

    sha: str
    dirty: bool


def of_folder(root: Path, folder: Path) -> Commit:
    """The commit of the checkout, and whether the model's files (its data and README aside) differ from it."""
    sha = _git(root, "rev-parse", "--verify", "HEAD")
    if sha is None:
        return {"sha": "none", "dirty": True}
    changed = _git(root, "status", "--porcelain", "--", str(folder), "serving", "requirements.txt", ":!*.md", ":!*.csv")
    return {"sha": sha, "dirty": changed != ""}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
