"""An image that is added to a release lies beside its record: believed only when it is whole, unaltered, and of this very record."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.errors import ReleaseError
from infra.ladder import check_climb
from infra.ladder import write as note_served
from infra.release import Release, added_image_path, adding_image, load, numbers, record_digest, record_path, write
from infra.signature import signature_path, statement, verify
from pipelines.sign import sign_record
from tests.unit.infra.test_release import SHA, document

IMAGE = "iris@sha256:" + "b" * 64
OTHER = "iris@sha256:" + "c" * 64
WHERE = "Pulumi.cluster.yaml: mldelivery:models.iris.champion"


def add(store: Path, number: int = 1, image: str = IMAGE, *, signed: bool = True) -> Release:
    """Add an image as the command does, signed with the release."""
    record = load(store, "iris", number)
    sbom = f"images/iris/{number}.cdx.json"
    with adding_image(store, record, image=image, sbom=sbom, sbom_digest=SHA, created="2026-11-25T12:00:00Z") as whole:
        if signed:
            sign_record(store, whole, store / "keys")
    return whole


def check(store: Path) -> None:
    verify(load(store, "iris", 1), store, store / "keys" / "release.pub", where=WHERE)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with release 1, made without an image and signed."""
    write(tmp_path, document(tmp_path))
    sign_record(tmp_path, load(tmp_path, "iris", 1), tmp_path / "keys")
    return tmp_path


@pytest.fixture
def whole(store: Path) -> Path:
    """The same, with an image that was added and signed."""
    add(store)
    return store


def edited(store: Path, *, digest: bool = True, **changes: Any) -> None:
    """Alter what was added; with ``digest`` as somebody would who knows about its digest."""
    path = added_image_path(store, "iris", 1)
    found = yaml.safe_load(path.read_text(encoding="utf-8")) | changes
    if digest:
        found["digest"] = record_digest(found)
    path.write_text(yaml.safe_dump(found, sort_keys=False), encoding="utf-8")


def test_the_release_has_the_image_and_its_record_is_the_same_bytes(store: Path) -> None:
    before, plain = record_path(store, "iris", 1).read_bytes(), load(store, "iris", 1)
    made = add(store)
    assert record_path(store, "iris", 1).read_bytes() == before
    found = load(store, "iris", 1)
    assert found == made and (found.image, found.digest) == (IMAGE, plain.digest)
    assert found.sbom is not None and found.sbom.path == "images/iris/1.cdx.json"
    assert found.as_document() == plain.as_document() == yaml.safe_load(before)
    assert record_digest(found.as_document()) == found.digest
    assert plain.added is None and found.added is not None


def test_what_was_added_is_no_release(whole: Path) -> None:
    assert numbers(whole, "iris") == [1]


def test_it_is_never_added_twice(whole: Path) -> None:
    before = added_image_path(whole, "iris", 1).read_bytes()
    with pytest.raises(ReleaseError, match="has an image already"):
        add(whole, image=OTHER)
    assert added_image_path(whole, "iris", 1).read_bytes() == before


def test_of_two_who_add_one_at_once_the_first_stays(store: Path) -> None:
    record = load(store, "iris", 1)
    values = {"sbom": "images/iris/1.cdx.json", "sbom_digest": SHA, "created": "2026-11-25T12:00:00Z"}
    with pytest.raises(ReleaseError, match="was given an image meanwhile"), adding_image(store, record, image=OTHER, **values):
        # Another process' half-written file has another name than this one's.
        added_image_path(store, "iris", 1).write_bytes(b"the first")
    assert added_image_path(store, "iris", 1).read_bytes() == b"the first"
    assert list((store / "releases" / "iris").glob(".*")) == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda store: edited(store, digest=False, image=OTHER), "not the one that it states"),
        (lambda store: edited(store, more=1), "'more'"),
        (lambda store: edited(store, image="iris:latest"), "'image'"),
        (lambda store: edited(store, image="churn@sha256:" + "b" * 64), "is of iris 1 (churn@"),
        (lambda store: edited(store, release=2), "is of iris 2"),
        (lambda store: edited(store, sbom={"path": "../x", "digest": SHA}), "inside the store"),
        (lambda store: added_image_path(store, "iris", 1).write_text(""), "empty or half-written"),
        (lambda store: added_image_path(store, "iris", 1).write_text("a: [1"), "is not whole YAML"),
        (lambda store: added_image_path(store, "iris", 1).write_text("a: &a [1]\nb: *a\n"), "aliases"),
        (lambda store: os.truncate(added_image_path(store, "iris", 1), 200), "altered or is damaged"),
    ],
)
def test_what_is_not_as_it_was_written_is_refused(whole: Path, spoil: Callable[[Path], object], words: str) -> None:
    spoil(whole)
    with pytest.raises(ReleaseError) as refused:
        load(whole, "iris", 1, where=WHERE)
    said = str(refused.value)
    assert words in said and said.startswith(WHERE)
    path = added_image_path(whole, "iris", 1)
    assert f"restore it (git checkout -- {path}), or remove it and make the image again: python -m pipelines image iris 1" in said


