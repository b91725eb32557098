"""Step 12, record: the Bento and the pages get their places, then the release record makes the release exist, all or nothing."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.release import FORMAT, record_path, tree_digest, write
from pipelines.artifacts import (
    Carded,
    Evaluation,
    Imaged,
    Interface,
    Packaged,
    Recorded,
    Registered,
    Snapshot,
    Trained,
    Validation,
    Verified,
)
from pipelines.commit import of_folder
from pipelines.digests import code_files, environment_parts
from pipelines.failures import StepFailed
from pipelines.store import now, place_folder, write_whole
from pipelines.work import Work

GATES = ("data", "interface", "training-tests", "evaluation", "oracle", "golden", "service")
"""The gates of a release, in the order in which they are passed. A failed one ends the run, so a record only ever says ``pass``."""

VALIDATION_SUFFIX = ".validation.html"
"""Of the page with the results of validation, beside the record; the card links to it."""

FILES_SUFFIX = ".files.json"
"""Of the digests of the files that a release was made from, beside the record."""


def record(
    work: Work,
    snapshot: Snapshot,
    interface: Interface,
    validation: Validation,
    trained: Trained,
    evaluation: Evaluation,
    packaged: Packaged,
    verified: Verified,
    imaged: Imaged,
    registered: Registered,
    carded: Carded,
) -> Recorded:
    """Write release ``work.number``. Raises ReleaseError when its number was taken meanwhile, OSError when the store refuses."""
    del verified
    bento = f"bentos/{work.model.name}/{work.number}"
    work.file(bento).parent.mkdir(parents=True, exist_ok=True)
    if record_path(work.store, work.model.name, work.number).exists():
        raise StepFailed(
            "the number was taken meanwhile", where=str(record_path(work.store, work.model.name, work.number)), act="run again"
        )
    place_folder(work.file(packaged.bento), work.file(bento))
    if tree_digest(work.file(bento) / "src") != packaged.digest:
        raise StepFailed("the Bento changed while it was copied", where=str(work.file(bento)), act="run the same command again")
    path = record_path(work.store, work.model.name, work.number).relative_to(work.store)
    placed = {
        "card": {
            "page": _place(work, carded.page, carded.page_digest, path.with_suffix(".html")),
            "summary": _place(work, carded.summary, carded.summary_digest, path.with_suffix(".md")),
        },
        "validation": _place(work, validation.page, validation.page_digest, path.with_suffix(VALIDATION_SUFFIX)),
    }
    _note_files(work, path.with_suffix(FILES_SUFFIX))
    written = write(work.store, _document(work, snapshot, interface, trained, evaluation, packaged, imaged, registered) | placed)
    return Recorded(release=written.release, path=path.as_posix(), digest=written.digest)


def _place(work: Work, source: str, digest: str, path: Path) -> dict[str, str]:
    """Put a page of a step beside where the record will stand; what a killed run left there is replaced."""
    write_whole(work.file(path.as_posix()), work.file(source).read_bytes())
    return {"path": path.as_posix(), "digest": digest}


def _note_files(work: Work, path: Path) -> None:
    """What the digests of code and environment are of, file by file: who makes the release again is told which file differs."""
    files = {"code": code_files(work.folder, work.model.data.batches), "environment": environment_parts(work.root)}
    write_whole(work.file(path.as_posix()), json.dumps(files, indent=1).encode() + b"\n")


def _document(
    work: Work,
    snapshot: Snapshot,
    interface: Interface,
    trained: Trained,
    evaluation: Evaluation,
    packaged: Packaged,
    imaged: Imaged,
    registered: Registered,
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "model": work.model.name,
        "release": work.number,
        "created": now(),
        "reason": _reason(work, evaluation, packaged),
        "owner": work.model.owner,
        "commit": dict(of_folder(work.root, work.folder)),
        "code": work.code,
        "environment": work.environment,
        "snapshot": {"digest": snapshot.digest, "rows": snapshot.rows, "first": snapshot.first, "last": snapshot.last},
        "parameters": {**trained.parameters, "seed": work.model.training.seed},
        "search": {name: value for name, value in asdict(trained.search).items() if name != "file"} if trained.search else None,
        "metrics": {name: asdict(value) for name, value in evaluation.metrics.items()},
        "comparison": asdict(evaluation.comparison) if evaluation.comparison else None,
        "gates": dict.fromkeys(GATES, "pass"),
        "runtime": packaged.runtime,
        "golden": {"count": packaged.golden_count, "digest": packaged.golden_digest},
        "bento": {"path": f"bentos/{work.model.name}/{work.number}/src", "digest": packaged.digest},
        "image": imaged.image,
        "sbom": {"path": imaged.sbom, "digest": imaged.sbom_digest} if imaged.sbom else None,
        "interface": interface.digest,
        "tracking": {"run": registered.run, "version": registered.version},
    }


def _reason(work: Work, evaluation: Evaluation, packaged: Packaged) -> str:
    reason = work.reason
    if evaluation.allowed_because:
        reason += f"; too little evidence against the champion, allowed by model.yaml: {evaluation.allowed_because}"
    if packaged.fallback_because:
        reason += f"; served by skops: {packaged.fallback_because}"
    return reason
