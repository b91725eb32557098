"""Killed while the image is made, or after the record and before its signature: the next run goes on, nothing is half-written."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import ReleaseError
from infra.release import load, record_path
from infra.signature import signature_path, verify
from pipelines.add_image import ensure_image
from pipelines.image import push
from tests.images.registry import Registry
from tests.pipelines.laboratory import LATER, ROOT, Laboratory, folders_for
from tests.pipelines.test_interruption import kill_after

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def laboratory(store: Path, tmp_path: Path) -> Iterator[Laboratory]:
    made = Laboratory(store, folders_for(tmp_path / "models"))
    yield made
    made.check_whole()


def check_signed(store: Path, number: int) -> None:
    verify(load(store, "iris", number), store, store / "keys" / "release.pub", where="a test")


def test_every_release_is_signed_with_the_stores_key(laboratory: Laboratory) -> None:
    check_signed(laboratory.store, 1)
    record = laboratory.release(until=LATER, champion="1")
    assert (record.release, record.image) == (2, None)
    check_signed(laboratory.store, 2)
    # A run that was killed before it signed vouches for the image that is made of its Bento afterwards; for what came later, nobody does.
    for is_signed in (True, False):
        signature_path(laboratory.store, "iris", 2).unlink()
        shutil.rmtree(laboratory.store / "steps" / "iris" / "sign")
        assert ensure_image(ROOT, laboratory.store, "iris", 2).image is not None
        laboratory.release()
        assert signature_path(laboratory.store, "iris", 2).is_file() is is_signed
        if is_signed:
            check_signed(laboratory.store, 2)
            (laboratory.store / "steps" / "iris" / "sign").mkdir()


def test_a_run_that_is_killed_while_it_makes_the_image_is_finished_by_the_next(tmp_path: Path, registry: object) -> None:
    empty = Laboratory(tmp_path / "store", folders_for(tmp_path / "models"))
    command = empty.command
    empty.command = lambda *more, **keys: command("--image", *more, **keys)  # type: ignore[method-assign]
    kill_after(empty, "verify", 0.05)
    assert empty.numbers() == []
    done = empty.run()
    assert done.returncode == 0, done.stderr
    assert "(done before)" in done.stderr
    record = load(empty.store, "iris", 1)
    assert record.image is not None
    check_signed(empty.store, 1)
    target: Registry = registry()  # type: ignore[operator]
    assert push(empty.store, record, target.host)
    empty.check_whole()


@pytest.mark.parametrize("until", [None, LATER])
def test_a_run_that_is_killed_before_it_signs_is_finished_by_the_next(laboratory: Laboratory, until: object) -> None:
    """Whether the next run has nothing to do or makes another release."""
    signature_path(laboratory.store, "iris", 1).unlink()
    shutil.rmtree(laboratory.store / "steps" / "iris" / "sign")
    with pytest.raises(ReleaseError, match="not signed"):
        check_signed(laboratory.store, 1)
    if until is None:
        assert laboratory.release().release == 1
    else:
        assert laboratory.release(until=LATER, champion="1").release == 2
        check_signed(laboratory.store, 2)
    check_signed(laboratory.store, 1)


def test_a_record_from_elsewhere_is_not_signed_by_the_way(laboratory: Laboratory) -> None:
    signature_path(laboratory.store, "iris", 1).unlink()
    shutil.rmtree(laboratory.store / "steps" / "iris" / "sign")
    shutil.rmtree(laboratory.store / "steps" / "iris" / "record")
    laboratory.release()
    assert not signature_path(laboratory.store, "iris", 1).exists()


def test_what_the_image_step_gave_is_made_again_where_it_is_gone(tmp_path: Path, store: Path) -> None:
    """A step is believed only while its files are there: here the store's images went between two runs of the same release."""
    laboratory = Laboratory(store, folders_for(tmp_path / "models"))
    before = record_path(store, "iris", 1).read_bytes()
    record_path(store, "iris", 1).unlink()
    shutil.rmtree(store / "images")
    started = time.time()
    assert laboratory.main("--image") == 0
    record = load(store, "iris", 1)
    assert record.image is not None and record.image.encode() in before
    index = store / "images" / "iris" / "index.json"
    assert index.stat().st_mtime >= started - 1
    assert [each["digest"] for each in json.loads(index.read_bytes())["manifests"]] == [record.image.partition("@")[2]]
