"""The built Bento under stock ``bentoml serve`` gives the very answers of ``python -m serving``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.process import Answer, ask, environment, request, running
from tests.serving.test_bad_requests import BODIES
from tests.serving.test_odd_requests import RIGHT

pytestmark = pytest.mark.timeout(300)
PATHS = ("/livez", "/readyz", "/predict", "/", "/docs.json", "/schema.json", "/x")
BENTOML = str(Path(sys.executable).with_name("bentoml"))


@pytest.fixture(scope="module")
def bento_port(onnx_src: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A stock ``bentoml serve`` of the Bento that ``bentoml build`` makes of a release's folder."""
    home = tmp_path_factory.mktemp("bentoml")
    env = {**environment(), "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    src = Path(shutil.copytree(onnx_src, home / "build"))
    (src / "bentofile.yaml").write_text('service: "service:ReleaseService"\ninclude: ["service.py", "serving/", "release/"]\n')
    subprocess.run([BENTOML, "build", "--version", "7", "."], cwd=src, env=env, check=True, capture_output=True, timeout=180)
    built = home / "bentos" / "iris" / "7" / "src"
    assert {path.name for path in built.iterdir()} >= {"service.py", "serving", "release"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = (home / "serve.log").open("wb")
    process = subprocess.Popen([BENTOML, "serve", "iris:7", "--port", str(port), "--host", "127.0.0.1"], env=env, stdout=log, stderr=log)
    try:
        while True:
            assert process.poll() is None, (home / "serve.log").read_text()
            try:
                if ask(port, request("GET", "/readyz"))[0].status == 200:
                    break
            except (OSError, IndexError):
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()
            log.close()


def comparable(found: list[Answer]) -> list[tuple[int, dict[str, str], bytes]]:
    return [(answer.status, {name: value for name, value in answer.headers.items() if name != "date"}, answer.body) for answer in found]


def test_the_same_answers_and_headers(onnx_src: Path, bento_port: int) -> None:
    named = ["x-request-id: same"]
    requests = {
        **{name: data.replace(b"host: test", b"host: test\r\nx-request-id: same") for name, data in RIGHT.items()},
        **{name: request(body=body, headers=named) for name, (_, body) in BODIES.items()},
        **{path: request("GET", path, headers=named) for path in PATHS},
        "wrong type": request(body=b"{}", headers=[*named, "content-type: text/plain"]),
    }
    # BentoML's uvicorn is free to take the upgrade, since its environment has a websocket library.
    del requests["websocket upgrade is ignored"]
    with running(onnx_src) as ours:
        for name, data in requests.items():
            assert comparable(ask(bento_port, data)) == comparable(ask(ours.port, data)), name
    assert len(requests) > 100


def test_metrics_are_the_release_s(bento_port: int) -> None:
    assert b'serving_requests_total{model="iris"' in ask(bento_port, request("GET", "/metrics"))[0].body


def test_the_service_imports_no_training_library(onnx_src: Path) -> None:
    code = "import sys, service; print(sorted({'sklearn', 'pandas', 'mlflow', 'skops'} & set(sys.modules)))"
    env = {**environment(), "BENTOML_DO_NOT_TRACK": "True", "HOME": os.environ.get("HOME", "/")}
    found = subprocess.run([sys.executable, "-c", code], cwd=onnx_src, env=env, capture_output=True, text=True, timeout=60)
    assert found.stdout.strip() == "[]", found.stderr
