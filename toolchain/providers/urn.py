"""A resource's name in the engine, taken apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Urn:
    """Such as ``urn:pulumi:stack::project::parent$type::name``."""

    text: str

    @property
    def type(self) -> str:
        """Such as ``kubernetes:apps/v1:Deployment``."""
        return self.text.split("::")[2].rsplit("$", 1)[-1]

    @property
    def name(self) -> str:
        """The name that the program gives the resource."""
        return "::".join(self.text.split("::")[3:])
