"""What an orchestrator is started with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.laptop import wait_until
from toolchain import orchestrators

VENV = Path("/cache/airflow-1")


def test_airflow_keeps_to_itself_unless_its_user_says_otherwise(tmp_path: Path) -> None:
    words, environ = orchestrators.command(tmp_path, VENV, ["airflow", "dags", "list"], {"PATH": "/bin"})
    assert words == ["/cache/airflow-1/bin/airflow", "dags", "list"]
    assert environ["PATH"] == "/cache/airflow-1/bin:/bin"
    assert environ["AIRFLOW_HOME"] == str(tmp_path / ".local" / "airflow")
    assert environ["AIRFLOW__CORE__DAGS_FOLDER"] == str(tmp_path / "pipelines" / "dags")
    assert environ["AIRFLOW__API__BASE_URL"].endswith(environ["AIRFLOW__API__PORT"])
    own = {"AIRFLOW_HOME": "/srv/airflow", "AIRFLOW__API__PORT": "9000"}
    _, environ = orchestrators.command(tmp_path, VENV, ["airflow"], own)
    assert own.items() <= environ.items()
    assert environ["AIRFLOW__API__BASE_URL"].endswith(":9000")


def test_kubeflow_runs_the_module_of_this_checkout(tmp_path: Path) -> None:
    words, environ = orchestrators.command(tmp_path, Path("/cache/kubeflow-1"), ["kubeflow", "run", "iris"], {})
    assert words == ["/cache/kubeflow-1/bin/python", "-m", "pipelines.kubeflow", "run", "iris"]
    assert environ["PYTHONPATH"] == str(tmp_path)


@pytest.mark.parametrize("arguments", [[], ["prefect"]])
def test_another_orchestrator_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert orchestrators.main(arguments) == 2
    assert "airflow|kubeflow" in capsys.readouterr().err


LEADER = """
import signal, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"])
signal.signal(signal.SIGINT, signal.SIG_IGN if sys.argv[1] == "deaf" else signal.default_int_handler)
try:
    print(worker.pid, flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("told once", flush=True)
"""
ATTEND = "import os, sys; from toolchain.orchestrators import attend; sys.exit(attend(sys.argv[1:], os.environ, patience_seconds=1))"


@pytest.mark.parametrize("leader", ["hears", "deaf"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_orchestrator_leaves_nothing_behind(leader: str, number: signal.Signals) -> None:
    # given
    process = subprocess.Popen(
        [sys.executable, "-c", ATTEND, sys.executable, "-c", LEADER, leader], text=True, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    worker = psutil.Process(int(process.stdout.readline()))
    # when
    os.killpg(process.pid, number)
    said, _ = process.communicate(timeout=20)
    # then
    assert process.returncode == 130
    assert said == ("told once\n" if leader == "hears" else "")
    # Killed, it is gone once the kernel has got to it; nobody may be there to reap it.
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, seconds=5, what="the worker is gone")


def test_an_orchestrator_that_fails_says_so() -> None:
    assert subprocess.run([sys.executable, "-c", ATTEND, "sh", "-c", "exit 3"], check=False, timeout=20).returncode == 3
