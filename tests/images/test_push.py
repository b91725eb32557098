"""From the store into a registry: once, cheaply when it is there, with the same digest after the registry was lost; faults are said."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.errors import PlatformError, ReleaseError
from infra.release import Release, file_digest, load, record_path
from infra.signature import verify
from pipelines.image import main, push
from pipelines.release import release
from tests import faulty
from tests.images.registry import Buildah, Registry, blob, documents, processor_seconds
from tests.pipelines.laboratory import FIRST_UNTIL, ROOT, folders_for

pytestmark = pytest.mark.timeout(900)

Start = Callable[..., Registry]


def test_it_is_pushed_once_and_looked_for_cheaply(store: Path, record: Release, registry: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    target = registry()
    digest = str(record.image).partition("@")[2]
    assert target.status(f"/v2/iris/manifests/{digest}") == 404
    assert push(store, record, target.host)
    status, body, said = target.get(f"/v2/iris/manifests/{digest}")
    assert (status, said) == (200, digest)
    assert body == blob(store, record, digest).read_bytes()
    assert target.get("/v2/iris/manifests/1")[2] == digest
    asked: list[tuple[str, str]] = []
    put = http.client.HTTPConnection.putrequest

    def noting(connection: http.client.HTTPConnection, method: str, url: str, *more: bool, **named: bool) -> None:
        asked.append((method, url))
        put(connection, method, url, *more, **named)

    monkeypatch.setattr(http.client.HTTPConnection, "putrequest", noting)
    # Then nothing is read or sent: one question is all.
    shutil.rmtree(store / "images")
    assert not push(store, record, target.host)
    assert asked == [("HEAD", f"/v2/iris/manifests/{digest}")]


def test_it_goes_below_a_path(store: Path, record: Release, registry: Start) -> None:
    target = registry()
    assert push(store, record, f"{target.host}/team/models")
    assert target.status(f"/v2/team/models/iris/manifests/{str(record.image).partition('@')[2]}") == 200


def test_a_lost_registry_is_filled_again_with_the_same_digest(store: Path, record: Release, registry: Start, tmp_path: Path) -> None:
    first = registry()
    push(store, record, first.host)
    first.stop()
    shutil.rmtree(first.folder)
    second = registry(tmp_path / "new")
    assert push(store, record, second.host)
    assert second.status(f"/v2/iris/manifests/{str(record.image).partition('@')[2]}") == 200


def test_another_tool_pulls_what_was_pushed(store: Path, record: Release, registry: Start, tmp_path: Path) -> None:
    target = registry()
    push(store, record, target.host)
    buildah = Buildah(tmp_path / "buildah")
    buildah.run("pull", "--quiet", "--tls-verify=false", f"{target.host}/{record.image}")
    seen = json.loads(buildah.run("inspect", "--type", "image", f"{target.host}/{record.image}"))
    assert seen["FromImageDigest"] == str(record.image).partition("@")[2]
    assert seen["OCIv1"]["config"]["User"] == "10001:10001"


def test_a_second_release_sends_its_own_layer_only(store: Path, record: Release, registry: Start) -> None:
    target = registry()
    push(store, record, target.host)
    started = processor_seconds()
    faulty.make(store, 2, source=1, fault=faulty.exits, with_image=True)
    assert processor_seconds() - started < 5
    before = used(target.folder)
    assert push(store, load(store, "iris", 2), target.host)
    assert used(target.folder) - before < 2_000_000


def used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("data"))


def test_a_registry_that_is_down_is_said(store: Path, record: Release, registry: Start) -> None:
    target = registry()
    target.stop()
    with pytest.raises(PlatformError, match="Connection refused") as caught:
        push(store, record, target.host)
    assert f"http://{target.host}" in str(caught.value)
    assert "make cluster" in str(caught.value)


def test_a_registry_that_dies_while_it_is_sent_to_is_said(store: Path, record: Release, registry: Start, tmp_path: Path) -> None:
    target = registry()
    stopping = subprocess.Popen(["sh", "-c", f"sleep 0.05; kill -9 {target.process.pid}"])
    with pytest.raises(PlatformError, match="the image registry refuses iris"):
        for _ in range(50):
            push(store, record, target.host)
            shutil.rmtree(target.folder / "docker", ignore_errors=True)
    stopping.wait(10)
    again = registry(tmp_path / "new")
    assert push(store, record, again.host)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_registry_without_space_is_said(store: Path, record: Release, registry: Start, small_disk: Path) -> None:
    target = registry(small_disk / "images")
    with pytest.raises(PlatformError) as caught:
        push(store, record, target.host)
    assert "free some space" in str(caught.value)


def test_a_store_without_space_is_said_and_leaves_nothing_half_written(store: Path, record: Release, small_disk: Path) -> None:
    shutil.copytree(store / "bentos", small_disk / "bentos")
    from pipelines.image import image_of

    with pytest.raises(PlatformError, match="the disk is full"):
        image_of(ROOT, small_disk, small_disk / record.bento.path, "iris", 1)
    assert list(small_disk.rglob("*.partial")) == []
    assert not (small_disk / "images" / "iris" / "index.json").exists()


def test_an_image_that_the_store_lost_is_made_again(
    store: Path, record: Release, registry: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    packages = file_digest(store / "images" / "iris" / "1.cdx.json")
    shutil.rmtree(store / "images")
    target = registry()
    with pytest.raises(ReleaseError, match="python -m pipelines image iris 1"):
        push(store, record, target.host)
    assert main(["iris", "1", "--store", str(store), "--push", target.host]) == 0
    assert str(record.image) in capsys.readouterr().out
    assert file_digest(store / "images" / "iris" / "1.cdx.json") == packages
    assert target.status(f"/v2/iris/manifests/{str(record.image).partition('@')[2]}") == 200


def test_a_damaged_blob_is_not_pushed(store: Path, record: Release, registry: Start) -> None:
    layer = blob(store, record, documents(store, record)[0]["layers"][-1]["digest"])
    data = bytearray(layer.read_bytes())
    layer.unlink()
    data[600] ^= 1
    layer.write_bytes(data)
    with pytest.raises(PlatformError, match="DIGEST_INVALID"):
        push(store, record, registry().host)


def test_a_release_without_an_image_gets_one_beside_its_record_and_is_signed_with_it(
    store: Path, registry: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    # given: a release as a laptop makes it
    faulty.make(store, 2, source=1)
    before = record_path(store, "iris", 2).read_bytes()
    target = registry()
    with pytest.raises(ReleaseError, match="python -m pipelines image iris 2"):
        push(store, load(store, "iris", 2), target.host)
    # when
    command = ["iris", "2", "--store", str(store), "--push", target.host]
    assert main(command) == 0
    # then
    found = load(store, "iris", 2)
    assert found.image is not None and found.sbom is not None
    assert f"{found.image}\n" in capsys.readouterr().out
    assert record_path(store, "iris", 2).read_bytes() == before
    assert file_digest(store / found.sbom.path) == found.sbom.digest
    assert documents(store, found)[1]["config"]["Labels"]["mldelivery.bento"] == found.bento.digest
    assert target.status(f"/v2/iris/manifests/{found.image.partition('@')[2]}") == 200
    verify(found, store, store / "keys" / "release.pub", where="a test")
    # and again, with the store's images lost: the same one
    shutil.rmtree(store / "images")
    assert main(command) == 0
    assert load(store, "iris", 2) == found


def test_two_who_make_it_at_once_leave_one_image_that_is_signed(store: Path) -> None:
    faulty.make(store, 2, source=1)
    command = [sys.executable, "-m", "pipelines", "image", "iris", "2", "--store", str(store)]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    said = [each.communicate(timeout=200)[0] for each in both]
    refused = [text for each, text in zip(both, said, strict=True) if each.returncode]
    assert len(refused) <= 1 and all("a release of iris is being made already" in text for text in refused), said
    assert sum("was made without an image" in text for text in said) >= 1
    verify(load(store, "iris", 2), store, store / "keys" / "release.pub", where="a test")
    assert list(store.rglob("*.partial")) == []


def test_asked_for_an_image_a_release_without_one_is_not_the_same(tmp_path: Path) -> None:
    store, folders = tmp_path / "store", folders_for(tmp_path / "models")

    def make(image: bool) -> Release:
        return release(ROOT, "iris", store=store, folders=folders, until=FIRST_UNTIL, champion="none", image=image).record

    plain = make(False)
    assert plain.image is None
    with_image = make(True)
    assert (with_image.release, with_image.reason) == (2, "an image for a cluster")
    assert make(True).release == make(False).release == 2
