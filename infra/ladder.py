"""The ladder dev -> staging -> prod: a release climbs by the record that the rollout below it left, not by anybody's word.

A record is one YAML file, ``releases/<model>/served/<stack>/<n>.yaml``, written by ``make up`` and ``make promote`` from what the cluster's
own ledger says. It names the release by its record's digest and image, so that only the very same release climbs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra import files
from infra.errors import ReleaseError
from infra.release import MODEL_NAME, Digest, Release, plain_yaml, record_digest

LADDER = ("dev", "staging", "prod")
BAKES_BELOW = ("prod",)
"""Stacks whose releases must have baked on the stack below, not only served there."""

FORMAT = 1


class Served(BaseModel):
    """That a stack served a release: ``since`` when, and whether it ``baked``, as the rollout noted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    model: str = Field(pattern=f"^{MODEL_NAME}$")
    release: int = Field(gt=0)
    stack: str
    record: Digest
    image: str | None
    since: str
    baked: bool
    digest: Digest


def below(stack: str) -> str | None:
    """The stack that must have served a release before this one may; None for those that begin."""
    position = LADDER.index(stack) if stack in LADDER else 0
    return LADDER[position - 1] if position else None


def served_path(store: Path, model: str, stack: str, number: int) -> Path:
    """Where the record lies that a stack served a release."""
    return store / "releases" / model / "served" / stack / f"{number}.yaml"


def check_climb(record: Release, store: Path, stack: str, *, where: str) -> Served | None:
    """Refuse a release that the stack below did not serve, or, for prod, did not bake. Returns the proof; None where none is needed.

    ``where`` names file and key that ask for the number. Raises ReleaseError.
    """
    lower = below(stack)
    if lower is None:
        return None
    path = served_path(store, record.model, lower, record.release)
    promote = f"make promote MODEL={record.model} RELEASE={record.release} STACK={lower}"
    found = read(path, where=where, act=promote)
    if found is None:
        have = served_numbers(store, record.model, lower)
        raise ReleaseError(
            f"release {record.release} of {record.model} was never served on {lower} ({path.relative_to(store)} is missing)",
            where=where,
            got=record.release,
            allowed=f"what {lower} served: {', '.join(map(str, have)) or 'nothing yet'}",
            act=f"{promote}, and commit the record that it writes",
        )
    if (found.model, found.release, found.stack) != (record.model, record.release, lower):
        raise _altered(path, where, record.release, f"is the record of {found.model} {found.release} on {found.stack}", promote)
    if found.record != record.digest or found.image != record.image:
        raise ReleaseError(
            f"what {lower} served as {record.model} {record.release} is not this release: the number was used twice",
            where=where,
            got=f"{record.digest} ({record.image})",
            allowed=f"{found.record} ({found.image})",
            act=f"restore the record (git checkout -- releases/{record.model}/{record.release}.yaml), or promote a release that is new",
        )
    if stack in BAKES_BELOW and not found.baked:
        raise ReleaseError(
            f"release {record.release} of {record.model} has served on {lower} since {found.since}, but has not baked there",
            where=where,
            got=record.release,
            allowed=f"a release that {lower} has watched at 100 % for its bake",
            act=f"once its bake-seconds are over: make up STACK={lower}, and commit the record that it writes",
        )
    return found


def climbed(record: Release | None, store: Path, stack: str) -> str | None:
    """What a reviewer reads of the stack below, of a release that ``check_climb`` let through; None where nothing is below."""
    lower = below(stack)
    if record is None or lower is None:
        return None
    path = served_path(store, record.model, lower, record.release)
    found = read(path, where=str(path), act=f"make up STACK={lower}")
    return f"{lower} serves it since {found.since}{', baked' if found.baked else ', not baked yet'}" if found else None


def read(path: Path, *, where: str, act: str) -> Served | None:
    """One record with its digest checked; None where there is none. Raises ReleaseError for an altered one."""
    try:
        document = plain_yaml(path.read_text(encoding="utf-8"))
        found = Served.model_validate(document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, yaml.YAMLError) as error:
        how = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise _altered(path, where, path.stem, f"cannot be read: {how}", act) from None
    if found.format != FORMAT or found.digest != record_digest(document):
        raise _altered(path, where, path.stem, f"has digest {record_digest(document)}, not the one that it states", act)
    return found


def write(store: Path, record: Release, stack: str, *, since: str, baked: bool) -> Path | None:
    """Note that a stack serves a release. Returns the file, or None where it says so already; what baked once stays so.

    Raises ReleaseError when the disk refuses, or when the file that is there was altered.
    """
    path = served_path(store, record.model, stack, record.release)
    before = read(path, where=str(path), act=f"remove it and run: make up STACK={stack}")
    if before is not None and before.record == record.digest and (before.baked or not baked):
        return None
    document: dict[str, Any] = {
        "format": FORMAT,
        "model": record.model,
        "release": record.release,
        "stack": stack,
        "record": record.digest,
        "image": record.image,
        "since": before.since if before is not None and before.record == record.digest else since,
        "baked": baked,
    }
    document["digest"] = record_digest(document)
    try:
        with files.written_whole(path) as partial:
            partial.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise ReleaseError(
            f"the record cannot be written: {error.strerror}", where=str(path), act="free some space and run the same command again"
        ) from error
    return path


def served_numbers(store: Path, model: str, stack: str) -> list[int]:
    """The releases that a stack has served, ascending."""
    return sorted(int(path.stem) for path in served_path(store, model, stack, 1).parent.glob("*.yaml") if path.stem.isdigit())


def _altered(path: Path, where: str, number: object, how: str, act: str) -> ReleaseError:
    return ReleaseError(
        f"{path} {how}: it was altered or is damaged",
        where=where,
        got=number,
        allowed="a record exactly as the rollout left it",
        act=f"restore it (git checkout -- {path}), or let it be written anew: {act}",
    )
