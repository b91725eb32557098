"""The rebuild proof: a release made again from its snapshot and commit is the same; one that was tampered with is not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.release import load, record_digest, record_path, tree_digest
from pipelines.failures import StepFailed
from pipelines.rebuild import Findings, _compare_metrics, _digests, rebuild
from tests.laptop import copy_checkout
from tests.pipelines.laboratory import LATER, Laboratory

pytestmark = pytest.mark.timeout(400)
AUTHOR = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}


def git(root: Path, *arguments: str) -> str:
    environment = {**os.environ, **AUTHOR, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return subprocess.run(["git", *arguments], cwd=root, env=environment, capture_output=True, text=True, check=True).stdout


def pipelines(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with releases 1 and 2 of iris, each from a commit, and a newer commit whose model is another one."""
    root = tmp_path_factory.mktemp("repository")
    copy_checkout(root)
    git(root, "init", "--quiet")
    for until, champion, penalty in (("2026-10-31", "none", "C: 1.0"), (str(LATER), "1", "C: 1.5")):
        path = root / "models" / "iris" / "model.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace("C: 1.0", penalty), encoding="utf-8")
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", penalty)
        done = pipelines(root, "release", "iris", "--until", until, "--champion", champion)
        assert done.returncode == 0, done.stderr
    path.write_text(path.read_text(encoding="utf-8").replace("C: 1.5", "C: 0.001"), encoding="utf-8")
    git(root, "commit", "--quiet", "--all", "--message", "another model")
    assert load(root / ".local", "iris", 2).commit.dirty is False
    return root


@pytest.fixture
def store(repository: Path, tmp_path: Path) -> Path:
    """The store of that clone, for a test to tamper with."""
    for kind in ("releases", "bentos", "snapshots"):
        shutil.copytree(repository / ".local" / kind, tmp_path / "store" / kind)
    return tmp_path / "store"


def again(repository: Path, store: Path, number: int = 2) -> tuple[int, str]:
    done = pipelines(repository, "rebuild", "iris", str(number), "--store", str(store))
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_an_old_release_is_made_again_and_is_the_same_by_digest(repository: Path, store: Path) -> None:
    before = sorted(path for path in store.rglob("*"))
    code, said = again(repository, store)
    assert code == 0, said
    assert "verdict: the same by digest" in said
    for line in ("code         as recorded", "environment  as recorded", "metrics      as recorded", "champion     1, as then"):
        assert line in said
    assert "all the same" in said
    assert git(repository, "rev-parse", "HEAD~1").strip() in said
    assert git(repository, "status", "--porcelain") == ""
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert sorted(path for path in store.rglob("*")) == before


OTHER = """filelock==4.2.11 \\
    --hash=sha256:020e229e4bb9d410fc799c07ddf45fa217cba970278f40b30751d94f309b69e2 \\
    --hash=sha256:0cb84119fb8dce17898e1f69c974d5019daa59c4d7656be390a5fa59ccced912
"""
"""A version other than the one that is locked here."""


def test_a_release_under_another_lock_is_made_again_with_the_packages_of_then(repository: Path, store: Path, tmp_path: Path) -> None:
    """Its commit's own test of the model, a gate, holds with these alone."""
    there = tmp_path / "there"
    git(tmp_path, "clone", "--quiet", str(repository), str(there))
    git(there, "checkout", "--quiet", "HEAD~1")
    lock, test = there / "requirements.txt", there / "models" / "iris" / "tests" / "test_iris.py"
    text = lock.read_text(encoding="utf-8")
    changed, count = re.subn(r"^filelock==\S+ \\\n(?: +--hash=\S+(?: \\)?\n)+", lambda _: OTHER, text, flags=re.MULTILINE)
    assert count == 1 and changed != text
    lock.write_text(changed, encoding="utf-8")
    asserted = "\n\ndef test_packages_of_then() -> None:\n    import filelock\n\n    assert filelock.__version__ == '4.2.11'\n"
    test.write_text(test.read_text(encoding="utf-8") + asserted, encoding="utf-8")
    git(there, "commit", "--quiet", "--all", "--message", "another lock")
    git(repository, "fetch", "--quiet", str(there), "HEAD")
    digests = _digests(there, there / "models" / "iris")
    assert digests is not None
    sha = git(there, "rev-parse", "HEAD").strip()
    forge(store, lambda document: document.update(code=digests[0], environment=digests[1], commit={"sha": sha, "dirty": False}))

    code, said = again(repository, store)
    assert code == 0, said
    assert "packages     other ones were locked then" in said and "8 tests passed" in said
    for line in ("code         as recorded", "environment  as recorded", "metrics      as recorded", "verdict: the same by digest"):
        assert line in said, said


