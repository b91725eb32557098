"""Layers and layouts: bytes that depend on the content only, and images that are whole or not there."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from toolchain import SetupError
from toolchain.images import base, layers
from toolchain.images.layers import Entry, Layer
from toolchain.images.layout import Layout


def written(target: Path, *entries: Entry, is_compressed: bool = False) -> Layer:
    return layers.write(entries, target, is_compressed=is_compressed)


def members(path: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(path) as archive:
        return archive.getmembers()


@pytest.mark.parametrize("is_compressed", [True, False])
def test_order_times_and_rights_do_not_matter(tmp_path: Path, is_compressed: bool) -> None:
    for folder, names in ((tmp_path / "a", ("x", "y/z")), (tmp_path / "b", ("y/z", "x"))):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
    os.utime(tmp_path / "b" / "x", (1, 1))
    (tmp_path / "b" / "x").chmod(0o600)
    first = written(tmp_path / "1", *layers.folder(tmp_path / "a", "app"), is_compressed=is_compressed)
    second = written(tmp_path / "2", *layers.folder(tmp_path / "b", "app"), is_compressed=is_compressed)
    assert (first.digest, first.diff_id, first.size) == (second.digest, second.diff_id, second.size)
    assert [(each.name, each.mode, each.mtime, each.uid, each.uname) for each in members(tmp_path / "1")] == [
        ("app", 0o755, 0, 0, ""),
        ("app/x", 0o644, 0, 0, ""),
        ("app/y", 0o755, 0, 0, ""),
        ("app/y/z", 0o644, 0, 0, ""),
    ]


def test_another_content_or_execute_bit_is_another_layer(tmp_path: Path) -> None:
    found = {
        written(tmp_path / "1", Entry("a", content=b"x")).digest,
        written(tmp_path / "2", Entry("a", content=b"y")).digest,
        written(tmp_path / "3", Entry("a", content=b"x", is_executable=True)).digest,
        written(tmp_path / "4", Entry("a", link="x")).digest,
    }
    assert len(found) == 4


def test_a_compressed_layer_is_plain_gzip_of_the_tar(tmp_path: Path) -> None:
    import hashlib

    layer = written(tmp_path / "1", Entry("a", content=b"x" * 100_000), is_compressed=True)
    plain = gzip.decompress((tmp_path / "1").read_bytes())
    assert layer.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    assert layer.digest == f"sha256:{hashlib.sha256((tmp_path / '1').read_bytes()).hexdigest()}"
    assert (layer.unpacked, layer.size) == (len(plain), (tmp_path / "1").stat().st_size)
    assert layer.size < 1_000


def test_a_foreign_tar_loses_devices_rights_owners_and_what_is_dropped(tmp_path: Path) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, kind, mode in (
            ("./usr/bin/su", tarfile.REGTYPE, 0o4755),
            ("./dev/null", tarfile.CHRTYPE, 0o666),
            ("./etc/resolv.conf", tarfile.REGTYPE, 0o644),
            ("./etc/apt/sources.list", tarfile.REGTYPE, 0o644),
            ("./etc/aptitude", tarfile.REGTYPE, 0o644),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.uid, member.mtime, member.uname = kind, mode, 5, 99, "someone"
            archive.addfile(member)
    content.seek(0)
    layers.from_tar(content, tmp_path / "layer", drop=("etc/apt", "etc/resolv.conf"))
    found = {each.name: each for each in members(tmp_path / "layer")}
    assert sorted(found) == ["etc/aptitude", "usr/bin/su"]
    su = found["usr/bin/su"]
    assert (su.mode, su.uid, su.mtime, su.uname) == (0o755, 0, 0, "")


def image(folder: Path, name: str = "1", content: bytes = b"x") -> Layout:
    layout = Layout(folder)
    layer = written(layout.scratch(), Entry("a", content=content))
    layout.add(name, [layer], onto=None, config={"User": "1"}, history=["a file"])
    return layout


def test_an_image_is_found_by_its_name_while_it_is_whole(tmp_path: Path) -> None:
    layout = image(tmp_path)
    found = layout.find("1")
    assert found is not None and found.config["config"] == {"User": "1"}
    assert layout.find("2") is None
    blob = layout.blob(found.blobs[-1])
    blob.write_bytes(blob.read_bytes()[:-1])
    assert layout.find("1") is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"manifests": [{}]}'])
def test_a_damaged_index_holds_no_image(tmp_path: Path, content: bytes) -> None:
    layout = image(tmp_path)
    (tmp_path / "index.json").write_bytes(content)
    assert layout.find("1") is None
    image(tmp_path, "2")
    assert layout.find("2") is not None


def test_images_of_a_layout_share_what_is_below_them(tmp_path: Path) -> None:
    below = image(tmp_path / "below", "base", b"the base")
    base_image = below.find("base")
    assert base_image is not None
    layout = Layout(tmp_path / "images")
    layout.take(below, base_image.blobs)
    for name in ("1", "2"):
        layer = written(layout.scratch(), Entry("b", content=name.encode()))
        layout.add(name, [layer], onto=base_image, config={"Cmd": [name]}, history=["more"])
    first, second = layout.find("1"), layout.find("2")
    assert first is not None and second is not None
    assert first.manifest["layers"][0] == second.manifest["layers"][0] == base_image.manifest["layers"][0]
    assert first.config["config"] == {"User": "1", "Cmd": ["1"]}
    assert layout.blob(base_image.blobs[-1]).stat().st_nlink == 2
    assert list(tmp_path.rglob("*.partial")) == []
    assert json.loads((layout.folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_without_any_base_it_says_all_that_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(base, "_system", lambda: {"VERSION_CODENAME": "other", "PRETTY_NAME": "Other 1"})
    with pytest.raises(SetupError) as caught:
        base.prepare(tmp_path / "cache")
    for words in ("docker is not on PATH", "podman is not on PATH", "this machine is Other 1", "MLDELIVERY_BASE_IMAGE"):
        assert words in str(caught.value)


def test_a_base_is_had_by_docker_where_it_reaches_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker here is a script that saves an archive as Docker does; the image's layers are written anew."""
    given = image(tmp_path / "given", "python", b"python")
    manifest = given.find("python")
    assert manifest is not None
    archive = tmp_path / "saved.tar"
    with tarfile.open(archive, "w") as target:
        target.add(given.folder, ".")
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n[ "$1" = pull ] || /bin/cp {archive} "$3"\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(docker.parent))
    monkeypatch.setenv("MLDELIVERY_BASE_IMAGE", "registry.example.com/python@sha256:1")
    layout, found = base.prepare(tmp_path / "cache")
    assert (tmp_path / "asked").read_text().splitlines()[0] == "pull --quiet registry.example.com/python@sha256:1"
    assert [each.name for each in members(layout.blob(found.blobs[-1]))] == ["a"]
    assert base.prepare(tmp_path / "cache")[1].digest == found.digest
    assert len((tmp_path / "asked").read_text().splitlines()) == 2
    base.refresh(tmp_path / "cache")
    base.prepare(tmp_path / "cache")
    assert len((tmp_path / "asked").read_text().splitlines()) == 4
