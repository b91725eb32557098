"""A release that was made without an image gets one, signed with it, however often the command is cut short; nothing else is signed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.config import KubernetesConfig
from infra.errors import PlatformError, ReleaseError
from infra.records import checked
from infra.release import Release, added_image_path, load, record_path, write
from infra.signature import signature_path, verify
from pipelines import add_image
from pipelines.add_image import ensure_image
from pipelines.failures import StepFailed
from pipelines.image import Image, main
from pipelines.image import push as push_image
from pipelines.sign import sign_record
from pipelines.store import locked
from tests.unit.infra.test_release import SHA, document
from tests.unit.pipelines.test_release_told import CLUSTER

IMAGE = "iris@sha256:" + "b" * 64
WHERE = "Pulumi.cluster.yaml: mldelivery:models.iris.champion"
Make = Callable[[], Release]


class Killed(BaseException):
    """As good as kill -9: nothing of the command's own runs after it."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with release 1, made without an image and signed."""
    store = tmp_path / "store"
    write(store, document(store))
    sign_record(store, load(store, "iris", 1), store / "keys")
    return store


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The Bentos that images were made of."""
    sources: list[Path] = []

    def image_of(_root: Path, _store: Path, source: Path, model: str, number: int) -> Image:
        sources.append(source)
        return Image(image=IMAGE, sbom=f"images/{model}/{number}.cdx.json", sbom_digest=SHA)

    monkeypatch.setattr(add_image, "image_of", image_of)
    return sources


@pytest.fixture
def make(store: Path, tmp_path: Path, made: list[Path]) -> Make:
    """Runs the command's part on release 1."""
    del made
    return lambda: ensure_image(tmp_path, store, "iris", 1, where=WHERE)


def check_signed(store: Path) -> None:
    verify(load(store, "iris", 1), store, store / "keys" / "release.pub", where=WHERE)


def beside(store: Path) -> list[str]:
    return sorted(path.name for path in (store / "releases" / "iris").iterdir())


