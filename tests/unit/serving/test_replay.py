from __future__ import annotations

import http.server
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.replay import Replay, probe, replay
from tests.serving.source import golden_line

pytestmark = pytest.mark.timeout(20)
LINES = [golden_line([5.1, 3.5, 1.4, 0.2], [0.5, 0.25, 0.25]), golden_line([6.0, 3.0, 5.0, 2.0], [0.25, 0.25, 0.5])]
Reply = Callable[[http.server.BaseHTTPRequestHandler, dict[str, Any]], tuple[int, dict[str, str], bytes]]


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    path = tmp_path / "golden.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


def right(_: http.server.BaseHTTPRequestHandler, request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    response = next(line["response"] for line in LINES if line["request"] == request)
    return 200, {"x-release": "7"}, json.dumps(response).encode()


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], str]]:
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(reply: Reply) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, headers, body = reply(self, request)
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                # A server may close a kept connection without saying so; the client must not call that a mismatch.
                self.close_connection = "x-close" in headers

            def log_message(self, *_: object) -> None: ...

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def run(url: str, golden: Path, **options: Any) -> Replay:
    return replay(url, golden, tolerance=1e-5, release=7, **options)


def test_right_answers_on_every_form_of_the_url(serve: Callable[[Reply], str], golden: Path) -> None:
    paths: list[tuple[str, str | None]] = []

    def reply(handler: http.server.BaseHTTPRequestHandler, request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        paths.append((handler.path, handler.headers.get("x-probe")))
        return right(handler, request)

    url = serve(reply)
    for path in ("", "/", "/iris", "/iris/predict"):
        found = run(url + path, golden, headers={"x-probe": "replay"})
        assert (found.total, found.matched, found.mismatches, found.is_right) == (2, 2, (), True)
        assert found.seconds > 0
    assert paths == [(path, "replay") for path in ("/predict", "/predict", "/iris/predict", "/iris/predict") for _ in LINES]


def wrong_label(_: object, request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = right(_, request)  # type: ignore[arg-type]
    return status, headers, body.replace(b'"label": "virginica"', b'"label": "setosa"')


WRONG: dict[str, tuple[Reply, int, str]] = {
    "wrong label on one": (wrong_label, 1, "label is 'setosa', expected 'virginica'"),
    "a probability off": (lambda h, r: (200, {"x-release": "7"}, right(h, r)[2].replace(b"0.25", b"0.2501")), 0, "within 1e-05"),
    "another release": (lambda h, r: (200, {"x-release": "6"}, right(h, r)[2]), 0, "release 6 answered, expected release 7"),
    "no release named": (lambda h, r: (200, {}, right(h, r)[2]), 0, "release unknown (no x-release header) answered"),
    "an error": (lambda h, r: (500, {"x-release": "7"}, right(h, r)[2]), 0, "status is 500, expected 200"),
    "no JSON": (lambda *_: (200, {"x-release": "7"}, b"<html>"), 0, "answer is '<html>'"),
    "nothing": (lambda *_: (0, {}, b""), 0, "gave no answer: Remote end closed connection"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_a_mismatch_in_words(serve: Callable[[Reply], str], golden: Path, name: str) -> None:
    reply, matched, words = WRONG[name]
    found = run(serve(reply), golden)
    assert (found.total, found.matched, len(found.mismatches), found.is_right) == (2, matched, 2 - matched, False)
    last = found.mismatches[-1]
    assert words in last.reason
    assert (last.line, last.request, last.expected) == (2, LINES[1]["request"], LINES[1]["response"])


def test_a_kept_connection_that_the_server_closes_is_no_mismatch(serve: Callable[[Reply], str], golden: Path) -> None:
    assert run(serve(lambda h, r: (200, {"x-release": "7", "x-close": "1"}, right(h, r)[2])), golden).is_right


def test_a_server_that_is_down_is_a_mismatch_on_every_line_and_soon(golden: Path) -> None:
    golden.write_text(golden.read_text() * 500)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    found = run(f"http://127.0.0.1:{port}", golden)
    assert (found.total, found.matched, len(found.mismatches)) == (1000, 0, 1000)
    assert "Connection refused" in found.mismatches[0].reason
    assert "not asked" in found.mismatches[999].reason


def test_an_address_that_leads_to_the_release_before_is_waited_for(serve: Callable[[Reply], str], golden: Path) -> None:
    asked = 0

    def late(handler: http.server.BaseHTTPRequestHandler, request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        nonlocal asked
        asked += 1
        status, headers, body = right(handler, request)
        return status, {"x-release": "6"} if asked < 3 else headers, body

    url = serve(late)
    assert run(url, golden, wait_seconds=10).is_right
    assert asked == 3 + len(LINES)


@pytest.mark.parametrize("wait_seconds", [0, 0.3])
def test_the_wait_for_an_address_has_an_end(golden: Path, wait_seconds: float) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        found = run(f"http://127.0.0.1:{nobody.getsockname()[1]}", golden, wait_seconds=wait_seconds)
    assert found.matched == 0 and "gave no answer" in found.mismatches[0].reason
    assert wait_seconds <= found.seconds < wait_seconds + 5


def test_a_server_that_hangs_costs_the_timeout_only(golden: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = run(f"http://127.0.0.1:{silent.getsockname()[1]}", golden, timeout_seconds=0.2)
    assert found.matched == 0
    assert "timed out" in found.mismatches[0].reason
    assert found.seconds < 2


@pytest.mark.parametrize("url", ["", "http://", "http://no such host", "http://127.0.0.1:99999", "ftp://127.0.0.1:1"])
def test_a_url_that_leads_nowhere_is_a_mismatch(golden: Path, url: str) -> None:
    assert run(url, golden, timeout_seconds=1).matched == 0


@pytest.mark.parametrize("text", [None, "", "{}"])
def test_no_golden_requests_is_never_a_pass(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "golden.jsonl"
    if text is not None:
        path.write_text(text)
    found = run("http://127.0.0.1:1", path)
    assert (found.total, found.matched, found.is_right, found.mismatches[0].line) == (0, 0, False, 0)


def test_nothing_replayed_is_not_right() -> None:
    assert not Replay(total=0, matched=0, seconds=0, mismatches=()).is_right


def test_replay_needs_nothing_heavy() -> None:
    code = "import sys, serving.replay; print({'numpy', 'onnxruntime', 'asyncio', 'uvicorn', 'pulumi'} & set(sys.modules) or 'light')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).resolve().parents[3])
    assert found.stdout == "light\n", found.stderr


def test_probes_begin_again_until_there_are_enough(golden: Path, serve: Callable[[Reply], str]) -> None:
    asked: list[str] = []

    def reply(handler: http.server.BaseHTTPRequestHandler, request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        asked.append(handler.headers["x-probe"])
        return right(handler, request)

    assert probe(serve(reply), golden, release=7, count=5) is None
    assert asked == ["rollout"] * 5


def test_a_5xx_is_left_to_the_gateways_counters(golden: Path, serve: Callable[[Reply], str]) -> None:
    assert probe(serve(lambda *_: (500, {}, b"")), golden, release=7, count=5) is None


def test_a_wrong_answer_to_a_probe_is_told(golden: Path, serve: Callable[[Reply], str]) -> None:
    wrong = probe(serve(lambda *_: (200, {"x-release": "6"}, b"{}")), golden, release=7, count=5)
    assert wrong is not None
    assert "release 6 answered, expected release 7" in wrong.reason


@pytest.mark.parametrize(("status", "code"), [(500, 0), (404, 1)])
def test_the_command_fails_on_a_wrong_probe_only(golden: Path, serve: Callable[[Reply], str], status: int, code: int) -> None:
    url = serve(lambda *_: (status, {}, b""))
    command = [sys.executable, "-m", "serving.replay", "--url", url, "--golden", str(golden), "--release", "7", "--probes", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout
