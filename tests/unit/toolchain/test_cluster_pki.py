"""The cluster's certificates: who may call itself what, and who may read the keys."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from toolchain.cluster import API, NAME, NODE, Place, pki


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A checkout's place with fresh certificates."""
    made = Place(tmp_path_factory.mktemp("checkout") / ".cluster")
    pki.make(made)
    return made


def _certificate(place: Place, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((place.pki / f"{name}.crt").read_bytes())


@pytest.mark.parametrize("name", [*pki.CLIENTS, "apiserver", "gateway-server", "kubelet-server", "database"])
def test_every_certificate_is_the_authoritys(place: Place, name: str) -> None:
    certificate, authority = _certificate(place, name), _certificate(place, "ca")
    certificate.verify_directly_issued_by(authority)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    purposes = list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert purposes == [ExtendedKeyUsageOID.CLIENT_AUTH if name in pki.CLIENTS else ExtendedKeyUsageOID.SERVER_AUTH]


def test_only_the_administrator_and_the_api_server_are_masters(place: Place) -> None:
    masters = [
        name
        for name in pki.CLIENTS
        if "system:masters" in [each.value for each in _certificate(place, name).subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    ]
    assert masters == ["admin", "kubelet-client"]


def test_the_gateway_is_known_by_its_address_and_its_names(place: Place) -> None:
    names = _certificate(place, "gateway-server").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == [NODE]
    assert "gateway.local" in names.get_values_for_type(x509.DNSName)


def test_keys_are_their_owners_alone_and_the_authoritys_is_nowhere(place: Place) -> None:
    keys = list(place.pki.glob("*.key"))
    assert keys
    for path in [*keys, *place.pki.glob("*.kubeconfig"), place.kubeconfig]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert not (place.pki / "ca.key").exists()


def test_the_kubeconfig_is_whole(place: Place) -> None:
    document = yaml.safe_load(place.kubeconfig.read_text())
    assert document["current-context"] == NAME
    assert document["clusters"][0]["cluster"]["server"] == f"https://{NODE}:{API}"
    user = document["users"][0]["user"]
    certificate = x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "admin"
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)


def test_they_are_made_once_and_anew_after_an_interruption(tmp_path: Path) -> None:
    made = Place(tmp_path / ".cluster")
    pki.make(made)
    before = made.kubeconfig.read_bytes()
    pki.make(made)
    assert made.kubeconfig.read_bytes() == before
    # The kubeconfig is written last: without it nothing of the rest is trusted.
    made.kubeconfig.unlink()
    pki.make(made)
    assert made.kubeconfig.read_bytes() != before
    _certificate(made, "apiserver").verify_directly_issued_by(_certificate(made, "ca"))
