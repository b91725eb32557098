"""Step 9, image: the packaged Bento as an OCI image, kept in the store, from where it can be pushed into any registry with the same digest.

``images/<model>/`` is one OCI layout for all releases of a model, so that they share the blobs of their runtime; ``<n>.cdx.json`` beside
it lists what the image holds.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import PlatformError, ReleaseError
from infra.release import Release, file_digest, tree_digest
from pipelines.artifacts import Imaged, Packaged, Verified
from pipelines.failures import StepFailed
from pipelines.sbom import sbom
from pipelines.store import write_whole
from pipelines.work import Work

ROOT = Path(__file__).resolve().parent.parent
LOCK = "requirements.txt"
NOT_MODEL = {"golden.jsonl", "release.json"}


@dataclass(frozen=True)
class Image:
    """A release's image in a store: the record's ``image``, and its ``sbom`` as path and digest."""

    image: str
    sbom: str
    sbom_digest: str

    @property
    def digest(self) -> str:
        """The digest of its manifest, by which registries know it."""
        return self.image.partition("@")[2]


def make_image(work: Work, packaged: Packaged, verified: Verified) -> Imaged:
    """Make the image of release ``work.number``. Raises StepFailed when there is no base image or a package can't be had."""
    del verified  # only what answers its golden requests becomes an image
    made = image_of(work.root, work.store, work.file(packaged.bento) / "src", work.model.name, work.number)
    layers = sizes(work.root, work.store, work.model.name, work.number)
    return Imaged(
        image=made.image,
        manifest=f"{layout(work.model.name)}/blobs/sha256/{made.digest.removeprefix('sha256:')}",
        sbom=made.sbom,
        sbom_digest=made.sbom_digest,
        megabytes=round(sum(unpacked for _, _, unpacked in layers) / 1e6),
    )


def image_of(root: Path, store: Path, source: Path, model: str, number: int) -> Image:
    """Make the image of a Bento's ``src`` folder, and the list of what it holds, in a store.

    A tenth of a second once the runtime image of the same requirements is in the cache, half a minute before. Raises StepFailed.
    """
    if not (source / LOCK).is_file():
        raise StepFailed(
            "the Bento does not say what its server runs on, so no image can be made of it",
            where=str(source / LOCK),
            allowed="a Bento that this checkout packaged",
            act=f"make release MODEL={model} FORCE=1 STACK=cluster",
        )
    digest = tree_digest(source)
    labels = {
        "org.opencontainers.image.title": model,
        "org.opencontainers.image.version": str(number),
        "mldelivery.model": model,
        "mldelivery.release": str(number),
        "mldelivery.bento": digest,
    }
    command = [
        "release",
        "--lock",
        str(source / LOCK),
        "--source",
        str(source),
        "--layout",
        str(store / layout(model)),
        "--name",
        str(number),
    ]
    made = tool(root, [*command, *(f"--label={name}={value}" for name, value in labels.items())])
    files = {path.name: file_digest(path) for path in sorted((source / "release").iterdir()) if path.name not in NOT_MODEL}
    path = f"{layout(model)}/{number}.cdx.json"
    write_whole(store / path, sbom(model, number, made["digest"], made, files))
    return Image(image=f"{model}@{made['digest']}", sbom=path, sbom_digest=file_digest(store / path))


def layout(model: str) -> str:
    """Where the images of a model lie, from the store's root."""
    return f"images/{model}"


def sizes(root: Path, store: Path, model: str, number: int) -> list[tuple[str, int, int]]:
    """An image's layers, the lowest first: what each is, bytes as stored, bytes unpacked."""
    found = tool(root, ["sizes", "--layout", str(store / layout(model)), "--name", str(number)])
    return [(str(what), int(stored), int(unpacked)) for what, stored, unpacked in found]


def push(store: Path, record: Release, registry: str) -> bool:
    """Bring a release's image into a registry, unless it is there already; whether something was pushed.

    Raises ReleaseError when the release has no image or the store lost it, PlatformError when the registry is down, full or refuses.
    """
    name, digest = _named(record)
    try:
        if not push_layout(store / layout(record.model), name, digest, registry, tag=str(record.release)):
            return False
    except FileNotFoundError as error:
        raise ReleaseError(
            f"the image of release {record.release} of {record.model} is not in the store, nor in {registry}",
            where=str(error.filename),
            got=record.image,
            act=f"make it again from its Bento: python -m pipelines image {record.model} {record.release}",
        ) from None
    print(f"{record.model} {record.release}: image pushed to {registry}", flush=True)
    return True


