"""What a signature refuses: none, another key's, an altered record, Bento or image, another release's, and what is no signature at all."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.errors import PlatformError, ReleaseError
from infra.release import Release, load, record_digest, record_path, tree_digest, write
from infra.signature import key_id, signature_path, statement, verify
from pipelines.sign import key_folder, main, private_key, sign_record

DIGEST = "sha256:" + "a" * 64
IMAGE = "iris@sha256:" + "b" * 64
WHERE = "Pulumi.cluster.yaml: mldelivery:models.iris.champion"


def document(store: Path, number: int, **changes: Any) -> dict[str, Any]:
    bento = store / "bentos" / "iris" / str(number) / "src"
    bento.mkdir(parents=True, exist_ok=True)
    (bento / "model").write_text(f"model {number}")
    return {
        "format": 1,
        "model": "iris",
        "release": number,
        "created": "2026-11-01T00:00:00Z",
        "reason": "first release",
        "owner": "someone@example.com",
        "commit": {"sha": "0" * 40, "dirty": False},
        "code": DIGEST,
        "environment": DIGEST,
        "snapshot": {"digest": DIGEST, "rows": 90, "first": "2026-09-21", "last": "2026-10-26"},
        "parameters": {"C": 1.0},
        "metrics": {"accuracy": {"value": 0.9, "low": 0.8, "high": 1.0}},
        "comparison": None,
        "gates": {"data": "pass"},
        "runtime": "onnx",
        "golden": {"count": 40, "digest": DIGEST},
        "bento": {"path": f"bentos/iris/{number}/src", "digest": tree_digest(bento)},
        "image": IMAGE,
        "interface": DIGEST,
        "tracking": None,
        **changes,
    }


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with release 1, signed with the store's own key."""
    write(tmp_path, document(tmp_path, 1))
    sign_record(tmp_path, load(tmp_path, "iris", 1), tmp_path / "keys")
    return tmp_path


def check(store: Path, number: int = 1, key: Path | None = None) -> None:
    verify(load(store, "iris", number), store, key or store / "keys" / "release.pub", where=WHERE)


def rewrite(store: Path, **changes: Any) -> Release:
    """Alter a record as somebody would who knows about its digest."""
    path = record_path(store, "iris", 1)
    path.unlink()
    return write(store, document(store, 1, **changes))


def test_a_signed_release_is_let_through(store: Path) -> None:
    check(store)
    envelope = json.loads(signature_path(store, "iris", 1).read_bytes())
    payload = json.loads(base64.b64decode(envelope["payload"]))
    assert payload["_type"] == "https://in-toto.io/Statement/v1"
    assert [each["name"] for each in payload["subject"]] == ["releases/iris/1.yaml", "bentos/iris/1/src", "iris"]
    assert payload == statement(load(store, "iris", 1), store)


def test_a_release_without_an_image_is_signed_too(tmp_path: Path) -> None:
    write(tmp_path, document(tmp_path, 1, image=None))
    sign_record(tmp_path, load(tmp_path, "iris", 1), tmp_path / "keys")
    check(tmp_path)


def test_unsigned_is_refused(store: Path) -> None:
    signature_path(store, "iris", 1).unlink()
    with pytest.raises(ReleaseError, match="release 1 of iris is not signed") as caught:
        check(store)
    for word in (WHERE, "1.dsse.json", "release.pub", "python -m pipelines sign iris 1"):
        assert word in str(caught.value)


def test_another_key_is_refused(store: Path, tmp_path: Path) -> None:
    other = private_key(tmp_path / "other")
    with pytest.raises(ReleaseError, match="signed with another key") as caught:
        check(store, key=tmp_path / "other" / "release.pub")
    assert key_id(other.public_key()) in str(caught.value)
    assert key_id(private_key(store / "keys").public_key()) in str(caught.value)


def test_of_several_signatures_one_of_ours_is_enough(store: Path, tmp_path: Path) -> None:
    path = signature_path(store, "iris", 1)
    ours = json.loads(path.read_bytes())
    sign_record(store, load(store, "iris", 1), tmp_path / "other")
    theirs = json.loads(path.read_bytes())
    path.write_text(json.dumps({**ours, "signatures": theirs["signatures"] + ours["signatures"]}))
    check(store)
    path.write_text(json.dumps({**ours, "signatures": []}))
    with pytest.raises(ReleaseError, match="no signature"):
        check(store)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"reason": "because"}, "the record of release 1"),
        ({"image": "iris@sha256:" + "c" * 64}, "the record of release 1"),
        ({"image": None}, "the record of release 1"),
    ],
)
def test_an_altered_record_is_refused(store: Path, changes: dict[str, Any], what: str) -> None:
    rewrite(store, **changes)
    with pytest.raises(ReleaseError, match=f"{what} of iris is not what was signed") as caught:
        check(store)
    assert "releases/iris/1.yaml" in str(caught.value)


def test_another_image_or_bento_than_was_signed_is_refused(store: Path) -> None:
    """Even where the record's file is the signed one, such as one read before somebody put another in its place."""
    record = load(store, "iris", 1)
    for changes, what in (
        ({"image": "iris@sha256:" + "c" * 64}, "the image"),
        ({"bento": record.bento.model_copy(update={"digest": DIGEST})}, "the Bento"),
    ):
        with pytest.raises(ReleaseError, match=f"{what} of release 1 of iris is not what was signed"):
            verify(record.model_copy(update=changes), store, store / "keys" / "release.pub", where=WHERE)
    with pytest.raises(ReleaseError, match="another release"):
        verify(record.model_copy(update={"image": None}), store, store / "keys" / "release.pub", where=WHERE)


