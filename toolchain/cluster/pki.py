"""The cluster's own certificate authority, and a certificate for each of its parts: what a part may do follows from its name alone."""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from toolchain.cluster import API, API_SERVICE, DOMAIN, NAME, NODE, Place

YEAR = timedelta(days=365)
# Part -> the user and group that the API server knows it by.
CLIENTS = {
    "admin": ("admin", "system:masters"),
    "kubelet-client": ("kube-apiserver", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "kubelet": ("system:node:node", "system:nodes"),
    "proxy": ("system:kube-proxy", ""),
    "dns": ("dns", ""),
    "policies": ("policies", ""),
    "rollouts": ("rollouts", ""),
    "gateway": ("gateway", ""),
}


@dataclass(frozen=True)
class Authority:
    """A certificate authority, in memory: its key is never written down."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{NAME} development cluster")])
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        built = (
            _dated(x509.CertificateBuilder())
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return cls(key, built.sign(key, hashes.SHA256()))

    def issue(self, user: str, group: str = "", *, hosts: Sequence[str] = ()) -> tuple[bytes, bytes]:
        """Key and certificate (PEM) of a client, or of a server that is known under ``hosts``."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        names += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        built = (
            _dated(x509.CertificateBuilder())
            .subject_name(x509.Name(names))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if hosts:
            built = built.add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
        return _private(key), built.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def make(place: Place) -> None:
    """Write every key, certificate and kubeconfig, readable by their owner only; nothing where they are there already."""
    if place.kubeconfig.is_file():
        return
    place.pki.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = Authority.new()
    ca = authority.certificate.public_bytes(serialization.Encoding.PEM)
    write_private(place.pki / "ca.crt", ca)
    api_names = [
        NODE,
        API_SERVICE,
        "127.0.0.1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{DOMAIN}",
    ]
    servers = {
        "apiserver": api_names,
        "gateway-server": [NODE, "gateway.local", "*.gateway.local"],
        "kubelet-server": [NODE, "node"],
        "database": [NODE],
    }
    for name, hosts in servers.items():
        _pair(place, name, authority.issue(name, hosts=hosts))
    signing = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write_private(place.pki / "tokens.key", _private(signing))
    public = signing.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_private(place.pki / "tokens.pub", public)
    for name, (user, group) in CLIENTS.items():
        key, certificate = authority.issue(user, group)
        _pair(place, name, (key, certificate))
        write_private(place.pki / f"{name}.kubeconfig", _kubeconfig(ca, key, certificate, user))
    # Last: its presence says that all the others are there.
    write_private(place.kubeconfig, (place.pki / "admin.kubeconfig").read_bytes())


def _kubeconfig(ca: bytes, key: bytes, certificate: bytes, user: str) -> bytes:
    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": {"server": f"https://{NODE}:{API}", "certificate-authority-data": encoded(ca)}}],
        "users": [{"name": user, "user": {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": user}}],
        "current-context": NAME,
    }
    return yaml.safe_dump(document, sort_keys=False).encode()


def _dated(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    # An hour back: clocks differ.
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1)).not_valid_after(now + YEAR)


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _pair(place: Place, name: str, pair: tuple[bytes, bytes]) -> None:
    write_private(place.pki / f"{name}.key", pair[0])
    write_private(place.pki / f"{name}.crt", pair[1])


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    partial.replace(path)
