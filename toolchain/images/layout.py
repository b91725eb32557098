"""OCI image layouts: a folder of content-addressed blobs and an index of the images in it, written so that a crash leaves no half image."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchain.images.layers import Layer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
REFERENCE = "org.opencontainers.image.ref.name"
EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class Image:
    """An image of a layout: the digest of its manifest, the manifest, and its config."""

    digest: str
    manifest: dict[str, Any]
    config: dict[str, Any] = field(repr=False)

    @property
    def blobs(self) -> list[str]:
        """Digests of the config and of all layers."""
        return [self.manifest["config"]["digest"], *(layer["digest"] for layer in self.manifest["layers"])]


class Layout:
    """One layout folder. Raises OSError when the disk refuses, ValueError when a blob is not what its name says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def blob(self, digest: str) -> Path:
        """Where a blob lies, or would."""
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def find(self, reference: str) -> Image | None:
        """The image of a name, when it is there with every blob."""
        digest = self._index().get(reference, {}).get("digest")
        if digest is None:
            return None
        try:
            manifest = json.loads(self.read(digest))
            image = Image(digest, manifest, json.loads(self.read(manifest["config"]["digest"])))
        except (OSError, ValueError, KeyError):
            return None
        sizes = {layer["digest"]: layer["size"] for layer in manifest["layers"]}
        is_whole = all(self.blob(name).is_file() and self.blob(name).stat().st_size == size for name, size in sizes.items())
        return image if is_whole else None

    def read(self, digest: str) -> bytes:
        """A small blob's content, checked."""
        data = self.blob(digest).read_bytes()
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            raise ValueError(f"{self.blob(digest)} is not what its name says")
        return data

    def take(self, other: Layout, digests: list[str]) -> None:
        """Have blobs of another layout here too: by a hard link, which costs no space, or a copy where disks differ."""
        for digest in digests:
            source, target = other.blob(digest), self.blob(digest)
            if target.exists() and target.stat().st_size == source.stat().st_size:
                continue
            partial = self._partial()
            try:
                try:
                    os.link(source, partial)
                except OSError:
                    shutil.copyfile(source, partial)
                self._place(partial, target)
            finally:
                partial.unlink(missing_ok=True)

    def add(self, reference: str, layers: list[Layer], *, onto: Image | None, config: dict[str, Any], history: list[str]) -> Image:
        """Write an image of new layers over those of ``onto``, whose blobs are here already, and give it a name.

        ``config`` changes keys of the image's ``config`` section; ``history`` says, for each new layer, what it is.
        """
        below: dict[str, Any] = onto.config if onto else {"rootfs": {"type": "layers", "diff_ids": []}, "history": [], "config": {}}
        whole = {
            "created": EPOCH,
            "architecture": below.get("architecture", _architecture()),
            "os": "linux",
            "config": {**below.get("config", {}), **config},
            "rootfs": {"type": "layers", "diff_ids": [*below["rootfs"]["diff_ids"], *(layer.diff_id for layer in layers)]},
            "history": [*below.get("history", []), *({"created": EPOCH, "created_by": text} for text in history)],
        }
        for layer in layers:
            self._place(layer.path, self.blob(layer.digest))
        data = _json(whole)
        config_digest = self._write(data)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": config_digest, "size": len(data)},
            "layers": [
                *(onto.manifest["layers"] if onto else []),
                *({"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size} for layer in layers),
            ],
        }
        data = _json(manifest)
        digest = self._write(data)
        self._name(reference, {"mediaType": MANIFEST, "digest": digest, "size": len(data)})
        return Image(digest, manifest, whole)

    def scratch(self) -> Path:
        """A new name for a file that will become a blob; ``*.partial`` in the layout's own folder."""
        return self._partial()

    def _index(self) -> dict[str, dict[str, Any]]:
        try:
            index = json.loads((self.folder / "index.json").read_bytes())
            return {each["annotations"][REFERENCE]: each for each in index["manifests"]}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _name(self, reference: str, descriptor: dict[str, Any]) -> None:
        index = {**self._index(), reference: {**descriptor, "annotations": {REFERENCE: reference}}}
        content = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": list(index.values())}
        self._replace(self.folder / "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        self._replace(self.folder / "index.json", _json(content))

    def _write(self, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._replace(self.blob(digest), data)
        return digest

    def _replace(self, target: Path, data: bytes) -> None:
        partial = self._partial()
        try:
            partial.write_bytes(data)
            self._place(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    def _place(self, partial: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)

    def _partial(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f".{os.getpid()}-{os.urandom(4).hex()}.partial"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _architecture() -> str:
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
