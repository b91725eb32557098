"""Releases for the benchmark, made from real ones: the same Bento under another number or another model's name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from infra.release import load, record_path, tree_digest, write


def clone(store: Path, *, source: tuple[str, int], target: tuple[str, int]) -> None:
    """Make release ``target`` (model, number) of what ``source`` runs; its answers are those of the source."""
    record = load(store, *source)
    model, number = target
    path = f"bentos/{model}/{number}/src"
    bento = store / path
    shutil.copytree(store / record.bento.path, bento, ignore=shutil.ignore_patterns("__pycache__"))
    release_file = bento / "release" / "release.json"
    facts = json.loads(release_file.read_text(encoding="utf-8"))
    release_file.write_text(json.dumps({**facts, "model": model, "release": number}), encoding="utf-8")
    document = record.as_document()
    del document["digest"]
    assert not record_path(store, model, number).exists(), f"{model} {number} exists already"
    write(store, {**document, "model": model, "release": number, "bento": {"path": path, "digest": tree_digest(bento)}})
