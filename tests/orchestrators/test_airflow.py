"""A DAG for each model: run once by Airflow itself with its own database, then by its scheduler on an asset event."""

from __future__ import annotations

import json
import os
import signal
import threading
from datetime import datetime
from typing import Any

import httpx
import pytest

from pipelines.orchestrated import models
from pipelines.steps import STEPS
from pipelines.store import locked
from tests.laptop import wait_until
from tests.orchestrators.checkout import FIRST, Checkout


@pytest.mark.timeout(600)
def test_a_dag_that_is_killed_and_run_again_repeats_nothing_that_was_done(checkout: Checkout, by_command: dict[str, Any]) -> None:
    status, said = checkout.run("airflow", "db", "migrate")
    assert status == 0, said
    checkout.kill_after("  evaluate ", *checkout.dag_test(until=FIRST))
    assert checkout.numbers() == []

    status, said = checkout.run(*checkout.dag_test(until=FIRST), seconds=300)
    assert status == 0, said
    for name in ("snapshot", "interface", "validate", "train", "test"):
        lines = [line for line in said.splitlines() if f"  {name:<10} " in line]
        assert lines and all("(done before)" in line for line in lines), said
    assert checkout.made(1) == by_command


class Server:
    """A running Airflow, asked over its REST API."""

    def __init__(self, checkout: Checkout) -> None:
        self._process = checkout.start("airflow", "standalone")
        self._said: list[str] = []
        # Its pipe must be read, or it stops when the pipe is full.
        self._reader = threading.Thread(target=lambda: self._said.extend(self._process.stdout or ()), daemon=True)
        self._reader.start()
        self._passwords = checkout.store / "airflow" / "simple_auth_manager_passwords.json.generated"
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{checkout.port}", timeout=60)
        wait_until(self._is_up, seconds=200, what="Airflow answers")
        token = self._client.post("/auth/token", json={"username": "admin", "password": json.loads(self._passwords.read_text())["admin"]})
        self._client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    def get(self, path: str) -> Any:
        return self._client.get(f"/api/v2{path}").raise_for_status().json()

    def send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        return self._client.request(method, f"/api/v2{path}", json=body).raise_for_status().json()

    def states(self, run: str) -> dict[str, tuple[str | None, int]]:
        """Task -> state and number of tries."""
        found = self.get(f"/dags/release-iris/dagRuns/{run}/taskInstances")["task_instances"]
        return {each["task_id"]: (each["state"], each["try_number"]) for each in found}

    def log(self, run: str, task: str) -> str:
        return json.dumps(self.get(f"/dags/release-iris/dagRuns/{run}/taskInstances/{task}/logs/1?full_content=true"))

    def wait_for(self, run: str, state: str) -> None:
        wait_until(
            lambda: self.get(f"/dags/release-iris/dagRuns/{run}")["state"] == state, seconds=240, what=f"{state}, but {self.states(run)}"
        )

    def stop(self) -> str:
        """End it as Ctrl-C does, which reaches the whole group of a terminal's processes; what it said."""
        self._client.close()
        os.killpg(self._process.pid, signal.SIGINT)
        self._process.wait(60)
        self._reader.join(10)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return "".join(self._said)

    def _is_up(self) -> bool:
        assert self._process.poll() is None, "".join(self._said)
        try:
            return self._passwords.exists() and self._client.get("/api/v2/monitor/health").json()["scheduler"]["status"] == "healthy"
        except (httpx.HTTPError, ValueError):
            return False


@pytest.mark.timeout(600)
def test_the_scheduler_retries_fails_and_goes_on_from_the_failed_step(checkout: Checkout, by_command: dict[str, Any]) -> None:
    for path in checkout.batch.parent.glob("*.csv"):
        if path.stem > FIRST:  # a run takes the batches up to its own day
            path.unlink()
    good = checkout.batch.read_bytes()
    checkout.spoil()
    server = Server(checkout)
    try:
        wanted = {f"release-{name}" for name in models(checkout.root)}
        wait_until(lambda: wanted <= {each["dag_id"] for each in server.get("/dags")["dags"]}, seconds=90, what="a DAG for each model")
        server.send("PATCH", "/dags/release-iris", {"is_paused": False})
        due = datetime.fromisoformat(server.get("/dags/release-iris")["next_dagrun_run_after"])
        assert (due.weekday(), due.hour, due.minute) == (0, 5, 0), "every Monday, at five"

        (asset,) = server.get("/assets?name_pattern=iris-data")["assets"]
        with locked(checkout.store, "iris"):
            server.send("POST", "/assets/events", {"asset_id": asset["id"]})
            wait_until(lambda: server.get("/dags/release-iris/dagRuns")["total_entries"] == 1, seconds=90, what="the event starts a run")
            (run,) = server.get("/dags/release-iris/dagRuns")["dag_runs"]
            assert run["run_type"] == "asset_triggered"
            name = run["dag_run_id"]
            wait_until(lambda: server.states(name)["snapshot"][0] == "up_for_retry", seconds=90, what="the first try meets a lock")
        server.wait_for(name, "failed")
        states = server.states(name)
        assert states["snapshot"][0] == "success" and states["snapshot"][1] > 1
        assert states["validate"] == ("failed", 1), "a gate that said no was asked again"
        assert all(states[step.name][0] == "upstream_failed" for step in STEPS[3:])
        assert "gate 'data': expect_column_values_to_be_of_type failed for column 'sepal_length_cm'" in server.log(name, "validate")

        checkout.batch.write_bytes(good)
        server.send("POST", "/dags/release-iris/clearTaskInstances", {"dry_run": False, "only_failed": True, "dag_run_id": name})
        server.wait_for(name, "success")
        assert server.states(name)["interface"][1] == 1, "what had succeeded is not run again"
        assert checkout.made(1) == by_command
    finally:
        said = server.stop()
    assert checkout.processes() == []
    assert "Traceback" not in said, said
