"""MLflow's alias follows the record of what serves. The server is a real one, over HTTP, with the few routes that this takes."""

from __future__ import annotations

import json
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from infra.config import ModelConfig, StackConfig, load
from infra.release import write
from pipelines import mirror as mirrors
from pipelines.mirror import mirror
from tests.unit.infra.test_release import document
from toolchain import ROOT
from toolchain.cluster.pki import Authority

LOCAL = "champion-local"


class Registry(ThreadingHTTPServer):
    """Versions by model and number, and aliases, behind the routes of MLflow's API."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[tuple[str, str], str] = {}
        self.aliases: dict[tuple[str, str], str] = {}
        self.asked: list[str] = []
        self.accounts: set[str | None] = set()
        self.broken: tuple[int, bytes] | None = None
        self.slow = 0.0

    def handle_error(self, *_: Any) -> None:
        """Nothing: a client that waits no longer is what a test is about."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _any(self) -> None:
        registry, parts = self.server, urlsplit(self.path)
        registry.asked.append(f"{self.command} {parts.path.removeprefix('/api/2.0/mlflow/')}")
        registry.accounts.add(self.headers["Authorization"])
        time.sleep(registry.slow)
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if registry.broken:
            self._answer(*registry.broken)
            return
        given: dict[str, str] = json.loads(body) if body else {key: values[0] for key, values in parse_qs(parts.query).items()}
        name = given["name"]
        if self.command == "DELETE":
            registry.aliases.pop((name, given["alias"]), None)
        elif (name, given["version"]) not in registry.runs:
            self._answer(404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such version"}')
            return
        elif self.command == "POST":
            registry.aliases[name, given["alias"]] = given["version"]
        found: dict[str, Any] = {}
        if self.command == "GET":
            here = [each for (model, each), version in registry.aliases.items() if (model, version) == (name, given["version"])]
            found = {"model_version": {"run_id": registry.runs[name, given["version"]], "aliases": here}}
        self._answer(200, json.dumps(found).encode())

    do_GET = do_POST = do_DELETE = _any  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Nothing: the test looks at what was asked."""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry in which version 7 is release 1 of iris and version 9 release 2; 8 is a candidate that became no release."""
    for name in ("URI", "USERNAME", "PASSWORD", "TOKEN", "SERVER_CERT_PATH"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")
    server = Registry()
    server.runs = {("iris", "7"): "run-1", ("iris", "8"): "of nobody", ("iris", "9"): "run-2"}
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout whose store has both releases."""
    for number, version in ((1, 7), (2, 9)):
        write(tmp_path / ".local", document(tmp_path / ".local", number, tracking={"run": f"run-{number}", "version": version}))
    return tmp_path


def stack(registry: Registry, champion: int | None = 1) -> StackConfig:
    """The local stack, its MLflow where the registry is."""
    found = load(ROOT, "local")
    ports = found.ports.model_copy(update={"mlflow": registry.server_address[1]})
    return found.model_copy(update={"ports": ports, "models": {"iris": served(champion)}})


def served(champion: int | None) -> ModelConfig:
    return ModelConfig.model_validate({"champion": champion or "none"})


def test_the_alias_follows_a_promotion_and_a_return(root: Path, registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    for champion, version in ((1, "7"), (2, "9"), (1, "7")):
        mirror(root, "local", stack(registry, champion))
        assert registry.aliases == {("iris", LOCAL): version}
        assert capsys.readouterr().out == f"iris: MLflow's champion-local is version {version}\n"


def test_with_nothing_to_do_nobody_is_asked(root: Path, registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    mirror(root, "local", stack(registry))
    registry.asked.clear()
    capsys.readouterr()
    mirror(root, "local", stack(registry))
    assert (registry.asked, capsys.readouterr().out) == ([], "")


def test_each_stack_has_its_own(root: Path, registry: Registry) -> None:
    mirror(root, "local", stack(registry, 1))
    mirror(root, "dev", stack(registry, 2))
    assert registry.aliases == {("iris", LOCAL): "7", ("iris", "champion-dev"): "9"}


def test_what_another_machine_wrote_already_is_left(root: Path, registry: Registry) -> None:
    registry.aliases["iris", LOCAL] = "7"
    mirror(root, "local", stack(registry))
    assert registry.asked == ["GET model-versions/get"]


def test_a_model_that_serves_no_longer_has_no_alias(root: Path, registry: Registry) -> None:
    mirror(root, "local", stack(registry, 1))
    mirror(root, "local", stack(registry, None))
    assert registry.aliases == {}
    mirror(root, "local", stack(registry, 1))
    mirror(root, "local", stack(registry).model_copy(update={"models": {}}))
    assert registry.aliases == {}


def test_a_number_that_is_another_run_s_gets_no_alias(root: Path, registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    """As where the stack's own MLflow came after its first release; nor does the alias stay at what no longer serves."""
    mirror(root, "local", stack(registry, 1))
    registry.runs["iris", "9"] = "somebody else's"
    capsys.readouterr()
    mirror(root, "local", stack(registry, 2))
    assert registry.aliases == {}
    assert f"iris: release 2 is registered elsewhere, so {registry.url} has no champion-local" in capsys.readouterr().out
    del registry.runs["iris", "7"]
    mirror(root, "local", stack(registry, 1))
    assert registry.aliases == {}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((500, b"<html>"), "answers 500"),
        ((401, b'{"message": "who are you?"}'), "answers 401 who are you?"),
        ((404, b"404 page not found"), "answers 404"),
        ((302, b""), "answers 302"),
        ((200, b"SSH-2.0"), "does not answer: Expecting value"),
    ],
)
def test_an_answer_that_is_none_is_said_in_a_line_and_the_next_update_does_it(
    root: Path, registry: Registry, capsys: pytest.CaptureFixture[str], answer: tuple[int, bytes], words: str
) -> None:
    registry.broken = answer
    mirror(root, "local", stack(registry))
    said = capsys.readouterr().out
    assert said.startswith("MLflow's alias champion-local is not up to date yet, the next `make up` does it: ") and words in said
    assert said.count("\n") == 1 and registry.aliases == {}
    registry.broken = None
    mirror(root, "local", stack(registry))
    assert registry.aliases == {("iris", LOCAL): "7"}


