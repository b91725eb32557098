"""What a preview takes for a change of a process that runs: that it does not answer, not that it is slow to answer."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.server import ReleaseServerProvider
from infra.local.service import ServiceProvider

SLOW_SECONDS = 2.2
"""Longer than a server that starts is waited for at each look."""


class Slow(http.server.BaseHTTPRequestHandler):
    """Answers late, as on a machine that has other things to do."""

    def do_GET(self) -> None:
        time.sleep(SLOW_SECONDS)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def slow() -> Iterator[int]:
    """The port of a server that answers late."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def service_changes(port: int) -> bool:
    props = {"name": "mlflow", "port": port, "ready_path": "/health"}
    return bool(ServiceProvider().diff("mlflow", {**props, "status": "running"}, props).changes)


def server_changes(port: int) -> bool:
    props = {"model": "iris", "release": 1}
    return bool(ReleaseServerProvider().diff("iris-1", {**props, "urls": [f"http://127.0.0.1:{port}"]}, {**props, "urls": None}).changes)


def test_what_answers_late_has_not_changed(slow: int) -> None:
    assert not service_changes(slow)
    assert not server_changes(slow)


def test_what_does_not_answer_has(nobody: int) -> None:
    assert service_changes(nobody)
    assert server_changes(nobody)


def test_so_has_what_was_down_or_is_to_be_another(slow: int) -> None:
    props = {"name": "mlflow", "port": slow, "ready_path": "/health"}
    assert ServiceProvider().diff("mlflow", {**props, "status": "down"}, props).changes
    assert ServiceProvider().diff("mlflow", {**props, "status": "running", "name": "other"}, props).changes
    assert ReleaseServerProvider().diff("iris-1", {"release": 1, "urls": None}, {"release": 1}).changes