def test_another_releases_signature_is_refused(store: Path) -> None:
    write(store, document(store, 2))
    signature_path(store, "iris", 2).write_bytes(signature_path(store, "iris", 1).read_bytes())
    with pytest.raises(ReleaseError, match="not what was signed"):
        check(store, 2)


def envelope_with(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        envelope = json.loads(path.read_bytes())
        change(envelope)
        path.write_text(json.dumps(envelope))

    return apply


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(b""), "is no signature"),
        (lambda path: path.write_bytes(b"\xff{"), "is no signature"),
        (lambda path: path.write_text("[]"), "is no signature"),
        (lambda path: path.write_text("x" * 200_000), "is no signature"),
        (lambda path: (path.unlink(), path.mkdir()), "is no signature"),
        (envelope_with(lambda each: each.pop("payload")), "is no signature"),
        (envelope_with(lambda each: each.update(payloadType="text/plain")), "is no signature"),
        (envelope_with(lambda each: each.update(payload="%%")), "is no signature"),
        (envelope_with(lambda each: each.update(signatures=[{"keyid": "x"}])), "is no signature"),
        (envelope_with(lambda each: each.update(payload=base64.b64encode(b"{}").decode())), "was altered after it was signed"),
        (envelope_with(lambda each: each["signatures"][0].update(sig=base64.b64encode(b"x").decode())), "was altered after it was signed"),
    ],
)
def test_what_is_no_signature_is_refused(store: Path, spoil: Callable[[Path], object], words: str) -> None:
    spoil(signature_path(store, "iris", 1))
    with pytest.raises(ReleaseError, match=words) as caught:
        check(store)
    assert "python -m pipelines sign iris 1" in str(caught.value)


@pytest.mark.parametrize("payload", [b"[]", b"x", b'{"_type": "other"}', json.dumps({"_type": "https://in-toto.io/Statement/v1"}).encode()])
def test_something_else_that_the_key_signed_is_refused(store: Path, payload: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    from infra.signature import signed_bytes

    signature = private_key(store / "keys").sign(signed_bytes(payload), ECDSA(SHA256()))
    envelope_with(
        lambda each: (
            each.update(payload=base64.b64encode(payload).decode()),
            each["signatures"][0].update(sig=base64.b64encode(signature).decode()),
        )
    )(signature_path(store, "iris", 1))
    with pytest.raises(ReleaseError, match="signs something that is no release"):
        check(store)


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n", "rsa"])
def test_an_unusable_public_key_is_said(store: Path, content: bytes | str | None) -> None:
    path = store / "some.pub"
    if content == "rsa":
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = generate_private_key(65537, 2048).public_key()
        path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(ReleaseError, match="public key") as caught:
        check(store, key=path)
    assert str(path) in str(caught.value) and "public-key" in str(caught.value)


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    script = "import sys, pathlib, pipelines.sign as s; print(s.key_id(s.private_key(pathlib.Path(sys.argv[1])).public_key()))"
    asked = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({each.communicate()[0] for each in asked}) == 1
    assert [each.returncode for each in asked] == [0, 0, 0, 0]
    assert stat.S_IMODE((tmp_path / "release.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release.key", "release.pub"]


def test_a_key_of_ones_own_signs(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private_key(tmp_path / "ci")
    monkeypatch.setenv("MLDELIVERY_SIGNING_KEY", str(tmp_path / "ci" / "release.key"))
    assert main(["iris", "1", "--store", str(store)]) == 0
    check(store, key=tmp_path / "ci" / "release.pub")
    monkeypatch.setenv("MLDELIVERY_SIGNING_KEY", str(tmp_path / "nowhere"))
    with pytest.raises(PlatformError, match="MLDELIVERY_SIGNING_KEY"):
        main(["iris", "1", "--store", str(store)])


def test_a_damaged_key_is_said_and_not_written_over(store: Path) -> None:
    (store / "keys" / "release.key").write_text("damaged")
    with pytest.raises(PlatformError, match=r"release\.key") as caught:
        private_key(store / "keys")
    assert "move that file away" in str(caught.value)
    assert (store / "keys" / "release.key").read_text() == "damaged"


def test_what_is_not_what_its_record_says_is_not_signed(store: Path) -> None:
    signature_path(store, "iris", 1).unlink()
    (store / "bentos" / "iris" / "1" / "src" / "model").write_text("another")
    with pytest.raises(ReleaseError, match="not what was recorded"):
        main(["iris", "1", "--store", str(store)])
    assert not signature_path(store, "iris", 1).exists()


def test_the_repositorys_store_keeps_its_key_out_of_git(tmp_path: Path) -> None:
    assert key_folder(tmp_path, tmp_path) == tmp_path / ".local" / "keys"
    assert key_folder(tmp_path / ".local", tmp_path) == tmp_path / ".local" / "keys"


def test_a_full_disk_is_said(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("pipelines.sign.write_whole", full)
    with pytest.raises(PlatformError, match="No space left"):
        main(["iris", "1", "--store", str(store)])


def test_records_from_before_images_keep_their_digest(tmp_path: Path) -> None:
    record = write(tmp_path, document(tmp_path, 1, image=None))
    assert "sbom" not in record.as_document()
    listed = write(tmp_path, document(tmp_path, 2, sbom={"path": "images/iris/2.cdx.json", "digest": DIGEST}))
    assert listed.as_document()["sbom"] == {"path": "images/iris/2.cdx.json", "digest": DIGEST}
    body = {key: value for key, value in record.as_document().items() if key != "digest"}
    assert record.digest == record_digest(body)
    assert load(tmp_path, "iris", 2).sbom == listed.sbom
