"""Step 13, sign: an envelope beside the record says that the key's owner vouches for record, Bento and image together."""

from __future__ import annotations

import argparse
import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import PlatformError
from infra.release import Release, check_may_serve, load
from infra.signature import PAYLOAD_TYPE, key_id, signature_path, signed_bytes, statement
from pipelines.artifacts import Recorded, Signed
from pipelines.store import write_whole
from pipelines.work import Work

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ROOT = Path(__file__).resolve().parent.parent


def sign(work: Work, recorded: Recorded) -> Signed:
    """Sign the release that was recorded. Raises ReleaseError when it is not what its record says, PlatformError for the key."""
    record = load(work.store, work.model.name, recorded.release)
    check_may_serve(record, work.store, where=recorded.path)
    key = sign_record(work.store, record, key_folder(work.store, work.root))
    return Signed(path=signature_path(work.store, record.model, record.release).relative_to(work.store).as_posix(), key=key)


def sign_record(store: Path, record: Release, keys: Path) -> str:
    """Write a record's envelope, in one step; gives the key's id. Raises PlatformError for the key, OSError when the disk refuses."""
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    key = private_key(keys)
    payload = json.dumps(statement(record, store), sort_keys=True, separators=(",", ":")).encode()
    signature = key.sign(signed_bytes(payload), ECDSA(SHA256()))
    name = key_id(key.public_key())
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": name, "sig": base64.b64encode(signature).decode()}],
    }
    write_whole(signature_path(store, record.model, record.release), json.dumps(envelope, indent=1).encode() + b"\n")
    return name


def sign_now(store: Path, record: Release, keys: Path) -> str:
    """The same for a command: raises PlatformError when the disk refuses, too."""
    try:
        return sign_record(store, record, keys)
    except OSError as error:
        raise PlatformError(
            f"the signature cannot be written: {error.strerror}",
            where=str(signature_path(store, record.model, record.release)),
            act="free some space or make the store writable, then run the same command again",
        ) from error


def key_folder(store: Path, root: Path) -> Path:
    """Where a machine's own key lies: never in a folder that Git would take in."""
    return (root / ".local" if store == root else store) / "keys"


def private_key(folder: Path) -> EllipticCurvePrivateKey:
    """The key that ``MLDELIVERY_SIGNING_KEY`` names, else the machine's own, which is made once.

    The public half of either is written beside it as ``release.pub``. Raises PlatformError that names the file.
    """
    given = os.environ.get("MLDELIVERY_SIGNING_KEY")
    path = Path(given) if given else folder / "release.key"
    if not given:
        _ensure_key(path)
    key = _read(path, is_given=bool(given))
    _write_public_half(key, folder / "release.pub")
    return key


def main(arguments: list[str]) -> int:
    """``python -m pipelines sign MODEL RELEASE``: sign a release anew, such as with a new key; 0 when it is signed."""
    parser = argparse.ArgumentParser(prog="python -m pipelines sign", description="Sign a release with the key of this machine.")
    parser.add_argument("model")
    parser.add_argument("release", type=int)
    parser.add_argument("--store", type=Path, default=ROOT / ".local", metavar="DIR", help="where the release lies (default: .local)")
    read = parser.parse_args(arguments)
    store = read.store.absolute()
    record = load(store, read.model, read.release)
    check_may_serve(record, store, where=f"{read.model} {read.release}")
    key = sign_now(store, record, key_folder(store, ROOT))
    print(f"{signature_path(store, read.model, read.release)}: signed with key {key}")
    return 0


def _ensure_key(path: Path) -> None:
    """Make a key where none is; of two who make one at once, both use the first."""
    if path.exists():
        return
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.{os.urandom(6).hex()}.partial")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)
        except FileExistsError:
            return
    finally:
        partial.unlink(missing_ok=True)


def _read(path: Path, *, is_given: bool) -> EllipticCurvePrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
            return key
        reason = f"it holds a {type(key).__name__}"
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        reason = str(error)
    raise PlatformError(
        f"the key that signs releases cannot be used: {' '.join(reason.split())}",
        where=f"MLDELIVERY_SIGNING_KEY={path}" if is_given else str(path),
        allowed="an ECDSA P-256 private key in PEM form, without a password",
        act="correct MLDELIVERY_SIGNING_KEY" if is_given else "move that file away; the next release makes a new key",
    )


def _write_public_half(key: EllipticCurvePrivateKey, path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    data = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if not path.is_file() or path.read_bytes() != data:
        write_whole(path, data)
