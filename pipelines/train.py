"""Step 4, train: fit the model's estimator on the rows that are not held out, with the best parameters where model.yaml asks to search."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.release import file_digest
from pipelines import kinds, rows
from pipelines.artifacts import Snapshot, Trained, Validation
from pipelines.failures import StepFailed
from pipelines.model import Model, Parameters
from pipelines.work import Work

if TYPE_CHECKING:
    import pandas

OF_SCIKIT_LEARN = frozenset({"sklearn.tree._tree.Tree"})
"""What every tree and forest is made of: compiled, holds numbers only, but not in skops' own list."""


def train(work: Work, snapshot: Snapshot, validation: Validation) -> Trained:
    """Fit ``estimator(parameters, seed)`` of the model's train.py and save it as skops. The same inputs give the same model.

    Raises StepFailed when train.py has no such function or gives no estimator of the model's kind, the model holds types that model.yaml
    does not trust, or the search for parameters fails.
    """
    del validation  # only a snapshot that was found valid is trained on
    import skops.io

    from pipelines.search import search

    columns = [*work.model.inputs, work.model.output.column]
    if work.model.search:
        columns.append(rows.ROW)
    frame = rows.read(work.file(snapshot.path), columns, held_out=False)
    found = search(work, frame) if work.model.search else None
    parameters = found.best.parameters if found else work.model.training.parameters
    fitted = fit(work.folder, with_parameters(work.model, parameters), frame)
    _check_labels(work, fitted)
    path = work.output / "model.skops"
    skops.io.dump(fitted, path)
    load(path, work.model.training.trusted_types)
    return Trained(
        model=work.name(path.name),
        digest=file_digest(path),
        rows=len(frame),
        log=work.name("log.txt"),
        parameters=parameters,
        search=found.searched if found else None,
    )


def fit(folder: Path, model: Model, frame: pandas.DataFrame) -> Any:
    """The model's estimator, fitted to some rows. The same rows give the same model. Raises StepFailed."""
    import numpy

    random.seed(model.training.seed)
    numpy.random.seed(model.training.seed)
    targets = kinds.of(model).outputs.targets(frame[model.output.column])
    return _estimator(folder, model).fit(kinds.features(frame, model), targets)


def with_parameters(model: Model, parameters: Parameters) -> Model:
    """The same model with other parameters to train with."""
    return model.model_copy(update={"training": model.training.model_copy(update={"parameters": parameters})})


def load(path: Path, trusted: list[str]) -> Any:
    """A saved model. skops builds only types that it is told to trust, so a file cannot run code of its own. Raises StepFailed."""
    import skops.io

    held = types_to_trust(path)
    unknown = [each for each in held if each not in {*trusted, *OF_SCIKIT_LEARN}]
    if unknown:
        raise StepFailed(
            "the model holds types that nobody has said to trust",
            where="model.yaml: training.trusted-types",
            got=unknown,
            allowed="scikit-learn's estimators and the types in the list",
            act="read what they do, then add them to the list",
        )
    return skops.io.load(path, trusted=held)


def types_to_trust(path: Path) -> list[str]:
    """The types in a saved model that skops does not build unless it is told to."""
    import skops.io

    return list(skops.io.get_untrusted_types(file=path))


def _check_labels(work: Work, fitted: Any) -> None:
    learned = kinds.of(work.model).outputs.not_learned(work.model.output, fitted)
    if learned:
        raise StepFailed(
            "the model did not learn every label",
            where=f"models/{work.folder.name}/model.yaml: output.labels",
            got=learned,
            allowed=str(list(work.model.output.labels)),
            act="wait for more data, or lower 'holdout'",
        )


def _estimator(folder: Path, model: Model) -> Any:
    path = folder / "train.py"
    shown = f"models/{folder.name}/train.py"
    if not path.is_file():
        raise StepFailed("is missing", where=shown, allowed="a function estimator(parameters, seed)", act="write it")
    spec = importlib.util.spec_from_file_location(f"models.{folder.name}.train", path)
    if spec is None or spec.loader is None:
        raise StepFailed("cannot be imported", where=shown)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    make = getattr(module, "estimator", None)
    made = make(dict(model.training.parameters), model.training.seed) if callable(make) else None
    lacks = kinds.of(model).outputs.lacks(made)
    if lacks:
        raise StepFailed(
            f"gives no estimator for kind {model.kind}",
            where=shown,
            got=type(made).__name__ if callable(make) else "no function 'estimator'",
            allowed=f"estimator(parameters, seed) that returns {lacks}",
            act="mend it",
        )
    return made
