"""What a step says of an MLflow that refuses: the words that its client and its transport really use, in one line, and the next act."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pipelines.failures import StepFailed
from pipelines.register import reached, refusal
from pipelines.work import Work

POOL = "HTTPConnectionPool(host='127.0.0.1', port=5000): Max retries exceeded with url: "
START = "start it (make up), or correct MLFLOW_TRACKING_URI"


@pytest.mark.parametrize(
    ("text", "reason", "act"),
    [
        (
            "API request to http://127.0.0.1:5000/api/2.0/mlflow/runs/get failed with exception "
            f"{POOL}/api/2.0/mlflow/runs/get?run_id=1 (Caused by NewConnectionError(\"HTTPConnection(host='127.0.0.1', port=5000): "
            'Failed to establish a new connection: [Errno 111] Connection refused"))',
            "Failed to establish a new connection: [Errno 111] Connection refused",
            START,
        ),
        (
            "API request to https://there.test/mlflow/api/2.0/mlflow/runs/get failed with exception "
            f"{POOL}/api/2.0/mlflow/runs/get?run_id=1 (Caused by ResponseError('too many 500 error responses'))",
            "too many 500 error responses to /mlflow/api/2.0/mlflow/runs/get",
            "bring back what the server stands on (most likely its database; its log says more)",
        ),
        (
            "API request to http://127.0.0.1:5000/api/2.0/mlflow-artifacts/artifacts/1/models/m-1/MLmodel failed with exception "
            f"{POOL}/api/2.0/mlflow-artifacts/artifacts/1/models/m-1/MLmodel (Caused by ResponseError('too many 503 error responses'))",
            "too many 503 error responses to /api/2.0/mlflow-artifacts/artifacts/1/models/m-1/MLmodel",
            "bring back what the server stands on (most likely its store of artifacts; its log says more)",
        ),
        ("(sqlite3.OperationalError)\n database or disk is full", "ValueError: (sqlite3.OperationalError) database or disk is full", None),
        ("INVALID_PARAMETER_VALUE: no", "ValueError: INVALID_PARAMETER_VALUE: no", START),
        ("x" * 1_000, f"ValueError: {'x' * 288}", START),
    ],
)
def test_the_reason_is_one_line_and_the_act_fits(text: str, reason: str, act: str | None) -> None:
    assert refusal(ValueError(text)) == (reason, act or "free some space")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://ann:hunter2@mlflow.test:5000", "http://…@mlflow.test:5000"),
        ("https://hunter2@mlflow.test/a@b", "https://…@mlflow.test/a@b"),
        ("postgresql://ann:p@ss-hunter2@db.test/mlflow", "postgresql://…@db.test/mlflow"),
    ],
)
def test_the_account_in_an_address_is_not_shown(work: Callable[..., Work], monkeypatch: pytest.MonkeyPatch, uri: str, shown: str) -> None:
    client = SimpleNamespace(set_tracking_uri=len, set_registry_uri=len, MlflowClient=dict)
    monkeypatch.setitem(sys.modules, "mlflow", client)
    with pytest.raises(StepFailed) as caught, reached(replace(work(), tracking=uri), "register"):
        raise ValueError(f"{uri} said no, and so did {uri}/api")
    assert "hunter2" not in str(caught.value)
    assert caught.value.where == shown
    assert f"{shown} said no" in caught.value.what
