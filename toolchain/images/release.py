"""A release's image: the Bento's ``src`` as one thin layer over the runtime image of its requirements."""

from __future__ import annotations

from pathlib import Path

from toolchain.images import layers, runtime
from toolchain.images.layout import Image, Layout

PLACE = "bento/src"
COMMAND = ["python", "-m", "serving", "--host", "0.0.0.0", "--port", "3000"]


def make(cache: Path, source: Path, lock: str, layout: Layout, reference: str, labels: dict[str, str]) -> tuple[Image, Layout]:
    """Write the image into ``layout`` under a name; gives it, and the layout of the runtime image below it.

    The layer is not compressed: 100 KB gain nothing, and its digest then depends on no version of zlib.
    """
    below, image = runtime.prepare(cache, lock)
    layout.take(below, image.blobs)
    entries = (entry for entry in layers.folder(source, PLACE) if "__pycache__" not in entry.name.split("/"))
    scratch = layout.scratch()
    try:
        layer = layers.write(entries, scratch, is_compressed=False)
        made = layout.add(
            reference,
            [layer],
            onto=image,
            config={
                "WorkingDir": f"/{PLACE}",
                "Cmd": COMMAND,
                "ExposedPorts": {"3000/tcp": {}},
                "Labels": dict(sorted(labels.items())),
            },
            history=["the release"],
        )
    finally:
        scratch.unlink(missing_ok=True)
    return made, below


def sizes(layout: Layout, image: Image) -> list[tuple[str, int, int]]:
    """Each layer as (what it is, bytes as stored, bytes of the tar inside), the lowest first."""
    found = []
    for layer, step in zip(image.manifest["layers"], image.config["history"], strict=True):
        unpacked = int(layer["size"])
        if layer["mediaType"] == layers.GZIP:
            with layout.blob(layer["digest"]).open("rb") as file:
                file.seek(-4, 2)
                unpacked = int.from_bytes(file.read(4), "little")
        found.append((str(step["created_by"]), int(layer["size"]), unpacked))
    return found
