"""Snapshots kept in MLflow where its server is shared: a checkout that compares with a champion made elsewhere brings the rows from there.

A snapshot is an artifact of the first run that was trained on it, once for each digest.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from infra.release import file_digest
from infra.tracking import is_server, without_account
from pipelines import apart

KEPT = "mldelivery.kept-snapshot"
"""Tag of the run that keeps a snapshot: its digest. Set when the file is there as a whole."""
FOLDER = "snapshot"


def keep(client: Any, uri: str, experiment: str, run: str, path: Path, digest: str) -> None:
    """Keep a snapshot, and what is said of it, with a run, unless another run keeps the same one. Raises what MLflow's client raises."""
    if not is_server(uri) or _keeper(client, experiment, digest) is not None:
        return
    for each in (path, path.with_suffix(".json")):
        if each.is_file():
            client.log_artifact(run, str(each), FOLDER)
    client.set_tag(run, KEPT, digest)


def fetch(uri: str, model: str, digest: str, into: Path) -> tuple[list[Path], str]:
    """Bring a snapshot, and what is said of it, into a folder, its content checked; else nothing, and why not. Raises OSError."""
    if not is_server(uri):
        return [], "MLflow is no server here that could have kept it"
    for name, value in apart.QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow

    from pipelines.register import refusal

    server = without_account(uri)
    try:
        client = mlflow.MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(model)
        run = _keeper(client, experiment.experiment_id, digest) if experiment is not None else None
        if run is None:
            return [], f"{server} keeps none of this digest"
        with tempfile.TemporaryDirectory(dir=into) as scratch:
            found = sorted(Path(client.download_artifacts(run, FOLDER, scratch)).iterdir(), key=lambda path: path.suffix != ".parquet")
            got = file_digest(found[0]) if found else "nothing"
            if got != digest:
                return [], f"{server} keeps {got} under this digest (run {run})"
            return [path.replace(into / path.name) for path in found], ""
    except OSError:
        raise
    except Exception as error:  # its client raises what its transport raises
        return [], f"{server} does not answer: {refusal(error)[0]}"


def _keeper(client: Any, experiment: str, digest: str) -> str | None:
    found = client.search_runs([experiment], f"tags.`{KEPT}` = '{digest}'", max_results=1)
    return str(found[0].info.run_id) if found else None
