"""What an orchestrator is started with."""

from __future__ import annotations

from pathlib import Path

import pytest

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
