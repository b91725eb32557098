"""The list of an image's packages: a valid CycloneDX document, the same for the same image."""

from __future__ import annotations

import json

import pytest

from infra.errors import ReleaseError
from pipelines.sbom import packages_of, sbom

DIGEST = "sha256:" + "d" * 64
CONTENTS = {
    "python": [
        {"name": "NumPy", "version": "2.4.6", "sha256": "1" * 64, "licence": "BSD-3-Clause AND 0BSD"},
        {"name": "typing_extensions", "version": "4.16.0", "sha256": "2" * 64, "licence": ""},
        {"name": "odd", "version": "1", "sha256": "3" * 64, "licence": "as you like it"},
    ],
    "debian": [{"package": "libstdc++6", "version": "12.2.0-14+deb12u1", "architecture": "amd64"}],
}


def made(contents: dict[str, list[dict[str, str]]] = CONTENTS) -> bytes:
    return sbom("iris", 5, DIGEST, contents, {"model.onnx": "sha256:" + "e" * 64})


def test_it_fulfils_the_schema() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    document = json.loads(made())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    try:
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(made().decode()) is None
    except ImportError as missing:
        raise AssertionError("the validator needs the packages of requirements-dev.in") from missing


def test_it_names_packages_with_versions_and_hashes() -> None:
    assert packages_of(made()) == {
        "pypi/numpy": "2.4.6",
        "pypi/typing-extensions": "4.16.0",
        "pypi/odd": "1",
        "deb/libstdc++6": "12.2.0-14+deb12u1",
    }
    document = json.loads(made())
    by_name = {each["name"]: each for each in document["components"]}
    assert by_name["NumPy"]["hashes"] == [{"alg": "SHA-256", "content": "1" * 64}]
    assert by_name["NumPy"]["licenses"] == [{"expression": "BSD-3-Clause AND 0BSD"}]
    assert by_name["iris/model.onnx"]["type"] == "machine-learning-model"
    assert document["metadata"]["component"]["purl"] == f"pkg:oci/iris@{DIGEST}"


def test_the_same_image_has_the_same_list() -> None:
    turned = {name: list(reversed(each)) for name, each in CONTENTS.items()}
    assert made() == made(turned)
    assert b'"timestamp": "1970-01-01T00:00:00+00:00"' in made()


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"bomFormat": "SPDX"}', b'{"bomFormat": "CycloneDX", "components": [{"purl": "x"}]}']
)
def test_what_is_no_list_is_refused(document: bytes) -> None:
    with pytest.raises(ReleaseError, match="no CycloneDX document"):
        packages_of(document)
