"""MLflow's server on PostgreSQL and an S3 server, all real and on this machine, each of which a test may stop and start again."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchain import ROOT, environment
from toolchain.cluster import binaries, packages

BUCKET = "mlflow"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks this machine itself, whatever proxy leads to others."""


@dataclass
class Program:
    """One process: started until it is ready, stopped, started again."""

    name: str
    command: list[str]
    log: Path
    is_ready: Callable[[], bool]
    environment: dict[str, str]
    user: str | None = None
    stop_signal: int = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None

    def start(self, *, seconds: float = 90) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=log, cwd=self.log.parent, user=self.user, start_new_session=True
            )
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            ended = self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                how = f"ended with {self.process.returncode}" if ended else f"is not ready after {seconds:.0f} s"
                raise AssertionError(f"{self.name} {how}:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            # Its children too: each part has a session of its own.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
        self.process = None


@dataclass
class Tracking:
    """The three parts, and what a person sees of them by MLflow's API and in the store's folder."""

    folder: Path
    port: int = field(default_factory=lambda: _free_port())
    store_port: int = field(default_factory=lambda: _free_port())
    keys: dict[str, str] = field(default_factory=lambda: {"ACCESS": secrets.token_hex(10), "SECRET": secrets.token_hex(20)})

    def __post_init__(self) -> None:
        self.database = self._database()
        self.store = self._store()
        self.server = self._server()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def bucket(self) -> Path:
        """The store keeps a bucket as a folder and an object as a file."""
        return self.folder / "store" / BUCKET

    def ask(self, path: str, body: Any = None, **query: str) -> dict[str, Any]:
        """One request to MLflow's API; its JSON."""
        url = f"{self.url}/api/2.0/mlflow/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body).encode()
        with DIRECT.open(urllib.request.Request(url, content, {"Content-Type": "application/json"}), timeout=20) as answer:
            return dict(json.load(answer))

    def versions(self, model: str) -> dict[int, dict[str, Any]]:
        """The registered versions of a model, each as MLflow tells it, its tags as a dictionary."""
        found = self.ask("model-versions/search", filter=f"name='{model}'").get("model_versions", [])
        return {int(each["version"]): each | {"tags": _pairs(each["tags"])} for each in found}

    def runs(self, experiment: str) -> list[dict[str, Any]]:
        """The runs of an experiment, newest first; none where there is no such experiment."""
        try:
            number = self.ask("experiments/get-by-name", experiment_name=experiment)["experiment"]["experiment_id"]
        except urllib.error.HTTPError:
            return []
        return list(self.ask("runs/search", {"experiment_ids": [number], "order_by": ["attribute.start_time DESC"]}).get("runs", []))

    def objects(self) -> dict[str, int]:
        """What the bucket holds, as the store itself lists it to a client: sizes by key."""
        import boto3
        from botocore.config import Config

        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.store_port}",
            region_name="us-east-1",
            aws_access_key_id=self.keys["ACCESS"],
            aws_secret_access_key=self.keys["SECRET"],
            config=Config(proxies={}),
        )
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", [])}

    def sql(self, statement: str, *, database: str = "postgres") -> str:
        """What PostgreSQL itself answers."""
        command = [str(packages.database_programs() / "psql"), "--no-psqlrc", "--tuples-only", "--no-align", f"--command={statement}"]
        done = subprocess.run(command, env={**self._client(), "PGDATABASE": database}, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self) -> None:
        """Make the database and the bucket, and start all three."""
        owner, programs = self._owner(), packages.database_programs()
        self.folder.chmod(0o711)
        folder = self.folder / "database"
        folder.mkdir(mode=0o700)
        if owner:
            shutil.chown(folder, owner)
        initialise = [str(programs / "initdb"), f"--pgdata={folder / 'data'}", "--username=mlflow", "--auth=trust", "--encoding=UTF8"]
        subprocess.run(
            [*initialise, "--locale=C.UTF-8", "--no-sync"], user=owner, cwd="/", env=_plain(), check=True, stdout=subprocess.DEVNULL
        )
        self.database.start()
        self.bucket.mkdir(parents=True, mode=0o700)
        self.store.start()
        self.sql("CREATE DATABASE tracked")
        self.server.start()

    def stop(self) -> None:
        for part in (self.server, self.store, self.database):
            part.stop()

    def _owner(self) -> str | None:
        """Who runs the database: it refuses root, and Debian's package makes a user for it."""
        return None if os.geteuid() else pwd.getpwnam("postgres").pw_name

    def _client(self) -> dict[str, str]:
        return {**_plain(), "PGHOST": str(self.folder / "database"), "PGUSER": "mlflow", "PGDATABASE": "postgres"}

    def _database(self) -> Program:
        folder, programs = self.folder / "database", packages.database_programs()
        # Reached by its socket alone, in a folder that is its user's.
        settings = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off", "dynamic_shared_memory_type": "mmap"}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]

        def is_ready() -> bool:
            return subprocess.run([str(programs / "pg_isready"), "-q"], env=self._client(), check=False).returncode == 0

        command = [str(programs / "postgres"), "-D", str(folder / "data"), *options]
        # SIGINT: ends at once, in good order, and leaves no shared memory.
        return Program("PostgreSQL", command, self.folder / "database.log", is_ready, _plain(), self._owner(), signal.SIGINT)

    def _store(self) -> Program:
        command = [str(binaries.store()), f"--port=127.0.0.1:{self.store_port}", "--health=/health", "--quiet"]
        command += ["posix", str(self.folder / "store")]
        keys = {"ROOT_ACCESS_KEY_ID": self.keys["ACCESS"], "ROOT_SECRET_ACCESS_KEY": self.keys["SECRET"]}
        return Program("the S3 server", command, self.folder / "store.log", lambda: _answers(self.store_port), {**_plain(), **keys})

    def _server(self) -> Program:
        """As a stack runs it in a cluster, in the environment of its image: clients have no key of the store."""
        programs = environment.apart(ROOT, "tracking") / "bin"
        command = [
            *(str(programs / "mlflow"), "server", "--host=127.0.0.1", f"--port={self.port}", "--workers=1"),
            "--backend-store-uri=postgresql+psycopg:///tracked?connect_timeout=5",
            *("--serve-artifacts", f"--artifacts-destination=s3://{BUCKET}", f"--allowed-hosts=127.0.0.1:{self.port}"),
        ]
        settings = {
            "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{self.store_port}",
            "AWS_ACCESS_KEY_ID": self.keys["ACCESS"],
            "AWS_SECRET_ACCESS_KEY": self.keys["SECRET"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "DO_NOT_TRACK": "true",
            "NO_PROXY": "127.0.0.1",
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        }
        return Program("MLflow", command, self.folder / "server.log", lambda: _answers(self.port), {**self._client(), **settings})


@contextlib.contextmanager
def tracking() -> Iterator[Tracking]:
    """The parts for the length of a block. Their folder is not below pytest's own, which the database's user may not enter."""
    folder = Path(tempfile.mkdtemp(prefix="mldelivery-tracking-"))
    made = Tracking(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), DIRECT.open(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _pairs(tags: list[dict[str, str]]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in tags}


def _plain() -> dict[str, str]:
    return {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
