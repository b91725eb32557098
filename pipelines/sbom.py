"""The list of what is in an image (a software bill of materials): CycloneDX 1.6 as JSON, the same bytes for the same image."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from infra.errors import ReleaseError

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

_NAMESPACE = uuid.UUID("3f0e0d0e-6d0b-4f7b-9a55-6a6f2f0f5d11")


def sbom(name: str, release: int, image_digest: str, contents: dict[str, Any], model_files: dict[str, str]) -> bytes:
    """The document for an image.

    ``contents`` has ``python`` (name, version, sha256 of the wheel, licence) and ``debian`` (package, version, architecture);
    ``model_files`` maps the names of the model's own files to their digests.
    """
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    hexadecimal = image_digest.removeprefix("sha256:")
    image = Component(
        type=ComponentType.CONTAINER,
        name=name,
        version=str(release),
        bom_ref="image",
        purl=PackageURL("oci", name=name, version=image_digest),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hexadecimal)],
    )
    models = [
        Component(
            type=ComponentType.MACHINE_LEARNING_MODEL,
            name=f"{name}/{file}",
            version=str(release),
            bom_ref=f"model-{file}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest.removeprefix("sha256:"))],
        )
        for file, digest in sorted(model_files.items())
    ]
    parts = [*models, *(_python(each) for each in contents["python"]), *(_debian(each) for each in contents["debian"])]
    bom = Bom(components=parts, serial_number=uuid.uuid5(_NAMESPACE, hexadecimal))
    bom.metadata.component = image
    bom.metadata.timestamp = datetime.fromtimestamp(0, UTC)
    bom.register_dependency(image, parts)
    return JsonV1Dot6(bom).output_as_string(indent=1).encode() + b"\n"


def packages_of(document: bytes) -> dict[str, str]:
    """Package URL without version -> version, of a CycloneDX document. Raises ReleaseError when it is none."""
    import json

    from packageurl import PackageURL

    try:
        parsed = json.loads(document)
        if parsed["bomFormat"] != "CycloneDX":
            raise ValueError(f"bomFormat {parsed['bomFormat']!r}")
        found = [PackageURL.from_string(each["purl"]) for each in parsed["components"] if "purl" in each]
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError(f"the list of an image's packages is no CycloneDX document: {type(error).__name__}: {error}") from None
    return {f"{each.type}/{each.name}": str(each.version) for each in found}


def _python(each: dict[str, Any]) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    url = PackageURL("pypi", name=each["name"].lower().replace("_", "-"), version=each["version"])
    return Component(
        type=ComponentType.LIBRARY,
        name=each["name"],
        version=each["version"],
        bom_ref=url.to_string(),
        purl=url,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each["sha256"])],
        licenses=[LicenseFactory().make_from_string(each["licence"])] if each.get("licence") else [],
    )


def _debian(each: dict[str, Any]) -> Component:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    qualifiers = {"arch": each.get("architecture", ""), "distro": "debian-12"}
    url = PackageURL("deb", "debian", each["package"], each["version"], {name: value for name, value in qualifiers.items() if value})
    return Component(type=ComponentType.LIBRARY, name=each["package"], version=each["version"], bom_ref=url.to_string(), purl=url)
