"""Step 7, package: a built Bento that holds the model, the server's code, golden requests and their answers."""

from __future__ import annotations

import json
import os
import re
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.release import file_digest, tree_digest
from pipelines import golden, kinds, rows
from pipelines.artifacts import Evaluation, Interface, Packaged, Snapshot, Tested, Trained
from pipelines.export import Exported, export
from pipelines.failures import GateFailed
from pipelines.interface import of_model
from pipelines.requirements import lock_of
from pipelines.runtime import open_release
from pipelines.store import copy_folder
from pipelines.train import load, types_to_trust
from pipelines.work import Work

if TYPE_CHECKING:
    from pipelines.runtime import Predict

SERVER_PACKAGES = ("bentoml", "msgspec", "uvicorn", "numpy", "prometheus-client")
DOCKERFILE = Path(__file__).with_name("bento.dockerfile")
"""Takes the place of BentoML's, which installs a compiler and Git: 1.2 GB. BentoML 1.4 refuses the templates that it documents: their path
may have no hidden folder, and `bentoml containerize` looks for them outside of the folder that it allows."""
RUNTIME_PACKAGES = {"onnx": ("onnxruntime",), "skops": ("skops", "scikit-learn")}


def package(work: Work, snapshot: Snapshot, interface: Interface, trained: Trained, tested: Tested, evaluation: Evaluation) -> Packaged:
    """Build the Bento of release ``work.number``.

    Raises GateFailed: ``oracle`` when what will serve does not answer like scikit-learn, ``golden`` when too few requests have a clear
    answer or the packaged model does not repeat its own.
    """
    del interface, tested, evaluation  # their gates passed, or this step would not run
    source = work.output / "source"
    release = source / "release"
    release.mkdir(parents=True)
    model = work.model
    kind = kinds.of(model)
    holdout = kinds.features(rows.read(work.file(snapshot.path), list(model.inputs), held_out=True), model)
    saved = work.file(trained.model)
    estimator = load(saved, model.training.trusted_types)
    oracle = kind.outputs.predict(estimator)
    chosen = golden.choose(model, holdout, oracle)
    probes = kind.inputs.of_rows([*chosen, *kind.inputs.to_rows(holdout)])
    exported = export(estimator, saved, release, kind=kind, probes=probes, tolerance=model.tolerance)
    _write_release(work, release, exported)
    (release / "golden.jsonl").write_bytes(golden.as_lines(model, chosen, exported.predict(kind.inputs.of_rows(chosen))))
    check_answers(work, release, chosen, oracle)
    copy_folder(work.root / "serving", source / "serving")
    shutil.copy2(work.root / "serving" / "service.py", source / "service.py")
    bento = _build(work, source, exported.runtime)
    shutil.rmtree(source)
    return Packaged(
        bento=work.name("bento"),
        digest=tree_digest(bento / "src"),
        runtime=exported.runtime,
        fallback_because=exported.because,
        difference=exported.difference,
        golden_count=len((bento / "src" / "release" / "golden.jsonl").read_bytes().splitlines()),
        golden_digest=file_digest(bento / "src" / "release" / "golden.jsonl"),
    )


def check_answers(work: Work, release: Path, chosen: list[list[Any]], oracle: Predict) -> None:
    """Ask the packaged files for every golden row, as the server will, and hold the answers against scikit-learn and golden.jsonl.

    Raises GateFailed (``golden`` or ``oracle``).
    """
    model = work.model
    kind = kinds.of(model)
    if len(chosen) < model.golden:
        raise GateFailed(
            "golden",
            "too few golden requests have a clear answer",
            where=f"models/{model.name}/model.yaml: golden",
            got=len(chosen),
            allowed=f"{model.golden} (at least 30)",
            act="wait for more data, or lower 'golden'",
        )
    predict, _ = open_release(release)
    inputs = kind.inputs.of_rows(chosen)
    given, expected = predict(inputs), oracle(inputs)
    off = float(abs(given - expected).max())
    if not off <= model.tolerance or kind.outputs.turned(expected, given):
        raise GateFailed(
            "oracle", "what would serve does not answer like scikit-learn", got=off, allowed=f"within {model.tolerance:g}, same labels"
        )
    lines = (release / "golden.jsonl").read_bytes().splitlines()[: len(chosen)]
    recorded = kind.outputs.of_predictions([json.loads(line)["response"]["predictions"][0] for line in lines])
    off = float(abs(given - recorded).max())
    if not off <= model.tolerance:
        raise GateFailed("golden", "the packaged model does not repeat its own answers", got=off, allowed=f"within {model.tolerance:g}")


def _write_release(work: Work, release: Path, exported: Exported) -> None:
    model = work.model
    about: dict[str, Any] = {"format": 1, "model": model.name, "release": work.number, "kind": model.kind, **of_model(model)}
    about |= {"runtime": exported.runtime, "tolerance": model.tolerance, "max-rows": model.maximum_rows}
    if exported.runtime == "skops":
        about["trusted-types"] = types_to_trust(release / exported.file)
    (release / "release.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _build(work: Work, source: Path, runtime: str) -> Path:
    """``bentoml build`` in a home of its own inside the step's folder; gives the folder of the built Bento."""
    home = work.output / "home"
    os.environ["BENTOML_HOME"] = str(home)
    import bentoml

    names = (*SERVER_PACKAGES, *RUNTIME_PACKAGES[runtime])
    packages = [f"{name}=={version(name)}" for name in names]
    (source / "requirements.txt").write_text(lock_of(names, work.root / "requirements.txt"), encoding="utf-8")
    os.chdir(source)
    built = bentoml.bentos.build(
        "service:ReleaseService",
        name=work.model.name,
        version=str(work.number),
        build_ctx=str(source),
        include=["service.py", "serving/*.py", "release/*", "requirements.txt"],
        python={"packages": packages, "lock_packages": False},
    )
    bento = work.output / "bento"
    Path(built.path).rename(bento)
    os.chdir(work.output)
    shutil.rmtree(home)
    _forget_time(bento)
    shutil.copyfile(DOCKERFILE, bento / "env" / "docker" / "Dockerfile")
    return bento


def _forget_time(bento: Path) -> None:
    """The only difference between two builds of the same things is the time in bento.yaml; the record has the time already."""
    path = bento / "bento.yaml"
    path.write_text(
        re.sub(r"(?m)^creation_time: .*$", "creation_time: '1970-01-01T00:00:00+00:00'", path.read_text(encoding="utf-8")), encoding="utf-8"
    )