def test_a_slow_mlflow_holds_nobody_up(
    root: Path, registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "TIMEOUT_SECONDS", 0.2)
    registry.slow = 1.0
    began = time.monotonic()
    mirror(root, "local", stack(registry))
    assert time.monotonic() - began < 0.9
    assert "does not answer: timed out" in capsys.readouterr().out
    monkeypatch.setattr(mirrors, "BUDGET_SECONDS", 0.0)
    mirror(root, "local", stack(registry))
    assert "is slow" in capsys.readouterr().out


def test_ctrl_c_while_mlflow_is_waited_for_is_no_way_back(root: Path, registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    registry.slow = 2.0
    interrupt = threading.Timer(0.1, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
    interrupt.start()
    mirror(root, "local", stack(registry))
    interrupt.join()
    assert "the next `make up` does it: interrupted" in capsys.readouterr().out


def test_what_one_model_s_alias_waits_for_is_not_what_is_done(root: Path, registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    """The first of two models is noted although the second is refused."""
    made = document(root / ".local", 1, model="wine", tracking={"run": "run-w", "version": 1})
    write(root / ".local", made)
    both = stack(registry).model_copy(update={"models": {name: served(1) for name in ("iris", "wine")}})
    registry.runs["wine", "1"] = "run-w"
    (root / ".local" / "releases" / "wine" / "1.yaml").write_text("altered")
    mirror(root, "local", both)
    assert registry.aliases == {("iris", LOCAL): "7"} and "not up to date yet" in capsys.readouterr().out
    (root / ".local" / "releases" / "wine" / "1.yaml").unlink()
    write(root / ".local", made)
    registry.asked.clear()
    mirror(root, "local", both)
    assert registry.aliases == {("iris", LOCAL): "7", ("wine", LOCAL): "1"}
    assert registry.asked == ["GET model-versions/get", "POST registered-models/alias"]


def test_the_account_of_the_environment_is_used(root: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.url)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "a")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "b")
    mirror(root, "local", load(ROOT, "local").model_copy(update={"models": {"iris": served(1)}}))
    assert registry.aliases == {("iris", LOCAL): "7"} and registry.accounts == {"Basic YTpi"}


def test_the_account_in_the_address_is_used_and_neither_shown_nor_kept(
    root: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As MLflow's own client takes it."""
    one = load(ROOT, "local").model_copy(update={"models": {"iris": served(1)}})
    for address in (registry.url, "http://127.0.0.1:9"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address.replace("http://", "http://a:hunter2%40@"))
        mirror(root, "local", one)
    assert registry.aliases == {("iris", LOCAL): "7"} and registry.accounts == {"Basic YTpodW50ZXIyQA=="}
    assert "hunter2" not in (root / ".local" / "mirrored" / "local.json").read_text(encoding="utf-8")
    said = capsys.readouterr().out
    assert "http://127.0.0.1:9 does not answer" in said and "hunter2" not in said


def test_a_cluster_s_server_is_trusted_by_its_authority_and_asked_with_its_account(
    root: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority.new()
    key, certificate = authority.issue("gateway", hosts=["127.0.0.1"])
    (root / "server.pem").write_bytes(key + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(root / "server.pem")
    registry.socket = context.wrap_socket(registry.socket, server_side=True)
    (root / "account.json").write_text('{"username": "a", "password": "b"}')
    found = load(ROOT, "cluster")
    assert found.kubernetes is not None and found.kubernetes.tracking is not None
    there = {"url": registry.url.replace("http:", "https:"), "account": "account.json"}
    kubernetes = found.kubernetes.model_copy(
        update={
            "tracking": found.kubernetes.tracking.model_copy(update=there),
            "gateway": found.kubernetes.gateway.model_copy(update={"ca": "ca.pem"}),
        }
    )
    cluster = found.model_copy(update={"kubernetes": kubernetes, "models": {"iris": served(1)}})
    (root / "ca.pem").write_bytes(Authority.new().certificate.public_bytes(Encoding.PEM))
    mirror(root, "cluster", cluster)
    assert "CERTIFICATE_VERIFY_FAILED" in capsys.readouterr().out and registry.asked == []
    (root / "ca.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    mirror(root, "cluster", cluster)
    assert registry.aliases == {("iris", "champion-cluster"): "7"} and registry.accounts == {"Basic YTpi"}


def test_without_a_server_nobody_is_told(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    mirror(root, "local", load(ROOT, "local").model_copy(update={"models": {"iris": served(1)}}))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    cluster = load(ROOT, "cluster")
    assert cluster.kubernetes is not None
    mirror(root, "cluster", cluster.model_copy(update={"kubernetes": cluster.kubernetes.model_copy(update={"tracking": None})}))
    assert capsys.readouterr().out == "" and not (root / ".local" / "mirrored").exists()


def test_an_account_s_file_that_is_missing_is_said_in_a_line(root: Path, registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    found = load(ROOT, "cluster")
    assert registry.asked == []
    mirror(root, "cluster", found.model_copy(update={"models": {"iris": served(1)}}))
    assert "champion-cluster is not up to date yet" in (said := capsys.readouterr().out) and "the account for MLflow" in said
