"""Step 14, announce: the registry learns that the candidate became a release. The record decides what serves, not the registry."""

from __future__ import annotations

from typing import Any

from infra.tracking import without_account
from pipelines.artifacts import Announced, Recorded, Registered
from pipelines.register import STATE, reached
from pipelines.work import Work


def announce(work: Work, registered: Registered, recorded: Recorded) -> Announced:
    """Mark the version as ``released`` and note the record's digest on it. Raises StepFailed when MLflow cannot be reached.

    A release that was registered in another MLflow, such as a first one that was made before the stack's own server ran, is left alone:
    here its number is nobody's, or another release's.
    """
    with reached(work, "announce") as client:
        if not _is_known(client, work, registered):
            server = without_account(work.tracking)
            return Announced(version=registered.version, note=f"{server} has no run {registered.run[:8]}: it was registered elsewhere")
        client.set_model_version_tag(work.model.name, str(registered.version), "mldelivery.record", recorded.digest)
        client.set_model_version_tag(work.model.name, str(registered.version), STATE, "released")
    return Announced(version=registered.version)


def _is_known(client: Any, work: Work, registered: Registered) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_model_version(work.model.name, str(registered.version)).run_id == registered.run)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
