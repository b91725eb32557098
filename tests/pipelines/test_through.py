"""One step at a time, as orchestrators run the list: what was done is not done again, and the end is the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra import release
from pipelines.release import main
from pipelines.steps import STEPS
from tests.pipelines.laboratory import FIRST_UNTIL, LATER, Laboratory
from tests.pipelines.test_bad_data import BATCH, cell, edit
from tests.pipelines.test_interruption import kill_after

NAMES = [step.name for step in STEPS]
OF_ITS_RUN = {"created", "tracking", "card", "digest"}


def made(store: Path) -> dict[str, Any]:
    """Release 1, without what is of its run only."""
    return {key: value for key, value in release.load(store, "iris", 1).as_document().items() if key not in OF_ITS_RUN}


def through(laboratory: Laboratory, capfd: pytest.CaptureFixture[str], step: str, *more: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Run up to one step: exit code, what each step said of itself, the object on stdout."""
    code = laboratory.main("--through", step, "--json", *more)
    out, err = capfd.readouterr()
    said = {line.split()[0]: line for line in err.splitlines() if line.startswith("  ") and line.split()[0] in NAMES}
    return code, said, json.loads(out)


def test_step_by_step_each_twice_gives_the_same_release(empty: Laboratory, first_store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []
    for name in NAMES:
        stands = name in ("record", "sign", "announce")
        for _ in range(2):
            code, said, ended = through(empty, capfd, name)
            assert code == 0
            assert ended == {"model": "iris", "status": "done", "step": name, "release": 1 if stands else None}
            done += [step for step, line in said.items() if not line.endswith("(done before)")]
    assert done == [name for name in NAMES if name != "image"], "each once, in the order of the list"
    assert empty.numbers() == [1]
    assert made(empty.store) == made(first_store)
    assert empty.versions()[0]["state"] == "released"


def test_a_step_that_is_asked_for_first_makes_what_it_needs(empty: Laboratory, capfd: pytest.CaptureFixture[str]) -> None:
    code, said, _ = through(empty, capfd, "train")
    assert code == 0
    assert list(said) == ["snapshot", "interface", "validate", "train"]
    (empty.store / "snapshots").rename(empty.store / "gone")
    code, said, _ = through(empty, capfd, "validate")
    assert code == 0
    assert not said["snapshot"].endswith("(done before)")
    assert said["validate"].endswith("(done before)")


def test_a_step_that_failed_says_why_and_goes_on_when_the_data_is_mended(empty: Laboratory, capfd: pytest.CaptureFixture[str]) -> None:
    batches, later = empty.iris / "data" / "batches", ("--until", str(LATER))
    good = (batches / BATCH).read_bytes()
    edit(cell(3, 1, "wide"))(batches)
    assert through(empty, capfd, "interface", *later)[0] == 0
    code, said, ended = through(empty, capfd, "train", *later)
    assert (code, ended["status"], ended["gate"], ended["step"]) == (1, "failed", "data", "validate")
    assert "'sepal_width_cm'" in ended["what"]
    assert "train" not in said
    (batches / BATCH).write_bytes(good)
    code, said, _ = through(empty, capfd, "train", *later)
    assert code == 0
    assert not said["train"].endswith("(done before)")


def test_a_step_that_is_killed_is_done_again_and_nothing_before_it(empty: Laboratory, capfd: pytest.CaptureFixture[str]) -> None:
    kill_after(empty, "validate", 0.3, "--through", "train")
    code, said, _ = through(empty, capfd, "train")
    assert code == 0
    assert [name for name, line in said.items() if not line.endswith("(done before)")] == ["train"]


def test_with_a_release_of_the_same_things_there_is_nothing_to_do(laboratory: Laboratory, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("snapshot", "package", "announce"):
        code, said, ended = through(laboratory, capfd, name)
        assert (code, ended["release"]) == (0, 1)
        assert list(said) == ["snapshot"]
    assert laboratory.numbers() == [1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["iris", "--through", "deploy"], "'deploy'"),
        (["iris", "--through", "train", "--force"], "neither --force nor --first"),
        (["--through", "train", "--first"], "neither --force nor --first"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--until", str(FIRST_UNTIL)])
    assert caught.value.code == 2
    assert words in capfd.readouterr().err