def test_a_newer_format_is_said(whole: Path) -> None:
    edited(whole, format=2)
    with pytest.raises(ReleaseError, match=r"1\.image\.yaml has a newer format"):
        load(whole, "iris", 1)


def test_a_file_that_is_no_text_is_said(whole: Path) -> None:
    added_image_path(whole, "iris", 1).write_bytes(b"\xff\xfe")
    with pytest.raises(ReleaseError, match=r"1\.image\.yaml cannot be read"):
        load(whole, "iris", 1)


def test_that_of_a_record_whose_number_was_made_again_is_refused_until_it_is_removed(whole: Path) -> None:
    record_path(whole, "iris", 1).unlink()
    again = write(whole, document(whole, reason="made again"))
    with pytest.raises(ReleaseError, match="belongs to another record: release 1 of iris was made again") as refused:
        load(whole, "iris", 1, where=WHERE)
    assert f"allowed: {again.digest}" in str(refused.value) and "remove it and make the image of this one" in str(refused.value)
    added_image_path(whole, "iris", 1).unlink()
    assert load(whole, "iris", 1) == again


def test_one_that_contradicts_the_record_is_refused(whole: Path) -> None:
    record_path(whole, "iris", 1).unlink()
    own = write(whole, document(whole, image=IMAGE))
    edited(whole, record=own.digest, image=OTHER)
    with pytest.raises(ReleaseError, match="contradicts the record, which names an image of its own") as refused:
        load(whole, "iris", 1)
    assert "remove it: the record is right" in str(refused.value)


def test_a_disk_that_refuses_leaves_nothing_half_written(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr("infra.release._write", full)
        with pytest.raises(ReleaseError, match="could not be written: No space left"):
            add(store)
    assert sorted(path.name for path in (store / "releases" / "iris").iterdir()) == ["1.dsse.json", "1.yaml"]
    assert add(store).image == IMAGE


def test_the_signature_names_the_image_and_the_file_that_says_so(whole: Path) -> None:
    check(whole)
    names = [each["name"] for each in statement(load(whole, "iris", 1), whole)["subject"]]
    assert names == ["releases/iris/1.yaml", "bentos/iris/1/src", "releases/iris/1.image.yaml", "iris"]


@pytest.mark.parametrize("changes", [{"image": OTHER}, {"created": "2026-11-26T12:00:00Z"}, {"sbom": {"path": "x", "digest": SHA}}])
def test_another_one_in_its_place_is_not_what_was_signed(whole: Path, changes: dict[str, Any]) -> None:
    edited(whole, **changes)
    with pytest.raises(
        ReleaseError, match=r"the image of release 1 of iris is not what was signed \(releases/iris/1\.image\.yaml"
    ) as refused:
        check(whole)
    assert f"git checkout -- {added_image_path(whole, 'iris', 1)}" in str(refused.value)


def test_one_that_nobody_signed_is_not_what_was_signed(store: Path) -> None:
    add(store, signed=False)
    with pytest.raises(ReleaseError, match="what was signed: nothing"):
        check(store)


def test_a_signature_that_names_more_than_is_there_is_taken_only_where_the_image_is_made_now(whole: Path) -> None:
    """As a run leaves it that is killed between the signature and the file."""
    added_image_path(whole, "iris", 1).unlink()
    with pytest.raises(ReleaseError, match="is that of another release"):
        check(whole)
    record, key = load(whole, "iris", 1), whole / "keys" / "release.pub"
    verify(record, whole, key, where=WHERE, may_name_more=True)
    record_path(whole, "iris", 1).unlink()
    altered = write(whole, document(whole, reason="altered"))
    with pytest.raises(ReleaseError, match="the record of release 1 of iris is not what was signed"):
        verify(altered, whole, key, where=WHERE, may_name_more=True)


def test_a_signature_of_another_release_is_not_taken_either(whole: Path) -> None:
    write(whole, document(whole, 2))
    signature_path(whole, "iris", 2).write_bytes(signature_path(whole, "iris", 1).read_bytes())
    with pytest.raises(ReleaseError, match="is not what was signed"):
        verify(load(whole, "iris", 2), whole, whole / "keys" / "release.pub", where=WHERE, may_name_more=True)


def test_it_climbs_as_the_same_image(whole: Path) -> None:
    note_served(whole, load(whole, "iris", 1), "dev", since="2026-11-25T12:00:00Z", baked=True)
    assert check_climb(load(whole, "iris", 1), whole, "staging", where=WHERE)
    added_image_path(whole, "iris", 1).unlink()
    with pytest.raises(ReleaseError, match="the number was used twice"):
        check_climb(load(whole, "iris", 1), whole, "staging", where=WHERE)
