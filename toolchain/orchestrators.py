"""``python -m toolchain.orchestrators airflow|kubeflow ARGUMENT...``: Airflow's command line, or ``pipelines.kubeflow``, set up first.

Each has an environment of its own in the cache. What Airflow writes lies in ``.local/airflow``; where the caller's environment says
something else, that counts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from toolchain import ROOT, environment, process

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


def attend(words: list[str], environ: Mapping[str, str], *, patience_seconds: float = 30) -> int:
    """Run a command that starts others, and leave none of them behind; its exit code, or 130 where it was interrupted.

    Its processes are a group of their own: a terminal's Ctrl-C, which every process of a group gets, makes Airflow's workers hang. Its
    first process alone is told, and ends the others; what is left after ``patience_seconds``, or when it has ended, is killed.
    """
    child: subprocess.Popen[bytes] | None = None
    told = 0.0

    def tell(_number: int, _frame: FrameType | None) -> None:
        nonlocal told
        told = told or time.monotonic()
        if child is not None:
            child.send_signal(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, tell)
    child = subprocess.Popen(words, env=dict(environ), stdin=subprocess.DEVNULL, process_group=0)
    if told:
        child.send_signal(signal.SIGINT)
    while child.poll() is None and not (told and time.monotonic() > told + patience_seconds):
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(0.5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    return 130 if told else code


@process.plain_errors()
def main(arguments: list[str]) -> int:
    """Become the orchestrator, or attend it where it starts others; an exit code."""
    if not arguments or arguments[0] not in NAMES:
        print(f"usage: python -m toolchain.orchestrators {'|'.join(NAMES)} ARGUMENT...", file=sys.stderr)
        return 2
    words, environ = command(ROOT, environment.apart(ROOT, arguments[0]), arguments, os.environ)
    os.chdir(ROOT)
    if arguments[:2] == ["airflow", "standalone"]:
        return attend(words, environ)
    return os.execve(words[0], words, environ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
