"""Step 14, announce: the registry learns that the candidate became a release. The record decides what serves, not the registry."""

from __future__ import annotations

from pipelines.artifacts import Announced, Recorded, Registered
from pipelines.register import STATE, reached
from pipelines.work import Work


def announce(work: Work, registered: Registered, recorded: Recorded) -> Announced:
    """Mark the version as ``released`` and note the record's digest on it. Raises StepFailed when MLflow cannot be reached."""
    with reached(work) as client:
        client.set_model_version_tag(work.model.name, str(registered.version), "mldelivery.record", recorded.digest)
        client.set_model_version_tag(work.model.name, str(registered.version), STATE, "released")
    return Announced(version=registered.version)
