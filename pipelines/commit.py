"""The commit that a model's code stands at."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TypedDict

from pipelines.failures import StepFailed


class Commit(TypedDict):
    """``sha`` is ``none`` outside of a Git repository, or before its first commit."""

    sha: str
    dirty: bool


MADE_BY = ("pipelines", "infra", "serving", "requirements.txt")
"""What makes a release, beside the model's folder: with another gate, another release would have passed."""


def of_folder(root: Path, folder: Path) -> Commit:
    """The commit of the checkout, and whether what makes the release differs from it: the model (not its data and README), the pipeline."""
    sha = _git(root, "rev-parse", "--verify", "HEAD")
    if sha is None:
        return {"sha": "none", "dirty": True}
    changed = _git(root, "status", "--porcelain", "--", str(folder), *MADE_BY, ":!*.md", ":!*.csv")
    return {"sha": sha, "dirty": changed != ""}


def unpack(root: Path, sha: str, target: Path) -> None:
    """Write the files of a commit into a folder, without a trace in the checkout. Raises StepFailed when Git does not have it."""
    import io
    import tarfile

    try:
        done = subprocess.run(["git", "archive", "--format=tar", sha], cwd=root, capture_output=True, timeout=120, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or b""
        raise StepFailed(
            "Git does not have the commit",
            where=str(root),
            got=f"{sha}: {' '.join(said.decode(errors='replace').split()) or error}",
            allowed="a commit of this checkout's history",
            act="git fetch --unshallow, or git fetch of the branch that it is on",
        ) from None
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(target, filter="data")


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
