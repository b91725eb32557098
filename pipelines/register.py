"""Step 10, register: the run and the model go into MLflow; the version is a ``candidate`` until its release record stands.

A version is found again by the digest of the package, so a run that was killed after it repeats nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from infra.tracking import without_account
from pipelines import kept, kinds, rows, search
from pipelines.artifacts import Evaluation, Packaged, Registered, Searched, Snapshot, Trained, Verified
from pipelines.commit import of_folder
from pipelines.failures import StepFailed
from pipelines.train import load, types_to_trust
from pipelines.work import Work

STATE, RELEASE, PACKAGE, TRIAL = "mldelivery.state", "mldelivery.release", "mldelivery.package", "mldelivery.trial"


def register(
    work: Work, snapshot: Snapshot, trained: Trained, evaluation: Evaluation, packaged: Packaged, verified: Verified
) -> Registered:
    """Track the training and register its model as a candidate. Raises StepFailed when MLflow cannot be reached or refuses."""
    del verified  # only what passed every gate is registered
    with reached(work, "register") as client:
        return _known(client, work, packaged) or _new(client, work, snapshot, trained, evaluation, packaged)


def tracking_uri(store: Path) -> str:
    """Where MLflow is: what ``MLFLOW_TRACKING_URI`` says, or the store's own database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or own_uri(store)


def own_uri(store: Path) -> str:
    """The store's own SQLite file: no server need be up, and the local one shows the same file."""
    return f"sqlite:///{(store / 'mlflow' / 'mlflow.db').absolute()}"


@contextlib.contextmanager
def reached(work: Work, step: str) -> Iterator[Any]:
    """MLflow's client. All that it raises becomes one StepFailed that names step, release and server; a full disk stays an OSError."""
    uri = work.tracking
    import mlflow

    try:
        if uri == own_uri(work.store):
            _ensure_database(work.store / "mlflow")
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        yield mlflow.MlflowClient()
    except (StepFailed, OSError):
        raise
    except Exception as error:  # its stores raise what their drivers raise
        reason, act = refusal(error)
        raise StepFailed(
            f"step '{step}' of {work.model.name} {work.number}: MLflow refused: {reason}",
            where=without_account(uri),
            allowed="a tracking store that answers",
            act=f"{act}, then run the same command again: it goes on from here",
        ) from None


def refusal(error: Exception) -> tuple[str, str]:
    """What MLflow's client says, in one line without the layers of its transport, and what to do about it."""
    text = without_account(" ".join(str(error).split()))
    request = re.match(r"API request to (?:\w+://[^/]+)?(/[^\s?]*)\S* failed", text)
    cause = re.search(r"\(Caused by \w+\((.*)\)\)$", text)
    if request and cause:
        asked, said = request[1], re.sub(r"^HTTPS?Connection\([^)]*\): ", "", cause[1].strip("'\""))
        if "error responses" not in said:
            return said[:300], "start it (make up), or correct MLFLOW_TRACKING_URI"
        behind = "its store of artifacts" if "/mlflow-artifacts/" in asked else "its database"
        return f"{said} to {asked}"[:300], f"bring back what the server stands on (most likely {behind}; its log says more)"
    act = "free some space" if "full" in text else "start it (make up), or correct MLFLOW_TRACKING_URI"
    return f"{type(error).__name__}: {text}"[:300], act


def _ensure_database(folder: Path) -> None:
    """Make the store's database in one visible step: MLflow cannot go on with one whose tables were half made."""
    final = folder / "mlflow.db"
    for left in folder.glob(".mlflow.*.partial*"):
        if not _is_alive(int(left.name.split(".")[2])):
            left.unlink(missing_ok=True)
    if final.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    partial = folder / f".mlflow.{os.getpid()}.partial"
    try:
        SqlAlchemyStore(f"sqlite:///{partial.absolute()}", (folder / "artifacts").absolute().as_uri()).engine.dispose()
        with contextlib.suppress(FileExistsError):
            os.link(partial, final)
    finally:
        partial.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _known(client: Any, work: Work, packaged: Packaged) -> Registered | None:
    """The version that an earlier, killed run made of the same package."""
    for found in client.search_model_versions(f"name = '{work.model.name}'"):
        if found.tags.get(PACKAGE) == packaged.digest:
            return Registered(run=found.run_id, version=int(found.version))
    return None


