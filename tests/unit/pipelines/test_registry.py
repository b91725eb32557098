"""How a registry is spoken to: in the clear only where no certificate can be, with the account of ``docker login`` elsewhere."""

from __future__ import annotations

import base64
import datetime
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from moto import mock_aws

from infra.errors import PlatformError
from pipelines.registry import Registry, _account

ACCOUNT = base64.b64encode(b"someone:secret").decode()
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("registry", "is_plain"),
    [
        ("127.0.0.1:5000", True),
        ("10.99.0.2:5000", True),
        ("10.99.0.2", True),
        ("[::1]:5000", True),
        ("localhost:5000", False),
        ("10.99.0.2.example.com", False),
        ("192.168.1.2:5000", False),
        ("172.17.0.1:5000", False),
        ("11.0.0.1:5000", False),
        ("registry.example.com/models", False),
        ("ghcr.io/team", False),
    ],
)
def test_only_addresses_that_nobody_certifies_are_spoken_to_in_the_clear(registry: str, is_plain: bool) -> None:
    assert Registry.at(registry, "iris").is_plain is is_plain


def test_the_path_is_part_of_the_repository() -> None:
    assert Registry.at("registry.example.com/team/models", "iris").repository == "team/models/iris"
    assert Registry.at("registry.example.com", "iris").repository == "iris"


class _Handler(http.server.BaseHTTPRequestHandler):
    """A registry that wants a token, and the place that gives one."""

    seen: ClassVar[list[tuple[str, str]]] = []
    challenge: ClassVar[str] = "bearer"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self) -> None:
        given = self.headers.get("Authorization", "")
        self.seen.append((self.path.partition("?")[0], given))
        body = b""
        if self.path.startswith("/token"):
            status = 200 if given == f"Basic {ACCOUNT}" else 401
            body = json.dumps({"token": "granted"}).encode()
        elif given == ("Bearer granted" if self.challenge == "bearer" else f"Basic {ACCOUNT}"):
            status = 200
        else:
            status = 401
        self.send_response(status)
        host = self.headers["Host"]
        if status == 401:
            bearer = f'Bearer realm="https://{host}/token",service="registry"'
            self.send_header("WWW-Authenticate", bearer if self.challenge == "bearer" else 'Basic realm="registry"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def secured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A TLS server that this process trusts under the name localhost, and an account for it."""
    certificate, key = _certificate(tmp_path)
    _Handler.seen.clear()
    _Handler.challenge = "bearer"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"localhost:{server.server_port}"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": ACCOUNT}}}))
    yield host
    server.shutdown()
    server.server_close()


def _certificate(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "certificate.pem", folder / "key.pem"


def test_a_token_is_had_for_the_account_and_used_again(secured: str) -> None:
    with Registry.at(secured, "iris") as registry:
        assert registry.has_manifest(DIGEST)
        assert registry.has_manifest(DIGEST)
    assert [given for path, given in _Handler.seen if path.startswith("/v2/")] == ["", "Bearer granted", "Bearer granted"]
    assert [given for path, given in _Handler.seen if path == "/token"] == [f"Basic {ACCOUNT}"]


def test_the_account_itself_is_given_where_that_is_asked_for(secured: str) -> None:
    _Handler.challenge = "basic"
    with Registry.at(secured, "iris") as registry:
        assert registry.has_manifest(DIGEST)


def test_an_account_of_a_helper_is_asked_for(secured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-ours"
    helper.write_text('#!/bin/sh\nread -r host\nprintf \'{"ServerURL":"%s","Username":"someone","Secret":"secret"}\' "$host"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {secured: "ours"}}))
    with Registry.at(secured, "iris") as registry:
        assert registry.has_manifest(DIGEST)


@pytest.mark.parametrize("config", [b"{}", b"", b"[]", b'{"credsStore": "not-there"}'])
def test_without_an_account_it_says_how_to_get_one(secured: str, tmp_path: Path, config: bytes) -> None:
    (tmp_path / "config.json").write_bytes(config)
    with Registry.at(secured, "iris") as registry, pytest.raises(PlatformError, match="401") as caught:
        registry.has_manifest(DIGEST)
    assert f"docker login {secured}" in str(caught.value)


ECR = "111122223333.dkr.ecr.eu-central-1.amazonaws.com"


def test_a_registry_of_aws_takes_the_shells_login_to_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "simulated")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "simulated")
    with mock_aws():
        account = _account(ECR)
        assert _account("registry.example.com") is None
    assert account is not None and base64.b64decode(account).startswith(b"AWS:")
    (tmp_path / "config.json").write_text(json.dumps({"auths": {ECR: {"auth": ACCOUNT}}}))
    assert _account(ECR) == ACCOUNT, "what docker login keeps comes first"


def test_without_a_login_to_aws_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert _account(ECR) is None
    with pytest.raises(PlatformError, match="aws sso login"):
        Registry.at(f"{ECR}/mldelivery", "iris")._expect(200, 401, "no basic auth credentials", "answer")


def test_a_certificate_that_nobody_vouches_for_is_refused(secured: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    with Registry.at(secured, "iris") as registry, pytest.raises(PlatformError, match=r"(?i)certificate verify failed"):
        registry.has_manifest(DIGEST)
    assert _Handler.seen == []
