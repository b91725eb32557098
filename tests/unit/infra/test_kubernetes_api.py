"""Calls to a cluster that go wrong: each is an error that says where, what, and what to do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from infra.errors import PlatformError
from infra.kubernetes.api import CONFIG_MAP, JOB, POD, ROLLOUT, Cluster, Unreachable, connect

ANSWERS: dict[str, tuple[int, str]] = {}
ASKED: list[tuple[str, str, str, str]] = []


class _Answering(BaseHTTPRequestHandler):
    """Answers by ``ANSWERS``, and notes what it was asked."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        ASKED.append((self.command, self.path, self.headers.get("Content-Type", ""), body))
        assert self.headers.get("Authorization") == "Bearer secret"
        status, text = ANSWERS.get(self.path.partition("?")[0], (404, json.dumps({"message": "not found"})))
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_arguments: object) -> None:
        return


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    ANSWERS.clear()
    ASKED.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield connect(str(kubeconfig(tmp_path, server.server_port)), "here")
    finally:
        server.shutdown()
        server.server_close()


def kubeconfig(folder: Path, port: int) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "here",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def test_objects_are_got_listed_made_changed_and_deleted(cluster: Cluster) -> None:
    base = "/apis/argoproj.io/v1alpha1/namespaces/test/rollouts"
    ANSWERS[f"{base}/iris"] = (200, '{"kind": "Rollout"}')
    ANSWERS[f"{base}/iris/status"] = (200, "{}")
    ANSWERS["/api/v1/namespaces/test/pods"] = (200, '{"items": [{"metadata": {"name": "p"}}]}')
    ANSWERS["/apis/batch/v1/namespaces/test/jobs"] = (201, '{"kind": "Job"}')
    assert cluster.get(ROLLOUT, "iris", "test") == {"kind": "Rollout"}
    assert cluster.get(ROLLOUT, "other", "test") is None
    assert cluster.find(POD, "test", {"a": "b", "c": "d"})[0]["metadata"]["name"] == "p"
    assert ASKED[-1][1].endswith("?labelSelector=a%3Db%2Cc%3Dd")
    cluster.patch(ROLLOUT, "iris", "test", {"status": {"abort": True}}, part="status")
    assert ASKED[-1] == ("PATCH", f"{base}/iris/status", "application/merge-patch+json", '{"status": {"abort": true}}')
    assert cluster.create(JOB, {"kind": "Job"}, "test") == {"kind": "Job"}
    assert cluster.delete(ROLLOUT, "iris", "test") and not cluster.delete(CONFIG_MAP, "gone", "test")


def test_logs_and_what_the_cluster_knows(cluster: Cluster) -> None:
    ANSWERS["/api/v1/namespaces/test/pods/p/log"] = (200, "last words\n")
    ANSWERS["/api/v1/namespaces/test/pods/new/log"] = (400, '{"message": "is waiting to start"}')
    ANSWERS["/apis/argoproj.io/v1alpha1"] = (200, '{"resources": [{"name": "rollouts"}]}')
    ANSWERS["/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"] = (201, '{"status": {"allowed": false}}')
    assert cluster.log("p", "test", "server", lines=5, previous=True) == "last words"
    assert cluster.log("new", "test", "server", lines=5) == ""
    assert cluster.log("gone", "test", "server", lines=5) == ""
    assert cluster.kinds("argoproj.io/v1alpha1") == {"rollouts"}
    assert cluster.kinds("traefik.io/v1alpha1") == set()
    assert not cluster.may("patch", ROLLOUT, "test")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "this user is not allowed to: no"),
        (401, "this user is not allowed to: no"),
        (422, "the cluster refuses PATCH /api/v1/namespaces/test/pods/p: no"),
        (404, "the cluster does not know /api/v1/namespaces/test/pods/p: no"),
    ],
)
def test_a_refusal_is_told(cluster: Cluster, status: int, words: str) -> None:
    ANSWERS["/api/v1/namespaces/test/pods/p"] = (status, '{"message": "no"}')
    with pytest.raises(PlatformError) as raised:
        cluster.patch(POD, "p", "test", {})
    assert words in str(raised.value) and "context here" in str(raised.value) and not isinstance(raised.value, Unreachable)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_cluster_that_is_starting_is_worth_a_wait(cluster: Cluster, status: int) -> None:
    ANSWERS["/api/v1/namespaces/test/pods/p"] = (status, "not ready")
    with pytest.raises(Unreachable, match=f"answers {status}"):
        cluster.get(POD, "p", "test")


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="the cluster cannot be reached") as raised:
        connect(str(kubeconfig(tmp_path, 1)), None).get(POD, "p", "test")
    assert "Connection refused" in str(raised.value) and " object at 0x" not in str(raised.value)


def test_no_kubeconfig_and_no_such_context(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="there is no such kubeconfig") as raised:
        connect("nowhere/kubeconfig", None)
    assert "got:     'nowhere/kubeconfig'" in str(raised.value)
    with pytest.raises(PlatformError, match="there is no such context") as raised:
        connect(str(kubeconfig(tmp_path, 1)), "elsewhere")
    assert "got:     'elsewhere'" in str(raised.value) and "allowed: here" in str(raised.value)
    (tmp_path / "kubeconfig").write_text("{ not: [yaml", encoding="utf-8")
    with pytest.raises(PlatformError, match="cannot be used"):
        connect(str(tmp_path / "kubeconfig"), None)


def test_without_a_path_the_environment_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, 1)))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    found = connect(None, None)
    assert "KUBECONFIG" in found.where and "http://127.0.0.1:1" in found.where


def test_a_kubeconfigs_own_content_does_as_well_as_a_file(tmp_path: Path) -> None:
    content = json.dumps(yaml.safe_load(kubeconfig(tmp_path, 1).read_text(encoding="utf-8")))
    found = connect(content, None)
    assert found.where == "context current of the stack's own cluster (http://127.0.0.1:1)"
    with pytest.raises(PlatformError, match="cannot be used") as raised:
        connect(content, "elsewhere")
    assert "secret" not in str(raised.value)
