"""What a release's server promises to those who run it: answers, headers, readiness, metrics, request log, start and stop."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.__main__ import SHUTDOWN_SECONDS
from serving.replay import replay
from tests.serving.process import GOOD_BODY, Server, ask, command, environment, get, predict, request, running
from tests.serving.source import GOOD_ROW, release_json

pytestmark = pytest.mark.timeout(180)


def test_the_golden_requests_are_answered_as_recorded(server: Server, onnx_src: Path) -> None:
    found = replay(server.url, onnx_src / "release" / "golden.jsonl", tolerance=1e-5, release=7)
    assert (found.total, found.matched, found.mismatches, found.is_right) == (30, 30, (), True)


def test_an_answer_names_release_model_and_request(server: Server) -> None:
    answer = predict(server.port, x_request_id="order-12.a_B")
    assert answer.json["predictions"][0]["label"] == "setosa"
    assert sum(answer.json["predictions"][0]["probabilities"].values()) == pytest.approx(1)
    named = {name: answer.headers[name] for name in ("x-release", "x-model", "x-request-id", "content-type")}
    assert named == {"x-release": "7", "x-model": "iris", "x-request-id": "order-12.a_B", "content-type": "application/json"}


@pytest.mark.parametrize("given", ["", "a b", "é", "x" * 129, "<script>", "a\tb"])
def test_a_request_id_that_could_hurt_a_log_is_replaced(server: Server, given: str) -> None:
    answer = ask(server.port, request(body=GOOD_BODY, headers=[f"x-request-id: {given}"]))[0]
    assert answer.status == 200
    assert re.fullmatch("[0-9a-f]{24}", answer.headers["x-request-id"])


def test_health_paths_answer_get_and_head(server: Server) -> None:
    assert (get(server.port, "/livez").status, get(server.port, "/readyz").status) == (200, 200)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(request("HEAD", "/readyz", headers=["connection: close"]))
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n")


def test_metrics_count_answers_by_status_and_probes_apart(server: Server) -> None:
    def counts() -> dict[str, float]:
        lines = get(server.port, "/metrics").body.decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("serving_")}

    before = counts()
    predict(server.port)
    predict(server.port, x_probe="rollout")
    predict(server.port, b"{}")
    after = counts()
    grown = {
        name: after[name] - before[name] for name in after if after[name] > before[name] and "bucket" not in name and "_sum" not in name
    }
    assert grown == {
        'serving_requests_total{model="iris",probe="false",release="7",status="200"}': 1,
        'serving_requests_total{model="iris",probe="true",release="7",status="200"}': 1,
        'serving_requests_total{model="iris",probe="false",release="7",status="400"}': 1,
        'serving_predictions_total{label="setosa",model="iris",release="7"}': 2,
        'serving_request_seconds_count{model="iris",release="7"}': 2,
    }


def test_the_server_of_an_onnx_release_loads_nothing_heavy(server: Server) -> None:
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "onnxruntime" in mapped
    assert not [name for name in ("sklearn", "scipy", "pandas", "pyarrow", "grpc", "pydantic") if f"/{name}" in mapped]


def test_the_request_log_holds_features_prediction_and_ids(onnx_src: Path, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "iris-7-0.jsonl"
    with running(onnx_src, "--request-log", str(log)) as server:
        predict(server.port, x_request_id="first")
        predict(server.port, b'{"rows": []}', x_request_id="refused")
        predict(server.port, json.dumps({"rows": [GOOD_ROW, GOOD_ROW]}).encode(), x_request_id="second", x_probe="rollout")
    first, second = [json.loads(line) for line in log.read_text().splitlines()]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", first.pop("at"))
    assert 0 < first.pop("ms") < 1000
    assert first == {
        "request_id": "first",
        "model": "iris",
        "release": 7,
        "probe": False,
        "rows": [[5.1, 3.5, 1.4, 0.2]],
        "predictions": ["setosa"],
    }
    assert (second["request_id"], second["probe"], len(second["rows"]), second["predictions"]) == ("second", True, 2, ["setosa"] * 2)


def slow_to_load(onnx_src: Path, folder: Path, seconds: float) -> Path:
    """A copy of a release whose own code takes its time to load the model."""
    src = Path(shutil.copytree(onnx_src, folder / "src"))
    code = src / "serving" / "model.py"
    code.write_text(code.read_text().replace("    path = folder", f"    __import__('time').sleep({seconds})\n    path = folder", 1))
    return src


def test_a_server_is_alive_at_once_and_ready_only_with_its_model(onnx_src: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        command("--port", str(port)), cwd=slow_to_load(onnx_src, tmp_path, 5), env=environment(), stdout=subprocess.DEVNULL
    )
    try:
        alive = first_answer(process, port)
        assert (alive, get(port, "/readyz").status, predict(port).status, get(port, "/metrics").status) == (200, 503, 503, 200)
        while get(port, "/readyz").status != 200:
            time.sleep(0.01)
        assert predict(port).status == 200
    finally:
        process.terminate()
        assert process.wait(30) == 0


def first_answer(process: subprocess.Popen[str] | subprocess.Popen[bytes], port: int) -> int:
    """Wait until a server that starts listens; the status of its /livez."""
    while True:
        assert process.poll() is None
        try:
            return get(port, "/livez").status
        except ConnectionRefusedError:
            time.sleep(0.01)


def test_the_skops_fallback_answers_the_same(skops_src: Path) -> None:
    with running(skops_src) as server:
        found = replay(server.url, skops_src / "release" / "golden.jsonl", tolerance=1e-9, release=7)
    assert (found.matched, found.mismatches) == (30, ())


def spoil(path: str, change: Callable[[bytes], bytes] | None) -> Callable[[Path], None]:
    def act(release: Path) -> None:
        file = release / path
        if change is None:
            file.unlink()
        else:
            file.write_bytes(change(file.read_bytes()))

    return act


def with_json(**changes: object) -> Callable[[Path], None]:
    return spoil("release.json", lambda _: json.dumps(release_json(**changes)).encode())


SPOILED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no release.json": (spoil("release.json", None), "release.json cannot be read"),
    "half a release.json": (spoil("release.json", lambda text: text[:100]), "release.json is not a release"),
    "unknown key": (with_json(colour="blue"), "`colour`"),
    "newer format": (with_json(format=2), "format is 2, this server reads 1"),
    "no model": (spoil("model.onnx", None), "model.onnx cannot be read"),
    "half a model": (spoil("model.onnx", lambda data: data[: len(data) // 2]), "model.onnx does not load"),
    "a model of five inputs": (
        with_json(inputs=[*release_json()["inputs"], {"name": "x", "type": "float", "min": 0, "max": 1}]),
        "input of 5",
    ),
    "a model of four labels": (with_json(output={"type": "class", "labels": ["a", "b", "c", "d"]}), "output of 4"),
    "swapped labels": (with_json(output={"type": "class", "labels": ["virginica", "versicolor", "setosa"]}), "label is 'virginica'"),
    "no golden": (spoil("golden.jsonl", None), "golden.jsonl cannot be read"),
    "empty golden": (spoil("golden.jsonl", lambda _: b""), "holds no golden request"),
    "half a golden": (spoil("golden.jsonl", lambda text: text[:50]), "golden.jsonl line 1"),
    "another answer": (spoil("golden.jsonl", lambda text: text.replace(b"0.98", b"0.97", 1)), "does not answer as when it was packaged"),
    "golden out of range": (spoil("golden.jsonl", lambda text: text.replace(b"5.1", b"99", 1)), "refuses the request with 422"),
    "runtime without model": (with_json(runtime="skops"), "model.skops cannot be read"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_release_that_cannot_serve_says_so_in_one_line(onnx_src: Path, tmp_path: Path, name: str) -> None:
    change, words = SPOILED[name]
    src = Path(shutil.copytree(onnx_src, tmp_path / "src"))
    change(src / "release")
    assert_one_line(src, words)


def test_a_skops_model_of_untrusted_types_is_refused(skops_src: Path, tmp_path: Path) -> None:
    src = Path(shutil.copytree(skops_src, tmp_path / "src"))
    with_json(runtime="skops")(src / "release")
    assert_one_line(src, "fractions.Fraction")


def assert_one_line(src: Path, words: str, *arguments: str) -> None:
    found = subprocess.run(command("--port", "0", *arguments), cwd=src, env=environment(), capture_output=True, text=True, timeout=30)
    assert found.returncode == 1
    assert words in found.stderr
    assert found.stderr.startswith("serving: ") and found.stderr.count("\n") == 1
    assert found.stdout == ""


def test_a_taken_port_is_named(server: Server, onnx_src: Path) -> None:
    assert_one_line(onnx_src, f"port {server.port} on 127.0.0.1 cannot be had: Address already in use", "--port", str(server.port))
    assert predict(server.port).status == 200


@pytest.mark.parametrize("port", ["99999", "-1", "http", "80.5", ""])
def test_a_port_that_does_not_exist_is_refused(onnx_src: Path, port: str) -> None:
    found = subprocess.run(command(f"--port={port}"), cwd=onnx_src, env=environment(), capture_output=True, text=True, timeout=30)
    assert found.returncode == 2
    assert "is not a port (0 to 65535)" in found.stderr


@pytest.mark.parametrize("log", ["/proc/none/log.jsonl", "."])
def test_a_request_log_that_cannot_be_written_is_named(onnx_src: Path, log: str) -> None:
    assert_one_line(onnx_src, f"the request log {log} cannot be written", "--request-log", log)


def test_a_full_disk_does_not_hurt_an_answer(onnx_src: Path) -> None:
    with running(onnx_src, "--request-log", "/dev/full") as server:
        assert [predict(server.port).status for _ in range(20)] == [200] * 20
        deadline = time.monotonic() + 30
        while b'serving_request_log_dropped_total{model="iris",release="7"} 20.0' not in get(server.port, "/metrics").body:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def begin_request(server: Server) -> socket.socket:
    """A connection on which the server has read a request's head, and waits for the last bytes of its body."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    head = request(body=GOOD_BODY, headers=["expect: 100-continue"])[: -len(GOOD_BODY)]
    connection.sendall(head)
    # Said when the body is first asked for.
    assert connection.recv(100).startswith(b"HTTP/1.1 100")
    connection.sendall(GOOD_BODY[:-10])
    return connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_finishes_what_is_in_flight(onnx_src: Path, number: signal.Signals) -> None:
    with running(onnx_src) as server:
        idle = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        idle.sendall(request("GET", "/livez"))
        assert idle.recv(4096).startswith(b"HTTP/1.1 200")
        busy = begin_request(server)
        server.process.send_signal(number)
        started = time.monotonic()
        assert b"".join(iter(lambda: idle.recv(4096), b"")) in (b"", b'{"status": "alive"}')
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=20)
        busy.sendall(GOOD_BODY[-10:])
        answer = b"".join(iter(lambda: busy.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer and b"setosa" in answer
        assert server.process.wait(30) == 0
        assert time.monotonic() - started < SHUTDOWN_SECONDS, "it waited for the client that asked nothing"
        idle.close()
        busy.close()


def test_stopping_waits_a_bounded_time_for_a_client_that_hangs(onnx_src: Path, tmp_path: Path) -> None:
    src = Path(shutil.copytree(onnx_src, tmp_path / "src"))
    spoil("receive.py", lambda code: code.replace(b"BODY_SECONDS = 10.0", b"BODY_SECONDS = 1.5"))(src / "serving")
    with running(src) as server, begin_request(server) as connection:
        started = time.monotonic()
        server.process.terminate()
        assert b"408" in connection.recv(100)
        assert server.process.wait(30) == 0
        assert time.monotonic() - started < SHUTDOWN_SECONDS


def test_stopping_while_the_model_loads(onnx_src: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    src = slow_to_load(onnx_src, tmp_path, 3)
    process = subprocess.Popen(
        command("--port", str(port)), cwd=src, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert first_answer(process, port) == 200
    process.terminate()
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_the_replay_command_says_what_is_wrong_and_exits_one(server: Server, onnx_src: Path, tmp_path: Path) -> None:
    def run(golden: Path, release: int) -> subprocess.CompletedProcess[str]:
        arguments = ["--url", server.url, "--golden", str(golden), "--release", str(release)]
        return subprocess.run(
            [sys.executable, "-m", "serving.replay", *arguments], cwd=onnx_src, capture_output=True, text=True, timeout=30
        )

    golden = onnx_src / "release" / "golden.jsonl"
    right = run(golden, 7)
    assert (right.returncode, right.stderr) == (0, "")
    assert re.fullmatch(r"30 of 30 golden requests answered as recorded by release 7, in \d+\.\d\d s\n", right.stdout)
    other = run(golden, 8)
    assert other.returncode == 1
    assert "line 1: release 7 answered, expected release 8" in other.stderr
    assert "and 10 more" in other.stderr
    changed = tmp_path / "golden.jsonl"
    changed.write_text(golden.read_text().replace('"label": "setosa"', '"label": "virginica"', 1))
    wrong = run(changed, 7)
    assert (wrong.returncode, wrong.stderr) == (1, "line 1: answer.predictions[0].label is 'setosa', expected 'virginica'\n")
    assert wrong.stdout.startswith("29 of 30")
