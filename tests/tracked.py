"""MLflow's server of a test's own stack on the real cluster, with a namespace, a database and a bucket that no other stack has."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.clustered import CLUSTER, GATEWAY_PORT, NODE, ClusterStack
from tests.laptop import ROOT
from toolchain.cluster import Place
from toolchain.cluster.packages import database_programs
from toolchain.cluster.tracking import documents


@dataclass
class Tracked:
    """A stack whose MLflow has a namespace, a database and a path on the gateway of one name that is its own, and a bucket."""

    stack: ClusterStack
    name: str
    bucket_name: str

    def configure(self, **changes: Any) -> None:
        """Let the stack's file ask for it: as the repository's own cluster does, in this one's places."""
        given = yaml.safe_load((ROOT / "Pulumi.cluster.yaml").read_text(encoding="utf-8"))
        tracking = given["config"]["mldelivery:kubernetes"]["tracking"]
        tracking |= {"url": self.url, "namespace": self.name, "account": str(Place().accounts / "users.json"), **changes}
        tracking["database"]["name"], tracking["artifacts"]["bucket"] = self.name, self.bucket_name
        document = yaml.safe_load(self.stack.config.read_text(encoding="utf-8"))
        document["config"]["mldelivery:kubernetes"]["tracking"] = tracking
        self.stack.config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    @property
    def url(self) -> str:
        return f"https://{NODE}:{GATEWAY_PORT}/{self.name}"

    @property
    def account(self) -> dict[str, str]:
        return dict(json.loads((Place().accounts / "users.json").read_text()))

    @property
    def bucket(self) -> Path:
        return Place().store / self.bucket_name

    def ask(self, method: str, path: str, *, user: tuple[str, str] | None = None, body: Any = None, host: str = "") -> tuple[int, bytes]:
        """One request through the gateway, to a path below the server's own."""
        context = ssl.create_default_context(cafile=str(CLUSTER / "pki" / "ca.crt"))
        connection = http.client.HTTPSConnection(NODE, GATEWAY_PORT, timeout=30, context=context)
        headers = {"Content-Type": "application/json", **({"Host": host} if host else {})}
        if user is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(user).encode()).decode()
        try:
            connection.request(method, f"/{self.name}{path}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def enter(self, method: str, path: str, *, body: Any = None) -> tuple[int, bytes]:
        """The same with the account."""
        return self.ask(method, path, user=(self.account["username"], self.account["password"]), body=body)

    def client(self, code: str) -> str:
        """Run a few lines with MLflow's own client, told where the server is as a step of a release is told."""
        told = (
            "import json, os; from pathlib import Path; from infra.config import load; from pipelines.tracking import use\n"
            f"use(Path.cwd(), '{self.stack.stack}', load(Path.cwd(), '{self.stack.stack}'))\n"
            "import mlflow; client = mlflow.MlflowClient()\n"
        )
        environment = {**self.stack.environment, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
        command = [sys.executable, "-W", "ignore", "-c", told + textwrap.dedent(code)]
        done = subprocess.run(command, cwd=self.stack.root, env=environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sql(self, statement: str, database: str = "") -> str:
        """What PostgreSQL answers to the server's own user."""
        password = json.loads((Place().accounts / "database.json").read_text())["password"]
        where = f"host={NODE} user=mlflow dbname={database or self.name} sslmode=verify-full sslrootcert={CLUSTER / 'pki' / 'ca.crt'}"
        command = [str(database_programs() / "psql"), where, "--no-psqlrc", "--tuples-only", "--no-align", f"--command={statement}"]
        done = subprocess.run(command, env={**os.environ, "PGPASSWORD": password}, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        command = ["kubectl", f"--kubeconfig={Place().kubeconfig}", f"--namespace={self.name}", *arguments]
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0 or not check, f"{arguments}: {done.stderr}"
        return done.stdout

    def pods(self) -> list[dict[str, Any]]:
        found = json.loads(self.kubectl("get", "pods", "--selector=app.kubernetes.io/name=mlflow", "--output=json"))["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready(self) -> int:
        """How many pods are ready."""
        return sum(
            each["type"] == "Ready" and each["status"] == "True" for pod in self.pods() for each in pod["status"].get("conditions", [])
        )


@contextlib.contextmanager
def tracked_by(stack: ClusterStack, *, bucket: str = "") -> Iterator[Tracked]:
    """What a stack's server needs and others make, for the length of a block: its database, its bucket, its namespace with the Secrets."""
    name = f"{stack.namespace}-mlflow"
    made = Tracked(stack, name, bucket or name)
    made.bucket.mkdir(mode=0o700)
    try:
        made.sql(f'CREATE DATABASE "{made.name}"', database="mlflow")
        made.kubectl("apply", "--server-side", "--filename=-", text=documents(Place(), made.name))
        yield made
    finally:
        made.kubectl("delete", "namespace", made.name, "--wait=true", check=False)
        shutil.rmtree(made.bucket)
        made.sql(f'DROP DATABASE IF EXISTS "{made.name}" WITH (FORCE)', database="mlflow")
