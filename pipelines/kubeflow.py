"""Kubeflow: the list of steps as a pipeline, compiled for a cluster, or run on this machine by Kubeflow's own local runner.

Runs in an environment of its own (requirements/kubeflow.txt): ``make kubeflow MODEL=iris``.
"""

# Kubeflow reads the annotations of this file's functions as types: they are not postponed.
import argparse
import sys
from pathlib import Path
from typing import Any

from kfp import compiler, dsl, local

from pipelines.orchestrated import command, models
from pipelines.steps import STEPS

ROOT = Path(__file__).resolve().parent.parent
RETRIES = 2


def run_step(step: str, model: str, until: str, stack: str, checkout: str) -> str:
    """Run a model's steps up to one; the day up to which batches were taken, for the steps after it.

    Kubeflow ships the source of this function and of ``command``, and nothing else of this file.
    """
    import subprocess
    import sys
    from datetime import date

    day = until or date.today().isoformat()
    status = subprocess.run(command(checkout, model, step, day, stack), cwd=checkout).returncode
    if status:
        sys.exit(f"step '{step}' of {model} failed with {status}; what it said stands above")
    return day


def pipeline(image: str, checkout: str, retries: int) -> Any:
    """The pipeline, with parameters ``model``, ``until`` and ``stack``.

    ``image`` has Python with kfp, and at ``checkout`` this repository with its own environment, and its store on a volume. ``retries``: how
    often a failed step is tried again; the local runner cannot.
    """

    def release(model: str, until: str = "", stack: str = "local") -> None:
        day: Any = until
        for each in STEPS:
            component = dsl.component(run_step, base_image=image, install_kfp_package=False, additional_funcs=[command])
            component.component_spec.name = each.name
            task = component(step=each.name, model=model, until=day, stack=stack, checkout=checkout)
            if retries:
                task.set_retry(retries, backoff_duration="60s")
            # Kubeflow would take a step with the same parameters as done; whether it is, only the step itself can tell.
            task.set_caching_options(False)
            day = task.output

    return dsl.pipeline(release, name="release")


def main(arguments: list[str]) -> int:
    """``compile`` writes the pipeline for a cluster, ``run`` makes a release here; 0, or 1 when a step failed."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.kubeflow", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    compiled = actions.add_parser("compile", help="write the pipeline as YAML, to be uploaded to Kubeflow Pipelines")
    compiled.add_argument("file", type=Path)
    compiled.add_argument("--image", required=True, help="image, by digest, with kfp, this repository and its environment")
    compiled.add_argument("--checkout", required=True, help="where the repository lies in the image")
    run = actions.add_parser("run", help="make a release of a model on this machine")
    run.add_argument("model", choices=sorted(models(ROOT)))
    run.add_argument("--until", default="", metavar="DATE", help="take the batches dated up to this day (default: today)")
    run.add_argument("--stack", default="local", help="the stack that the release is for (default: local)")
    options = parser.parse_args(arguments)
    if options.action == "compile":
        compiler.Compiler().compile(pipeline(options.image, options.checkout, RETRIES), str(options.file))
        return 0
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(ROOT / ".local" / "kubeflow"))
    try:
        pipeline("python", str(ROOT), retries=0)(model=options.model, until=options.until, stack=options.stack)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
