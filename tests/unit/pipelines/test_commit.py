"""Which commit a release says that it was made from, and whether that is all that it was made from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipelines.commit import of_folder

FILES = (
    "models/iris/train.py",
    "models/iris/README.md",
    "models/iris/data/batches/2026-11-01.csv",
    "models/roses/train.py",
    "pipelines/evaluate.py",
    "infra/release.py",
    "serving/service.py",
    "requirements.txt",
    "tests/test_all.py",
)


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("as committed\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "all")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "is_dirty"),
    [
        ("models/iris/train.py", True),
        ("models/iris/another.py", True),
        ("pipelines/evaluate.py", True),
        ("infra/release.py", True),
        ("serving/service.py", True),
        ("requirements.txt", True),
        ("models/iris/README.md", False),
        ("models/iris/data/batches/2026-11-01.csv", False),
        ("models/roses/train.py", False),
        ("tests/test_all.py", False),
    ],
)
def test_a_release_of_files_that_no_commit_holds_says_so(root: Path, name: str, is_dirty: bool) -> None:
    assert of_folder(root, root / "models" / "iris")["dirty"] is False
    (root / name).write_text("edited since\n")
    assert of_folder(root, root / "models" / "iris")["dirty"] is is_dirty


def test_without_git_nothing_is_claimed(tmp_path: Path) -> None:
    (tmp_path / "models" / "iris").mkdir(parents=True)
    assert of_folder(tmp_path, tmp_path / "models" / "iris") == {"sha": "none", "dirty": True}
