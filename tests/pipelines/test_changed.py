"""``pipelines changed``: which models need a release and why, and what a workflow reads in its exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipelines.changed import NEEDED, main
from tests.pipelines.laboratory import FIRST_UNTIL, LATER, Laboratory


@pytest.fixture
def iris(laboratory: Laboratory) -> Laboratory:
    """A store with release 1 of iris, and no other model."""
    for other in ("docs_router", "progression"):
        shutil.rmtree(laboratory.folders / other)
    return laboratory


def ask(made: Laboratory, *more: str, until: object = FIRST_UNTIL) -> int:
    return main(["--store", str(made.store), "--models", str(made.folders), "--until", str(until), *more])


def test_with_nothing_changed_no_model_needs_a_run(iris: Laboratory, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(iris, "--exit-code") == 0
    assert capsys.readouterr().out == "iris: nothing changed\n"


def test_a_snapshot_that_differs_is_new_data(iris: Laboratory, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(iris, "--exit-code", until=LATER) == NEEDED == 3
    assert capsys.readouterr().out == "iris: new data (90 -> 150 rows, to 2026-11-23): make release MODEL=iris\n"
    assert ask(iris, until=LATER) == 0


def test_a_corrected_cell_is_new_data_though_the_rows_are_as_many(iris: Laboratory, capsys: pytest.CaptureFixture[str]) -> None:
    iris.change("data/batches/2026-09-21.csv", "5.1,", "5.2,")
    assert ask(iris, "--exit-code") == NEEDED
    assert capsys.readouterr().out.startswith("iris: new data (90 -> 90 rows")


@pytest.mark.parametrize(
    ("file", "old", "new"), [("train.py", "StandardScaler()", "StandardScaler(with_std=True)"), ("model.yaml", "C: 1.0", "C: 2")]
)
def test_a_changed_training_file_is_new_code(iris: Laboratory, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str) -> None:
    iris.change(file, old, new)
    assert ask(iris, "--exit-code") == NEEDED
    assert capsys.readouterr().out == "iris: new code: make release MODEL=iris\n"


def test_new_data_and_new_code_are_both_said(iris: Laboratory, capsys: pytest.CaptureFixture[str]) -> None:
    iris.change("model.yaml", "C: 1.0", "C: 2.0")
    assert ask(iris, "--json", until=LATER) == 0
    assert json.loads(capsys.readouterr().out) == {"iris": "new data (90 -> 150 rows, to 2026-11-23), new code"}


def test_a_readme_and_a_file_that_tests_left_are_no_code(iris: Laboratory, capsys: pytest.CaptureFixture[str]) -> None:
    iris.change("README.md", "# iris", "# Iris")
    (iris.iris / "__pycache__").mkdir()
    (iris.iris / "__pycache__" / "train.cpython-311.pyc").write_bytes(b"x")
    assert ask(iris, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"iris": None}


def test_a_model_without_a_release_needs_its_first(empty: Laboratory, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(empty, "iris", "--exit-code") == NEEDED
    assert capsys.readouterr().out == "iris: first release: make release MODEL=iris\n"


def test_a_model_that_cannot_be_told_hides_no_other(iris: Laboratory, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(iris.iris, iris.folders / "broken")
    assert ask(iris, "--exit-code", until=LATER) == 1
    said = capsys.readouterr()
    assert said.out.startswith("iris: new data")
    assert "broken: cannot be told" in said.err
    assert "the name is not the folder's" in said.err


def test_asking_releases_nothing_and_changes_no_snapshot(iris: Laboratory) -> None:
    def files() -> dict[Path, tuple[int, int]]:
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_mode & 0o777) for path in (iris.store / "snapshots").rglob("*") if path.is_file()
        }

    before = files()
    assert {mode for _, mode in before.values()} == {0o444}
    assert ask(iris, until=LATER) == 0
    after = files()
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 2
    assert iris.numbers() == [1]


def test_what_lies_beside_a_snapshot_says_where_it_came_from(iris: Laboratory) -> None:
    (about,) = (iris.store / "snapshots" / "iris").glob("*.json")
    told = json.loads(about.read_bytes())
    assert told.pop("taken-at").endswith("Z")
    assert told.pop("digest") == f"sha256:{about.stem}"
    assert len(told.pop("batches")) == 6
    assert told == {"source": "models/iris/data/batches", "query": "*.csv, dated up to 2026-10-31", "rows": 90}


def test_a_store_from_before_sources_were_noted_goes_on(iris: Laboratory) -> None:
    (about,) = (iris.store / "snapshots" / "iris").glob("*.json")
    about.unlink()
    about.write_text(json.dumps({"source": "models/iris/data/batches", "batches": [], "rows": 90, "taken-at": "2026-10-31T00:00:00Z"}))
    about.with_suffix(".parquet").chmod(0o644)
    assert iris.release().release == 1
    assert iris.release(until=LATER, champion="1").release == 2
