"""``python -m toolchain.orchestrators airflow|kubeflow ARGUMENT...``: Airflow's command line, or ``pipelines.kubeflow``, set up first.

Each has an environment of its own in the cache. What Airflow writes lies in ``.local/airflow``; where the caller's environment says
something else, that counts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from toolchain import ROOT, SetupError, environment, process

NAMES = ("airflow", "kubeflow")
PORT = "8085"


def prepare() -> None:
    """Make both environments. Raises SetupError."""
    for name in NAMES:
        environment.apart(ROOT, name)


def command(root: Path, venv: Path, arguments: list[str], environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command of an orchestrator, and the environment that it runs in."""
    name, *others = arguments
    path = f"{venv / 'bin'}{os.pathsep}{environ.get('PATH', '')}"
    if name == "kubeflow":
        return [str(venv / "bin" / "python"), "-m", "pipelines.kubeflow", *others], {**environ, "PATH": path, "PYTHONPATH": str(root)}
    settings = {
        "AIRFLOW_HOME": str(root / ".local" / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(root / "pipelines" / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": environ.get("AIRFLOW__API__PORT", PORT),
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    settings["AIRFLOW__API__BASE_URL"] = f"http://127.0.0.1:{settings['AIRFLOW__API__PORT']}"
    return [str(venv / "bin" / "airflow"), *others], {**settings, **environ, "PATH": path}


def main(arguments: list[str]) -> int:
    """Become the orchestrator; an exit code where that cannot be."""
    if not arguments or arguments[0] not in NAMES:
        print(f"usage: python -m toolchain.orchestrators {'|'.join(NAMES)} ARGUMENT...", file=sys.stderr)
        return 2
    try:
        words, environ = command(ROOT, environment.apart(ROOT, arguments[0]), arguments, os.environ)
        os.chdir(ROOT)
        os.execve(words[0], words, environ)
    except SetupError as error:
        process.say(f"error: {error}")
    except OSError as error:
        process.say(f"error: {process.explain(error)}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