def push_layout(folder: Path, name: str, digest: str, registry: str, *, tag: str) -> bool:
    """Bring an image of an OCI layout into a registry, unless it is there already; whether something was pushed.

    Raises FileNotFoundError when the layout lost it, PlatformError as ``push`` does.
    """
    from pipelines.registry import Registry

    with Registry.at(registry, name) as target:
        if target.has_manifest(digest):
            return False
        blobs = folder / "blobs" / "sha256"
        manifest = (blobs / digest.removeprefix("sha256:")).read_bytes()
        parts = json.loads(manifest)
        for each in (parts["config"], *parts["layers"]):
            target.push_blob(each["digest"], blobs / each["digest"].removeprefix("sha256:"))
        target.push_manifest(digest, manifest, tag=tag)
    return True


def main(arguments: list[str]) -> int:
    """``python -m pipelines image MODEL RELEASE``: show a release's image; made from its Bento where it has none, or the store lost it."""
    from pipelines.add_image import ensure_image
    from pipelines.release import of_stack

    parser = argparse.ArgumentParser(
        prog="python -m pipelines image",
        description="Show a release's image, push it. Where it was made without one, or the store lost it, make it from its Bento.",
    )
    parser.add_argument("model")
    parser.add_argument("release", type=int)
    parser.add_argument("--stack", default="local", help="the stack whose releases are meant (default: local)")
    parser.add_argument("--store", type=Path, metavar="DIR", help="where the release lies (default: where the stack's do, .local)")
    parser.add_argument("--push", metavar="REGISTRY", help="bring it into this registry, such as registry.example.com/models")
    read = parser.parse_args(arguments)
    store = (read.store or of_stack(read.stack)[0]).absolute()
    record = ensure_image(ROOT, store, read.model, read.release)
    restore(ROOT, store, record)
    layers = sizes(ROOT, store, read.model, read.release)
    print(record.image)
    for what, stored, unpacked in layers:
        print(f"  {unpacked / 1e6:6.1f} MB unpacked, {stored / 1e6:6.1f} MB stored  {re.sub(r':.*', '', what)}")
    print(f"  {sum(size for _, _, size in layers) / 1e6:6.1f} MB unpacked in all")
    if record.sbom is not None:
        print(f"  packages: {record.sbom.path}")
    if read.push and not push(store, record, read.push):
        print(f"{read.push} has it already")
    return 0


def restore(root: Path, store: Path, record: Release) -> None:
    """Make a release's image again where the store lost it. Raises ReleaseError when the release has none, or it would be another one."""
    name, digest = _named(record)
    if _is_whole(store, record.model, digest):
        return
    source = store / record.bento.path
    (store / layout(name)).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restored-", suffix=".partial", dir=store / layout(name)) as scratch:
        made = image_of(root, Path(scratch), source, name, record.release)
    if made.digest != digest:
        raise ReleaseError(
            f"the image of release {record.release} of {name} cannot be made again as it was: the base or the packages below it are newer",
            where=record.bento.path,
            got=made.digest,
            allowed=digest,
            act=f"pull it from a registry that has it, or make a new release: make release MODEL={name} FORCE=1 STACK=cluster",
        )
    image_of(root, store, source, name, record.release)


def _is_whole(store: Path, model: str, digest: str) -> bool:
    blobs = store / layout(model) / "blobs" / "sha256"
    try:
        manifest = json.loads((blobs / digest.removeprefix("sha256:")).read_bytes())
        parts = [manifest["config"], *manifest["layers"]]
        return all((blobs / each["digest"].removeprefix("sha256:")).stat().st_size == each["size"] for each in parts)
    except (OSError, ValueError, KeyError):
        return False


def _named(record: Release) -> tuple[str, str]:
    if record.image is None:
        raise ReleaseError(
            f"release {record.release} of {record.model} has no image",
            where=f"{record.model} {record.release}",
            got=record.release,
            allowed="a release with an image",
            act=f"make it from its Bento: python -m pipelines image {record.model} {record.release}",
        )
    name, _, digest = record.image.partition("@")
    return name, digest


def tool(root: Path, arguments: list[str]) -> Any:
    """What one command of ``toolchain.images`` says it made; that also works where nothing of this repository is installed yet."""
    done = subprocess.run([sys.executable, "-m", "toolchain.images", *arguments], cwd=root, capture_output=True, check=False)
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode == 0:
        return json.loads(done.stdout)
    if "disk is full" in said or "No space left" in said:
        raise PlatformError(
            "the disk is full: no image was made", where=said[-300:], act="free some space, then run the same command again"
        )
    raise StepFailed(
        "no image could be made",
        where="python -m toolchain.images",
        got=said[-800:] or f"exit {done.returncode}",
        act="do what it says, then run the same command again: it goes on from this step",
    )