def test_packages_of_then_that_cannot_be_had_are_said(
    repository: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    there = tmp_path / "there"
    git(tmp_path, "clone", "--quiet", str(repository), str(there))
    (there / "requirements.txt").write_text("filelock==4.2.11 --hash=sha256:" + "0" * 64 + "\n", encoding="utf-8")
    git(there, "commit", "--quiet", "--all", "--message", "a lock with a wrong hash")
    git(repository, "fetch", "--quiet", str(there), "HEAD")
    sha = git(there, "rev-parse", "HEAD").strip()
    forge(store, lambda document: document.update(commit={"sha": sha, "dirty": False}))
    code, said = again(repository, store)
    assert code == 1
    assert "the packages of then cannot be installed" in said and f"requirements.txt of {sha}" in said, said


def test_a_package_that_was_altered_is_found_and_the_true_one_known(repository: Path, store: Path) -> None:
    shutil.copy2(store / "bentos/iris/1/src/release/model.onnx", store / "bentos/iris/2/src/release/model.onnx")
    code, said = again(repository, store)
    assert code == 1
    assert "verdict: ALTERED" in said
    assert "it is what was recorded: what lies in the store was altered afterwards" in said
    assert "differ: release/model.onnx" in said
    assert "answers      DIFFER" in said


def forge(store: Path, change: Callable[[dict[str, Any]], object], number: int = 2) -> None:
    """Alter a record, with all of its digests right."""
    path = record_path(store, "iris", number)
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(document)
    document["bento"]["digest"] = tree_digest(store / document["bento"]["path"])
    document["digest"] = record_digest(document)
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    load(store, "iris", number)


def test_another_model_under_right_digests_is_found_by_its_answers(repository: Path, store: Path) -> None:
    shutil.copy2(store / "bentos/iris/1/src/release/model.onnx", store / "bentos/iris/2/src/release/model.onnx")
    forge(store, lambda document: document["metrics"]["accuracy"].update(value=0.99))
    code, said = again(repository, store)
    assert code == 1
    assert "verdict: DIFFERENT" in said
    assert "answers      DIFFER" in said
    assert "accuracy: value 0.99 recorded" in said


@pytest.mark.parametrize(("end", "is_found", "is_found_elsewhere"), [("value", True, True), ("low", True, False)])
def test_evidence_that_was_made_up_is_found(store: Path, end: str, is_found: bool, is_found_elsewhere: bool) -> None:
    """Of an interval only with the packages of then: others draw other samples."""
    made = {"metrics": {name: each.model_dump() for name, each in load(store, "iris", 2).metrics.items()}}
    forge(store, lambda document: document["metrics"]["accuracy"].update({end: 0.99}))
    record = load(store, "iris", 2)
    found = Findings()
    assert _compare_metrics(record, {"evaluation": made, "environment": record.environment}, found) is not is_found
    assert _compare_metrics(record, {"evaluation": made, "environment": "another"}, found) is not is_found_elsewhere
    assert f"accuracy: {end} 0.99 recorded" in found.lines[0][1]


def test_a_snapshot_that_was_altered_or_is_gone_is_refused(repository: Path, store: Path) -> None:
    path = store / "snapshots" / "iris" / f"{load(store, 'iris', 2).snapshot.digest.removeprefix('sha256:')}.parquet"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert "gone or altered" in again(repository, store)[1]
    path.unlink()
    code, said = again(repository, store)
    assert code == 1
    assert "no such file" in said


def test_a_commit_that_git_does_not_have_is_said(repository: Path, store: Path) -> None:
    forge(store, lambda document: document["commit"].update(sha="0" * 40))
    code, said = again(repository, store)
    assert code == 1
    assert "Git does not have the commit" in said


def test_a_record_that_was_altered_is_refused(repository: Path, store: Path) -> None:
    path = record_path(store, "iris", 2)
    path.write_text(path.read_text(encoding="utf-8").replace("rows: 150", "rows: 151"), encoding="utf-8")
    code, said = again(repository, store)
    assert code == 1
    assert "it was altered or is damaged" in said


# made from files that no commit holds


def test_a_dirty_tree_is_said_and_its_files_are_known_by_their_digests(laboratory: Laboratory, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(laboratory.store, "iris", 1).commit.dirty
    assert rebuild(laboratory.store, laboratory.folders, "iris", 1).verdict == "the same by digest"
    assert "but files that it is made of differed from it" in capsys.readouterr().out


def test_files_that_no_commit_holds_and_that_changed_are_named(laboratory: Laboratory) -> None:
    forge(laboratory.store, lambda document: document["commit"].update(sha="none"), number=1)
    laboratory.change("train.py", "StandardScaler()", "StandardScaler(with_std=False)")
    (laboratory.iris / "new.py").write_text("", encoding="utf-8")
    with pytest.raises(StepFailed, match="files that no commit holds") as caught:
        rebuild(laboratory.store, laboratory.folders, "iris", 1)
    assert "code: new.py; code: train.py" in str(caught.value)


def test_a_model_in_skops_is_the_same_by_its_answers(laboratory: Laboratory) -> None:
    (laboratory.iris / "train.py").write_text(
        "from sklearn.kernel_approximation import Nystroem\nfrom sklearn.linear_model import LogisticRegression\n"
        "from sklearn.pipeline import make_pipeline\n\n\n"
        "def estimator(parameters, seed):\n"
        "    return make_pipeline(Nystroem(n_components=40, gamma=0.2, random_state=seed), LogisticRegression(C=100, max_iter=1000))\n"
    )
    (laboratory.iris / "tests" / "test_iris.py").write_text("def test_something():\n    assert True\n")
    assert laboratory.release().runtime == "skops"
    found = rebuild(laboratory.store, laboratory.folders, "iris", 2)
    assert found.verdict == "the same by answers"
    assert dict(found.lines)["files"].endswith("differ: release/model.skops")
