"""A release's signature: who vouches that this record, this Bento and this image belong together.

Beside the record ``releases/<model>/<n>.yaml`` lies ``<n>.dsse.json``: a DSSE v1 envelope around an in-toto v1 Statement, signed with
ECDSA P-256 over SHA-256. The pipeline signs; whoever lets a release serve calls ``verify``. An image that is added to a release later is
signed anew with it, together with the file that names it, so that neither can be swapped.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.errors import ReleaseError
from infra.release import Release, added_image_path, file_digest, record_path

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:mldelivery:release:v1"
MAX_BYTES = 100_000


def signature_path(store: Path, model: str, number: int) -> Path:
    """Where the signature of a release lies in a store."""
    return record_path(store, model, number).with_suffix(".dsse.json")


def statement(record: Release, store: Path) -> dict[str, Any]:
    """What is signed of a release: the digests of its record file, its Bento and its image, each under its name.

    Where the image was added beside the record, the digest of the file that says so too. Raises OSError when the record can't be read.
    """
    path = record_path(store, record.model, record.release)
    subjects = {path.relative_to(store).as_posix(): file_digest(path), record.bento.path: record.bento.digest}
    if record.added is not None:
        subjects[added_image_path(store, record.model, record.release).relative_to(store).as_posix()] = record.added
    if record.image is not None:
        name, _, digest = record.image.partition("@")
        subjects[name] = digest
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}} for name, digest in subjects.items()],
        "predicateType": PREDICATE,
        "predicate": {"model": record.model, "release": record.release, "record": record.digest},
    }


def signed_bytes(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the bytes that the key signs, which hold the payload's type too."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def key_id(public_key: EllipticCurvePublicKey) -> str:
    """A short name of a key: the first half of the SHA-256 of its DER form."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:32]


def verify(record: Release, store: Path, public_key_path: Path, *, where: str, may_name_more: bool = False) -> None:
    """Refuse a release that the key's owner did not sign exactly as it is.

    ``where`` names the file and key that asked for the release. ``may_name_more``: an image was signed that is not there any more, or not
    yet. Raises ReleaseError: unsigned, signed with another key, record altered after it was signed, a Bento or an image that was not
    signed with it.
    """
    key = _public_key(public_key_path, where)
    path = signature_path(store, record.model, record.release)
    payload = _checked_payload(record, path, key, public_key_path, where)
    signed = {each["name"]: "sha256:" + each["digest"]["sha256"] for each in payload["subject"]}
    added = added_image_path(store, record.model, record.release)
    try:
        wanted = statement(record, store)
    except OSError as error:
        raise ReleaseError(f"the record cannot be read: {error}", where=where, got=record.release) from error
    for each in wanted["subject"]:
        name, digest = each["name"], "sha256:" + each["digest"]["sha256"]
        if signed.pop(name, None) != digest:
            is_added = name == added.relative_to(store).as_posix()
            what = "the image" if is_added else {record.bento.path: "the Bento", record.model: "the image"}.get(name, "the record")
            file = added if is_added else record_path(store, record.model, record.release)
            raise ReleaseError(
                f"{what} of release {record.release} of {record.model} is not what was signed ({name}, signature {path})",
                where=where,
                got=digest,
                allowed="what was signed: " + ({one["name"]: one["digest"]["sha256"] for one in payload["subject"]}.get(name) or "nothing"),
                act=f"restore it (git checkout -- {file}), or {_again(record)}",
            )
    if may_name_more:
        for name in (added.relative_to(store).as_posix(), record.model):
            signed.pop(name, None)
    if payload["predicate"] != wanted["predicate"] or signed:
        raise ReleaseError(
            f"the signature {path} is that of another release",
            where=where,
            got=payload["predicate"],
            allowed=f"release {record.release} of {record.model}",
            act=_again(record),
        )


def _checked_payload(record: Release, path: Path, key: EllipticCurvePublicKey, key_path: Path, where: str) -> dict[str, Any]:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        envelope = json.loads(path.read_bytes())
        if envelope["payloadType"] != PAYLOAD_TYPE:
            raise ValueError(f"payloadType {envelope['payloadType']!r}")
        data = base64.b64decode(envelope["payload"], validate=True)
        signatures = [(str(each["keyid"]), base64.b64decode(each["sig"], validate=True)) for each in envelope["signatures"]]
    except FileNotFoundError:
        raise ReleaseError(
            f"release {record.release} of {record.model} is not signed ({path} is missing)",
            where=where,
            got=record.release,
            allowed=f"a release signed with the key of {key_path}",
            act=f"sign it where the key is: python -m pipelines sign {record.model} {record.release}",
        ) from None
    except (OSError, ValueError, KeyError, TypeError, binascii.Error) as error:
        raise ReleaseError(
            f"{path} is no signature: {type(error).__name__}: {error}", where=where, got=record.release, act=_again(record)
        ) from None
    for _, signature in signatures:
        try:
            key.verify(signature, signed_bytes(data), ECDSA(SHA256()))
        except InvalidSignature:
            continue
        return _statement_of(data, path, record, where)
    ours = key_id(key)
    has_ours = any(name == ours for name, _ in signatures)
    raise ReleaseError(
        f"{path} was altered after it was signed" if has_ours else f"release {record.release} of {record.model} is signed with another key",
        where=where,
        got=", ".join(name for name, _ in signatures) or "no signature",
        allowed=f"{ours} ({key_path})",
        act=_again(record),
    )


def _statement_of(data: bytes, path: Path, record: Release, where: str) -> dict[str, Any]:
    """A signed payload, once it has the form of ours: the key may have signed other things too."""
    try:
        payload = json.loads(data)
        is_ours = payload["_type"] == STATEMENT and payload["predicateType"] == PREDICATE and isinstance(payload["predicate"], dict)
        is_ours = is_ours and all(
            isinstance(each["name"], str) and isinstance(each["digest"]["sha256"], str) for each in payload["subject"]
        )
    except (ValueError, KeyError, TypeError):
        is_ours = False
    if not is_ours:
        raise ReleaseError(f"{path} signs something that is no release", where=where, got=record.release, act=_again(record))
    return dict(payload)


def _public_key(path: Path, where: str) -> EllipticCurvePublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
        if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
            return key
        reason = f"it holds a {type(key).__name__}"
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        reason = str(error)
    raise ReleaseError(
        f"the public key that releases must be signed with cannot be used: {' '.join(reason.split())}",
        where=where,
        got=str(path),
        allowed="an ECDSA P-256 public key in PEM form",
        act="correct 'public-key' in the stack's file; make release writes the key's public half to .local/keys/release.pub",
    )


def _again(record: Release) -> str:
    return f"sign it anew where the key is: python -m pipelines sign {record.model} {record.release}"
