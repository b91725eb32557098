"""The image of a release that was made without one: made from its Bento, noted beside its record, and signed with it."""

from __future__ import annotations

import time
from pathlib import Path

from infra.errors import PlatformError, ReleaseError
from infra.release import Release, added_image_path, adding_image, check_may_serve, load
from infra.signature import signature_path, verify
from pipelines.image import image_of
from pipelines.sign import key_folder, private_key, sign_now
from pipelines.store import Steps, locked, now
from pipelines.words import short


def ensure_image(root: Path, store: Path, model: str, number: int, *, where: str = "") -> Release:
    """A release with its image: made now, and told of in a line, where the release was made without one.

    Run again after any end it finishes what is missing. ``where`` names what asked for the release. Raises ReleaseError for the record, its
    Bento or its signature, StepFailed when no image can be made of it, PlatformError for the disk, the key, or another run of this model.
    """
    where = where or f"{model} {number}"
    try:
        record = load(store, model, number, where=where)
        if record.image is not None:
            return record
        with locked(store, model):
            Steps(store, model).sweep()
            record = load(store, model, number, where=where)
            # Whoever had the lock until now may have made it.
            return record if record.image is not None else _add(root, store, record, where)
    except OSError as error:
        raise PlatformError(
            f"the image of release {number} of {model} cannot be kept: {error.strerror}",
            where=str(error.filename or store),
            act="free some space or make the store writable, then run the same command again",
        ) from error


def _add(root: Path, store: Path, record: Release, where: str) -> Release:
    _check_bento(record, store, where)
    keys = key_folder(store, root)
    is_signed = _is_vouched_for(record, store, keys, where)
    name = f"{record.model} {record.release}"
    print(f"{name} was made without an image: making one from its Bento", end="", flush=True)
    started = time.monotonic()
    try:
        made = image_of(root, store, store / record.bento.path, record.model, record.release)
        # Signed before it is there: an image that nobody signed is then never one that a killed run left.
        with adding_image(store, record, image=made.image, sbom=made.sbom, sbom_digest=made.sbom_digest, created=now()) as whole:
            if is_signed:
                sign_now(store, whole, keys)
    except BaseException:
        print(flush=True)
        raise
    signed = "signed anew" if is_signed else f"not signed, as the release is not: python -m pipelines sign {name}"
    print(f", {short(made.digest)}, {signed} ({time.monotonic() - started:.1f} s)", flush=True)
    if store == root:
        files = [
            added_image_path(store, record.model, record.release),
            *([signature_path(store, record.model, record.release)] * is_signed),
        ]
        print(f"to commit: git add {' '.join(path.relative_to(root).as_posix() for path in files)}", flush=True)
    return whole


def _check_bento(record: Release, store: Path, where: str) -> None:
    """What is made of the Bento is signed with the record, so it has to be the one that was recorded."""
    if not (store / record.bento.path).is_dir():
        raise ReleaseError(
            f"release {record.release} of {record.model} has no image, and its Bento, of which it would be made, is not here",
            where=where,
            got=f"{store / record.bento.path} is missing",
            allowed="the folder as the release's run wrote it",
            act=f"bring it back, or run this where the release was made; else make a new one: make release MODEL={record.model} FORCE=1",
        )
    check_may_serve(record, store, where=where)


def _is_vouched_for(record: Release, store: Path, keys: Path, where: str) -> bool:
    """Whether the key that would sign the release with its image vouches for the release already, or this store's own run made it.

    Nothing else is signed by the way: neither what nobody signed, nor what was altered since. Raises ReleaseError for a signature of
    another key or release, PlatformError for the key.
    """
    if signature_path(store, record.model, record.release).is_file():
        private_key(keys)
        # A run that was killed after it signed had made an image that is not there now.
        verify(record, store, keys / "release.pub", where=where, may_name_more=True)
        return True
    # Its run was killed after it recorded the release, before it could sign.
    return any(made.get("digest") == record.digest for made in Steps(store, record.model).made("record"))