def test_it_is_made_of_the_recorded_bento_once_and_signed(
    store: Path, make: Make, made: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = record_path(store, "iris", 1).read_bytes()
    assert make().image == IMAGE
    assert made == [store / "bentos" / "iris" / "1" / "src"]
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert said.startswith("iris 1 was made without an image: making one from its Bento, bbbbbbbbbbbb, signed anew (0.")
    check_signed(store)
    assert record_path(store, "iris", 1).read_bytes() == before
    assert make().image == IMAGE
    assert len(made) == 1 and capsys.readouterr().out == ""


def test_a_stack_of_a_cluster_takes_it_then(store: Path, make: Make) -> None:
    cluster = KubernetesConfig.model_validate({**CLUSTER, "public-key": "keys/release.pub"})
    with pytest.raises(ReleaseError, match="has no image, which a cluster needs"):
        checked(store, "iris", 1, where=WHERE, stack="cluster", root=store, kubernetes=cluster)
    make()
    assert checked(store, "iris", 1, where=WHERE, stack="cluster", root=store, kubernetes=cluster).image == IMAGE


def test_in_git_it_says_what_to_commit(store: Path, made: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    del made
    shutil.move(store / "keys", store / ".local" / "keys")
    ensure_image(store, store, "iris", 1)
    assert "to commit: git add releases/iris/1.image.yaml releases/iris/1.dsse.json\n" in capsys.readouterr().out


def test_the_command_that_refusals_name_makes_it_in_the_stacks_store(
    store: Path, made: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipelines.release.of_stack", lambda stack: (store if stack == "cluster" else store / "other", True))
    monkeypatch.setattr("pipelines.image.restore", lambda *_: None)
    monkeypatch.setattr("pipelines.image.sizes", lambda *_: [("the release", 10, 20)])
    assert main(["iris", "1", "--stack", "cluster"]) == 0
    assert len(made) == 1 and load(store, "iris", 1).image == IMAGE
    assert f"{IMAGE}\n" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["pipelines.sign.write_whole", "os.link"])
def test_killed_before_or_after_the_signature_it_is_finished_by_the_same_command(
    store: Path, make: Make, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(place, kill)
        patched.setattr("infra.files.discard", lambda _: None)
        with pytest.raises(Killed):
            make()
    assert load(store, "iris", 1).image is None
    assert make().image == IMAGE
    check_signed(store)
    assert beside(store) == ["1.dsse.json", "1.image.yaml", "1.yaml"]


@pytest.mark.parametrize("place", ["pipelines.sign.write_whole", "infra.release._write"])
def test_a_full_disk_is_said_and_the_same_command_goes_on(store: Path, make: Make, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(place, full)
        with pytest.raises((PlatformError, ReleaseError), match="No space left") as refused:
            make()
    assert "free some space" in str(refused.value)
    assert beside(store) == ["1.dsse.json", "1.yaml"]
    assert make().image == IMAGE


def test_a_store_that_cannot_be_written_is_said(store: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object) -> None:
        raise OSError(30, os.strerror(30), "holder")

    monkeypatch.setattr("pipelines.store.write_whole", read_only)
    with pytest.raises(PlatformError, match="the image of release 1 of iris cannot be kept: Read-only"):
        make()
    assert load(store, "iris", 1).image is None


def test_without_what_images_are_made_of_nothing_changes(store: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> Image:
        raise StepFailed("no image could be made", where="python -m toolchain.images", got="no base image", act="do what it says")

    before = signature_path(store, "iris", 1).read_bytes()
    monkeypatch.setattr(add_image, "image_of", missing)
    with pytest.raises(StepFailed, match="no image could be made"):
        make()
    assert beside(store) == ["1.dsse.json", "1.yaml"] and signature_path(store, "iris", 1).read_bytes() == before


def test_two_at_once_do_not_meet(store: Path, make: Make, made: list[Path]) -> None:
    with locked(store, "iris"), pytest.raises(PlatformError, match="is being made already"):
        make()
    assert not made
    assert make().image == IMAGE


def test_what_another_one_made_meanwhile_is_taken(store: Path, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = load, []

    def late(*arguments: object, **named: object) -> Release:
        record = real(*arguments, **named)  # type: ignore[arg-type]
        seen.append(record.image)
        if len(seen) == 1:
            make()
        return record

    monkeypatch.setattr(add_image, "load", late)
    assert ensure_image(tmp_path, store, "iris", 1).image == IMAGE
    assert seen[0] is None and seen[-1] == IMAGE


def test_without_its_bento_the_release_is_refused_with_the_ways_out(store: Path, make: Make, made: list[Path]) -> None:
    shutil.rmtree(store / "bentos")
    with pytest.raises(ReleaseError, match="its Bento, of which it would be made, is not here") as refused:
        make()
    said = str(refused.value)
    assert said.startswith(WHERE) and "bentos/iris/1/src is missing" in said and "make release MODEL=iris FORCE=1" in said
    assert not made


def test_another_bento_than_was_recorded_gets_no_image(store: Path, make: Make, made: list[Path]) -> None:
    (store / "bentos" / "iris" / "1" / "src" / "service.py").write_text("svc = 2\n")
    with pytest.raises(ReleaseError, match="is not what was recorded"):
        make()
    assert not made


def test_a_release_that_may_not_serve_gets_no_image(store: Path, tmp_path: Path, made: list[Path]) -> None:
    write(store, document(store, 2, gates={"data": "pass", "evaluation": "fail"}))
    with pytest.raises(ReleaseError, match="gate 'evaluation' says fail"):
        ensure_image(tmp_path, store, "iris", 2)
    assert not made


def test_a_release_that_was_altered_since_is_not_signed_by_the_way(store: Path, make: Make, made: list[Path]) -> None:
    """As somebody would who knows about its digest, and has no key."""
    record_path(store, "iris", 1).unlink()
    write(store, document(store, reason="altered"))
    before = signature_path(store, "iris", 1).read_bytes()
    with pytest.raises(ReleaseError, match="the record of release 1 of iris is not what was signed"):
        make()
    assert not made and signature_path(store, "iris", 1).read_bytes() == before


def test_the_signature_of_another_key_is_not_written_over(store: Path, tmp_path: Path, make: Make, made: list[Path]) -> None:
    sign_record(store, load(store, "iris", 1), tmp_path / "elsewhere")
    before = signature_path(store, "iris", 1).read_bytes()
    with pytest.raises(ReleaseError, match="is signed with another key") as refused:
        make()
    assert "sign it anew where the key is: python -m pipelines sign iris 1" in str(refused.value)
    assert not made and signature_path(store, "iris", 1).read_bytes() == before


def test_what_nobody_signed_gets_its_image_and_stays_unsigned(store: Path, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    signature_path(store, "iris", 1).unlink()
    assert make().image == IMAGE
    assert "not signed, as the release is not: python -m pipelines sign iris 1" in capsys.readouterr().out
    assert beside(store) == ["1.image.yaml", "1.yaml"]


def test_what_its_own_run_could_not_sign_any_more_is_signed(store: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    signature_path(store, "iris", 1).unlink()
    digest = load(store, "iris", 1).digest
    monkeypatch.setattr("pipelines.store.Steps.made", lambda _, step: iter([{"digest": digest}] if step == "record" else []))
    make()
    check_signed(store)


def test_a_damaged_key_is_said_before_anything_is_made(store: Path, make: Make, made: list[Path]) -> None:
    (store / "keys" / "release.key").write_text("damaged")
    with pytest.raises(PlatformError, match=r"release\.key"):
        make()
    assert not made and not added_image_path(store, "iris", 1).exists()


def test_pushing_a_release_without_an_image_names_the_command_that_makes_it(store: Path) -> None:
    with pytest.raises(ReleaseError, match="release 1 of iris has no image") as refused:
        push_image(store, load(store, "iris", 1), "registry.test")
    assert "python -m pipelines image iris 1" in str(refused.value)