def _new(client: Any, work: Work, snapshot: Snapshot, trained: Trained, evaluation: Evaluation, packaged: Packaged) -> Registered:
    import mlflow
    from mlflow.models import infer_signature

    name = work.model.name
    model = load(work.file(trained.model), work.model.training.trusted_types)
    frame = rows.read(work.file(snapshot.path), [*work.model.inputs, work.model.output.column], held_out=False)
    example = frame[list(work.model.inputs)].head(50)
    commit = of_folder(work.root, work.folder)
    tags = {
        RELEASE: str(work.number),
        PACKAGE: packaged.digest,
        "mldelivery.commit": commit["sha"] + (" dirty" if commit["dirty"] else ""),
        "mldelivery.snapshot": snapshot.digest,
        "mldelivery.environment": work.environment,
        "mldelivery.code": work.code,
    }
    experiment = _experiment(client, work)
    _end_left(client, experiment, packaged)
    mlflow.set_experiment(experiment_id=experiment)
    with mlflow.start_run(run_name=f"{name}-{work.number}", tags=tags) as run:
        mlflow.log_params({**trained.parameters, "seed": work.model.training.seed})
        mlflow.log_metrics({key: value for metric, found in evaluation.metrics.items() for key, value in _flat(metric, found)})
        mlflow.log_input(_dataset(frame, snapshot), context="training")
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            serialization_format="skops",
            skops_trusted_types=types_to_trust(work.file(trained.model)) or None,
            signature=infer_signature(example, model.predict(kinds.features(example, work.model))),
            pip_requirements=[f"{package}=={version(package)}" for package in ("scikit-learn", "skops", "numpy")],
        )
        kept.keep(client, work.tracking, experiment, run.info.run_id, work.file(snapshot.path), snapshot.digest)
        if trained.search:
            _track_trials(client, work, trained.search, packaged, run)
    _ensure_model(client, work)
    # A server, unlike a database, takes no model without its id.
    made = client.create_model_version(
        name, source=info.model_uri, run_id=run.info.run_id, model_id=info.model_id, tags={**tags, STATE: "candidate"}
    )
    return Registered(run=run.info.run_id, version=int(made.version))


def _track_trials(client: Any, work: Work, searched: Searched, packaged: Packaged, parent: Any) -> None:
    """A run for each trial beneath the release's own: MLflow compares them side by side. They ended when the model was trained."""
    from mlflow.entities import Metric, Param
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    for trial in search.read(work, searched):
        began, ended = int(1000 * trial.started), int(1000 * (trial.started + trial.seconds))
        tags = {MLFLOW_PARENT_RUN_ID: parent.info.run_id, PACKAGE: packaged.digest, TRIAL: str(trial.number)}
        name = f"{work.model.name}-{work.number} trial {trial.number}"
        made = client.create_run(parent.info.experiment_id, start_time=began, tags=tags, run_name=name)
        client.log_batch(
            made.info.run_id,
            metrics=[Metric(f"{searched.metric}-cross-validated", trial.value, ended, 0), Metric("seconds", trial.seconds, ended, 0)],
            params=[Param(key, str(value)) for key, value in trial.parameters.items()],
        )
        client.set_terminated(made.info.run_id, end_time=ended)


def _end_left(client: Any, experiment: str, packaged: Packaged) -> None:
    """End the runs that MLflow still takes for running: who began them for this package was killed, or lost the database on the way."""
    for run in client.search_runs([experiment], f"tags.`{PACKAGE}` = '{packaged.digest}' and attributes.status = 'RUNNING'"):
        client.set_terminated(run.info.run_id, "KILLED")


def _experiment(client: Any, work: Work) -> str:
    found = client.get_experiment_by_name(work.model.name)
    if found is not None:
        return str(found.experiment_id)
    local = (work.store / "mlflow" / "artifacts" / work.model.name).absolute().as_uri()
    location = local if work.tracking == own_uri(work.store) else None
    return str(client.create_experiment(work.model.name, artifact_location=location))


def _ensure_model(client: Any, work: Work) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(work.model.name, description=work.model.description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _dataset(frame: Any, snapshot: Snapshot) -> Any:
    """The training rows as MLflow shows them, under the snapshot's own digest (MLflow's covers the first 10,000 rows only)."""
    import mlflow

    return mlflow.data.from_pandas(frame, source=snapshot.path, name="snapshot", digest=snapshot.digest.removeprefix("sha256:")[:36])


def _flat(metric: str, found: Any) -> list[tuple[str, float]]:
    return [(metric, found.value), (f"{metric}-low", found.low), (f"{metric}-high", found.high)]
