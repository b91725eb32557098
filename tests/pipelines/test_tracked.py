"""Releases that are tracked in a server on PostgreSQL, with artifacts in an S3 server: what is there then, and what if a part goes down."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.config import ModelConfig, load
from infra.release import Release
from pipelines.failures import StepFailed
from pipelines.mirror import alias, mirror
from pipelines.register import own_uri
from pipelines.snapshot import find, path_of
from tests.laptop import wait_until
from tests.pipelines.laboratory import LATER, Laboratory, folders_for
from tests.tracking import Program, Tracking, tracking
from toolchain import ROOT

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def tracked() -> Iterator[Tracking]:
    """MLflow's server on a new database and an empty bucket."""
    with tracking() as made:
        yield made


@pytest.fixture(scope="module")
def place(tracked: Tracking, first_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A store in which the steps of a first release are done up to the registration, and which is told of the server."""
    root = tmp_path_factory.mktemp("tracked")
    shutil.copytree(first_store, root / ".local", ignore=shutil.ignore_patterns("releases", "bentos", "mlflow"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", tracked.url)
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield Laboratory(root / ".local", folders_for(root / "models"))


@pytest.fixture(scope="module")
def first(place: Laboratory) -> Release:
    """Release 1 of iris, registered with the server."""
    return place.release()


@pytest.fixture
def laboratory(place: Laboratory, first: Release) -> Iterator[Laboratory]:
    """The store that has it."""
    assert place.numbers()[0] == first.release
    yield place
    place.check_whole()


def serve(root: Path, champion: int | str) -> None:
    """What an update of the checkout at ``root`` does of MLflow once this release answers everything."""
    config = load(ROOT, "local").model_copy(update={"models": {"iris": ModelConfig.model_validate({"champion": champion})}})
    mirror(root, "local", config)


def aliases(tracked: Tracking) -> dict[str, str]:
    found = tracked.ask("registered-models/get", name="iris")["registered_model"]
    return {each["alias"]: each["version"] for each in found.get("aliases", [])}


def test_before_a_first_release_there_is_nothing_to_say(place: Laboratory, capsys: pytest.CaptureFixture[str]) -> None:
    serve(place.store.parent, "none")
    assert capsys.readouterr().out == ""


def test_a_release_is_in_the_database_its_model_in_the_bucket(tracked: Tracking, laboratory: Laboratory, first: Release) -> None:
    (run,) = tracked.runs("iris")
    assert run["info"]["status"] == "FINISHED"
    assert {each["key"]: each["value"] for each in run["data"]["params"]} == {key: str(value) for key, value in first.parameters.items()}
    metrics = {each["key"]: each["value"] for each in run["data"]["metrics"]}
    for name, found in first.metrics.items():
        assert (metrics[name], metrics[f"{name}-low"], metrics[f"{name}-high"]) == (found.value, found.low, found.high)
    (dataset,) = run["inputs"]["dataset_inputs"]
    assert dataset["dataset"]["digest"] == first.snapshot.digest.removeprefix("sha256:")[:36]
    tags = {each["key"]: each["value"] for each in run["data"]["tags"]}
    assert tags["mldelivery.snapshot"] == first.snapshot.digest and tags["mldelivery.commit"].startswith(first.commit.sha)

    (version,) = tracked.versions("iris").values()
    assert first.tracking is not None
    assert (int(version["version"]), version["run_id"]) == (first.tracking.version, first.tracking.run)
    assert version["tags"]["mldelivery.state"] == "released" and version["tags"]["mldelivery.record"] == first.digest

    objects = tracked.objects()
    (model,) = (key for key in objects if key.endswith("/model.skops"))
    assert objects[model] > 1_000 and any(key.endswith("/MLmodel") for key in objects)
    # The bucket's own file, not a copy that the client kept; and no file of artifacts or of a database beside it.
    assert (tracked.bucket / model).stat().st_size == objects[model]
    assert not (laboratory.store / "mlflow").exists()
    rows = "SELECT count(*) FROM model_versions JOIN runs ON run_id = run_uuid WHERE runs.status = 'FINISHED'"
    assert tracked.sql(rows, database="tracked") == "1"


def kept(tracked: Tracking) -> dict[str, int]:
    """The snapshots in the bucket."""
    return {key: size for key, size in tracked.objects().items() if key.endswith(".parquet")}


def test_a_checkout_that_has_not_the_champions_snapshot_brings_it_from_the_server(
    tracked: Tracking, laboratory: Laboratory, first: Release, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    digest = first.snapshot.digest
    ((key, size),) = kept(tracked).items()
    assert key.endswith(f"/snapshot/{digest.removeprefix('sha256:')}.parquet")
    here = laboratory.store / path_of("iris", digest)
    whole = here.read_bytes()
    assert len(whole) == size

    here.unlink()
    assert laboratory.main("--through", "evaluate", "--until", str(LATER), "--champion", "1") == 0
    assert "against 1 on 50 rows" in capfd.readouterr().err
    assert here.read_bytes() == whole and here.stat().st_mode & 0o777 == 0o444

    def brought(store: Path, url: str = tracked.url) -> Path:
        return find(store, "iris", digest, whose="champion 1", tracking=url)

    assert json.loads(brought(tmp_path / "a").with_suffix(".json").read_bytes())["digest"] == digest
    at = tracked.bucket / key
    at.write_bytes(whole[:-1] + b"x")
    try:
        with pytest.raises(StepFailed, match=f"bring the file back .{tracked.url} keeps sha256:[0-9a-f]* under this digest"):
            brought(tmp_path / "b")
    finally:
        at.write_bytes(whole)
    assert [path for path in (tmp_path / "b").rglob("*") if path.is_file()] == []
    with pytest.raises(StepFailed, match="keeps none of this digest"):
        find(tmp_path, "iris", "sha256:" + "0" * 64, whose="champion 1", tracking=tracked.url)
    with pytest.raises(StepFailed, match="does not answer"):
        brought(tmp_path / "b", "http://127.0.0.1:9")
    with pytest.raises(StepFailed, match="MLflow is no server here"):
        brought(tmp_path / "b", own_uri(tmp_path))


def test_the_alias_follows_what_serves_there_too(tracked: Tracking, laboratory: Laboratory, capsys: pytest.CaptureFixture[str]) -> None:
    assert aliases(tracked) == {}, "only what serves has it"
    serve(laboratory.store.parent, 1)
    assert capsys.readouterr().out == "iris: MLflow's champion-local is version 1\n"
    assert aliases(tracked) == {alias("local"): "1"}
    serve(laboratory.store.parent, 1)
    assert capsys.readouterr().out == ""


def statuses(tracked: Tracking) -> list[str]:
    """Of the runs of iris, newest first."""
    return [run["info"]["status"] for run in tracked.runs("iris")]


def refused(tracked: Tracking, part: Program, laboratory: Laboratory) -> str:
    """What a run says that has to stop at the registration, as a part goes down while MLflow's run of it is under way."""
    runs = len(tracked.runs("iris"))
    with subprocess.Popen(laboratory.command("--force", "--champion", "none"), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: len(tracked.runs("iris")) > runs, seconds=90, what="the registration has begun")
        part.stop()
        _, said = process.communicate(timeout=120)
    part.start()
    assert process.returncode == 1, said
    return said


def test_a_part_that_goes_down_leaves_nothing_half_registered_and_the_next_run_goes_on(
    tracked: Tracking, laboratory: Laboratory, capfd: pytest.CaptureFixture[str]
) -> None:
    before = tracked.versions("iris")
    for part, left, behind in ((tracked.store, "FAILED", "its store of artifacts"), (tracked.database, "RUNNING", "its database")):
        said = refused(tracked, part, laboratory)
        words = f"{tracked.url}: step 'register' of iris 2: MLflow refused: too many 50. error responses to /api/2.0/mlflow"
        assert re.search(words, said), said
        assert behind in said and "run the same command again: it goes on from here" in said, said
        assert "Traceback" not in said, said
        assert laboratory.numbers() == [1] and tracked.versions("iris") == before
        assert statuses(tracked)[0] == left
    capfd.readouterr()
    assert laboratory.main("--force", "--champion", "none") == 0
    assert capfd.readouterr().err.count("(done before)") == 8
    assert laboratory.numbers() == [1, 2]
    # Nobody could tell the database, while it was down, that the run had ended.
    assert statuses(tracked) == ["FINISHED", "KILLED", "FAILED", "FINISHED"]
    states = {number: found["tags"]["mldelivery.state"] for number, found in tracked.versions("iris").items()}
    assert states == {1: "released", 2: "released"} and aliases(tracked) == {alias("local"): "1"}
    assert len(kept(tracked)) == 1, "the same rows are kept once"
    serve(laboratory.store.parent, 2)
    assert aliases(tracked) == {alias("local"): "2"}
