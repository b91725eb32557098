"""Releases that go wrong in one known way, made from a good one: the same Bento with one fault, packaged and recorded like any other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.release import added_image_path, file_digest, load, record_path, tree_digest, write
from pipelines.image import image_of
from pipelines.sign import key_folder, sign_record

ROOT = Path(__file__).parents[1]

Fault = Callable[[Path, int], None]

# Run by the interpreter before the server: sitecustomize lies in the Bento, which is first on the path.
_ON_START = """
import os, sys, time
if "serving" in sys.orig_argv:
    {statement}
"""

_ON_ANSWER = """
import asyncio, os, sys

def _wrap(app):
    seen = 0
    async def faulty(scope, receive, send):
        nonlocal seen
        names = {{name for name, _ in scope.get("headers", ())}}
        # Users come through the gateway; golden requests and health checks come straight.
        is_user = scope.get("path", "").endswith("/predict") and b"x-forwarded-for" in names
        if is_user:
            seen += 1
            {statement}
        await app(scope, receive, send)
    return faulty

if "serving" in sys.orig_argv:
    import uvicorn
    _load = uvicorn.Config.load
    def load(self):
        _load(self)
        self.loaded_app = _wrap(self.loaded_app)
    uvicorn.Config.load = load
"""

_FAIL = """
            if seen > {count}:
                await send({{"type": "http.response.start", "status": 500, "headers": [(b"x-release", b"{release}")]}})
                await send({{"type": "http.response.body", "body": b""}})
                return
"""


def make(store: Path, number: int, *, source: int = 2, model: str = "iris", fault: Fault | None = None, with_image: bool = False) -> None:
    """Make release ``number`` from release ``source`` with a fault in it; replaces what an earlier test left under that number.

    ``with_image``: with its image too, for a cluster. It is signed like any other.
    """
    record = load(store, model, source)
    before = store / record.bento.path
    path = f"bentos/{model}/{number}/src"
    bento = store / path
    shutil.rmtree(bento, ignore_errors=True)
    shutil.copytree(before, bento, ignore=shutil.ignore_patterns("__pycache__"))
    release_file = bento / "release" / "release.json"
    facts = json.loads(release_file.read_text(encoding="utf-8"))
    release_file.write_text(json.dumps({**facts, "release": number}), encoding="utf-8")
    if fault is not None:
        fault(bento, number)
    document = record.as_document()
    del document["digest"]
    for name in ("image", "sbom"):
        document.pop(name, None)
    if with_image:
        made = image_of(ROOT, store, bento, model, number)
        document |= {"image": made.image, "sbom": {"path": made.sbom, "digest": made.sbom_digest}}
    golden = bento / "release" / "golden.jsonl"
    for left in (record_path(store, model, number), added_image_path(store, model, number)):
        left.unlink(missing_ok=True)
    record = write(
        store,
        {
            **document,
            "release": number,
            "bento": {"path": path, "digest": tree_digest(bento)},
            "golden": {"count": len(golden.read_text(encoding="utf-8").splitlines()), "digest": file_digest(golden)},
        },
    )
    sign_record(store, record, key_folder(store, ROOT))


def exits(bento: Path, _number: int) -> None:
    """Does not start."""
    _customize(bento, _ON_START.format(statement='print("the model needs 64 GiB of memory", flush=True); os._exit(3)'))


def starts_late(bento: Path, _number: int) -> None:
    """Is not ready in time."""
    _customize(bento, _ON_START.format(statement="time.sleep(60)"))


def fails_after(count: int) -> Fault:
    """Answers users with 500 after a number of requests; the golden replay does not notice."""

    def apply(bento: Path, number: int) -> None:
        _customize(bento, _ON_ANSWER.format(statement=_FAIL.format(count=count, release=number)))

    return apply


def crashes_after(count: int) -> Fault:
    """Dies after a number of users' requests, again and again."""

    def apply(bento: Path, _number: int) -> None:
        _customize(bento, _ON_ANSWER.format(statement=f"if seen > {count}: os._exit(1)"))

    return apply


def slow(seconds: float) -> Fault:
    """Makes every user wait."""

    def apply(bento: Path, _number: int) -> None:
        _customize(bento, _ON_ANSWER.format(statement=f"await asyncio.sleep({seconds})"))

    return apply


def slow_once(seconds: float) -> Fault:
    """Makes the first user of each of its processes wait, and nobody else."""

    def apply(bento: Path, _number: int) -> None:
        _customize(bento, _ON_ANSWER.format(statement=f"await asyncio.sleep({seconds} if seen == 1 else 0)"))

    return apply


def one_wrong_answer(bento: Path, _number: int) -> None:
    """Differs from what was recorded on a single golden request, the last."""
    golden = bento / "release" / "golden.jsonl"
    lines = [json.loads(line) for line in golden.read_text(encoding="utf-8").splitlines()]
    prediction: dict[str, Any] = lines[-1]["response"]["predictions"][0]
    prediction["label"] = next(label for label in prediction["probabilities"] if label != prediction["label"])
    golden.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def swapped_labels(bento: Path, _number: int) -> None:
    """Gives the right probabilities under the wrong names."""
    release_file = bento / "release" / "release.json"
    facts = json.loads(release_file.read_text(encoding="utf-8"))
    first, second, *rest = facts["output"]["labels"]
    facts["output"]["labels"] = [second, first, *rest]
    release_file.write_text(json.dumps(facts), encoding="utf-8")


def _customize(bento: Path, text: str) -> None:
    (bento / "sitecustomize.py").write_text(text, encoding="utf-8")
