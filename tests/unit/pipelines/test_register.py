"""What a step says of an MLflow that refuses: the words that its client and its transport really use, in one line, and the next act."""

from __future__ import annotations

import pytest

from pipelines.register import refusal

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
