"""Good releases: the first, none when nothing changed, and one for new data, new code and on demand."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from infra import release
from pipelines.run import plan
from tests.pipelines.laboratory import LATER, Laboratory


def test_a_first_release_has_all_its_evidence(laboratory: Laboratory) -> None:
    record = release.load(laboratory.store, "iris", 1)
    release.check_may_serve(record, laboratory.store, where="a test")
    assert set(record.gates.values()) == {"pass"}
    assert set(record.metrics) == {"accuracy", "macro-f1", "log-loss"}
    assert record.comparison is None
    assert record.reason == "first release"
    assert record.snapshot.rows == 90
    assert (record.snapshot.first, record.snapshot.last) == ("2026-09-21", "2026-10-26")
    assert record.runtime == "onnx"
    assert record.parameters == {"C": 1.0, "max-iterations": 1000, "seed": 7}
    snapshot = laboratory.store / "snapshots" / "iris" / f"{record.snapshot.digest.removeprefix('sha256:')}.parquet"
    assert release.file_digest(snapshot) == record.snapshot.digest
    assert json.loads(snapshot.with_suffix(".json").read_text())["rows"] == 90
    source = laboratory.store / record.bento.path
    golden = source / "release" / "golden.jsonl"
    assert release.file_digest(golden) == record.golden.digest
    assert len(golden.read_bytes().splitlines()) == record.golden.count
    assert sorted(path.name for path in source.iterdir()) == ["bentofile.yaml", "release", "requirements.txt", "service.py", "serving"]


def test_mlflow_has_the_run_and_a_released_version(laboratory: Laboratory) -> None:
    record = release.load(laboratory.store, "iris", 1)
    assert record.tracking is not None
    assert record.tracking.version == 1
    (version,) = laboratory.versions()
    assert version["state"] == "released"
    assert version["release"] == "1"
    assert version["snapshot"] == record.snapshot.digest
    assert version["record"] == record.digest


def test_a_version_of_another_run_in_another_mlflow_is_left_alone(
    laboratory: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.db"
    shutil.copyfile(laboratory.store / "mlflow" / "mlflow.db", other)
    with contextlib.closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("UPDATE model_versions SET run_id = 'another'")
        connection.execute("UPDATE model_version_tags SET value = 'candidate' WHERE key = 'mldelivery.state'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    assert laboratory.main() == 0
    said = capfd.readouterr().err
    assert "it was registered elsewhere" in said and "nothing changed since release 1" in said
    with contextlib.closing(sqlite3.connect(other)) as connection:
        states = connection.execute("SELECT value FROM model_version_tags WHERE key = 'mldelivery.state'").fetchall()
    assert states == [("candidate",)]


def test_with_nothing_changed_nothing_is_made(laboratory: Laboratory) -> None:
    before = sorted(path for path in laboratory.store.rglob("*") if path.is_file())
    started = os.times()
    again = laboratory.run("--json")
    ended = os.times()
    assert again.returncode == 0
    answer = json.loads(again.stdout)
    assert (answer["status"], answer["release"]) == ("unchanged", 1)
    assert "nothing changed since release 1" in again.stderr
    assert sorted(path for path in laboratory.store.rglob("*") if path.is_file()) == before
    # CPU rather than the clock: what else this machine does must not decide. In an idle one the two are the same.
    assert ended.children_user + ended.children_system - started.children_user - started.children_system < 2


def test_new_data_gives_release_2_compared_with_the_champion(laboratory: Laboratory) -> None:
    assert plan_of(laboratory) == "new data (90 -> 150 rows, to 2026-11-23)"
    record = laboratory.release(until=LATER, champion="1")
    assert record.release == 2
    assert record.reason == "new data (90 -> 150 rows, to 2026-11-23)"
    assert record.comparison is not None
    assert record.comparison.champion == 1
    assert record.comparison.verdict == "pass"
    assert record.comparison.rows == 50
    assert record.comparison.difference.low < record.comparison.difference.high
    assert [version["release"] for version in laboratory.versions()] == ["1", "2"]
    assert plan_of(laboratory) is None


def test_new_code_gives_a_release_and_the_old_code_finds_its_own_again(laboratory: Laboratory) -> None:
    laboratory.change("model.yaml", "C: 1.0", "C: 2.0")
    record = laboratory.release(champion="1")
    assert (record.release, record.reason, record.parameters["C"]) == (2, "new code", 2.0)
    laboratory.change("model.yaml", "C: 2.0", "C: 1.0")
    assert laboratory.release(champion="1").release == 1
    assert laboratory.numbers() == [1, 2]


def test_a_readme_is_no_code(laboratory: Laboratory) -> None:
    laboratory.change("README.md", "# iris", "# Iris")
    assert laboratory.release().release == 1


def test_a_release_can_be_made_although_nothing_changed(laboratory: Laboratory) -> None:
    record = laboratory.release(champion="1", force=True)
    assert (record.release, record.reason) == (2, "asked for, nothing changed")
    assert record.comparison is not None
    assert record.comparison.difference.value == 0
    assert record.comparison.difference.low < 0 < record.comparison.difference.high


def test_a_forest_is_released_too(laboratory: Laboratory) -> None:
    (laboratory.iris / "train.py").write_text(
        "from sklearn.ensemble import RandomForestClassifier\n\n\n"
        "def estimator(parameters, seed):\n    return RandomForestClassifier(20, max_depth=4, random_state=seed)\n"
    )
    tests = laboratory.iris / "tests" / "test_iris.py"
    tests.write_text("def test_something():\n    assert True\n")
    assert laboratory.release(champion="1").runtime == "onnx"


def test_a_model_without_an_onnx_form_is_served_by_skops_and_the_record_says_so(laboratory: Laboratory) -> None:
    (laboratory.iris / "train.py").write_text(
        "from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis\n"
        "from sklearn.kernel_approximation import Nystroem\nfrom sklearn.linear_model import LogisticRegression\n"
        "from sklearn.pipeline import make_pipeline\n\n\n"
        "def estimator(parameters, seed):\n"
        "    return make_pipeline(Nystroem(n_components=40, gamma=0.2, random_state=seed), LogisticRegression(C=100, max_iter=1000))\n"
    )
    (laboratory.iris / "tests" / "test_iris.py").write_text("def test_something():\n    assert True\n")
    record = laboratory.release(champion="none")
    assert record.runtime == "skops"
    assert "served by skops: no ONNX form" in record.reason
    assert record.gates["oracle"] == record.gates["service"] == "pass"


def plan_of(laboratory: Laboratory) -> str | None:
    from tests.pipelines.laboratory import ROOT

    return plan(ROOT, laboratory.store, laboratory.iris, until=LATER)
