"""How a run ends when it makes no release: ``DeliveryError`` -> ``StepFailed`` (a step could not do its work) -> ``GateFailed``."""

from __future__ import annotations

from infra.errors import DeliveryError


class StepFailed(DeliveryError):
    """A step could not do its work: model code that raises or never ends, a full disk, a registry that does not answer."""


class GateFailed(StepFailed):
    """A check that must pass before a release exists did not; ``gate`` is its name in release records."""

    def __init__(self, gate: str, what: str, *, where: str = "", got: object = None, allowed: str = "", act: str = "") -> None:
        self.gate = gate
        super().__init__(f"gate '{gate}': {what}", where=where, got=got, allowed=allowed, act=act)
