"""The records that a model's config asks for, checked so that what can't be right is refused at preview."""

from __future__ import annotations

from pathlib import Path

from infra.config import PROJECT, ModelConfig
from infra.release import Release, check_may_serve, load


def records_in_use(store: Path, name: str, model: ModelConfig, *, file: str) -> tuple[Release | None, Release | None]:
    """Records of the champion and of the challenger; None where config names none. Raises ReleaseError that names file and key."""
    key = f"{file}: {PROJECT}:models.{name}"
    champion = _checked(store, name, model.champion, f"{key}.champion") if model.champion is not None else None
    beside = model.challenger
    challenger = _checked(store, name, beside.release, f"{key}.challenger.release") if beside is not None else None
    return champion, challenger


def _checked(store: Path, name: str, number: int, where: str) -> Release:
    record = load(store, name, number, where=where)
    check_may_serve(record, store, where=where)
    return record
