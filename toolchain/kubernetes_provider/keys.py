"""Keys of a CustomResourceDefinition, which the SDKs write otherwise than the API server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# Python and other languages can't name a property with dashes: the SDKs write these keys of a CustomResourceDefinition with underscores.
_DASHED: Final = tuple(
    f"x-kubernetes-{rest}"
    for rest in (
        "embedded-resource",
        "int-or-string",
        "list-map-keys",
        "list-type",
        "map-type",
        "preserve-unknown-fields",
        "validations",
    )
)
_TO_API: Final = {key.replace("-", "_"): key for key in _DASHED}
_FROM_API: Final = {key: underscored for underscored, key in _TO_API.items()}


def to_api(value: Any) -> Any:
    """Keys as the API server knows them."""
    return _renamed(value, _TO_API)


def from_api(value: Any) -> Any:
    """Keys as the SDKs know them."""
    return _renamed(value, _FROM_API)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _renamed(item, names) for key, item in value.items()}
    return [_renamed(item, names) for item in value] if isinstance(value, list) else value
