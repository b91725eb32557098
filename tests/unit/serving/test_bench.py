"""The measuring itself, on fakes: that a table shows a missed goal, and that the client refuses to count wrong answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.bench import serving_load as load
from tests.bench.serving import _row, table

pytestmark = pytest.mark.timeout(20)


@pytest.mark.parametrize(("value", "goal", "reached"), [(3, 3, True), (3.1, 3, False), (30, -30, True), (29, -30, False), (1, None, None)])
def test_a_goal_is_reached_or_not(value: float, goal: float | None, reached: bool | None) -> None:
    assert _row("name", value, "x", goal)["reached"] is reached


def test_the_table_says_which_goal_was_missed() -> None:
    text = table([_row("fast", 2, "x", 3, floor=1), _row("slow", 9, "s", 3)])
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["fast", "2", "x", "<=", "3", "1", "reached"],
        ["slow", "9", "s", "<=", "3", "NOT", "REACHED"],
    ]


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], int]]:
    """A server that answers whatever is sent with the same bytes."""
    listeners = []

    def start(answer: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while connection.recv(65536):
                    connection.sendall(answer[:20])
                    connection.sendall(answer[20:])
                    if not answer:
                        return

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.close()


def test_the_client_counts_whole_answers(answering: Callable[[bytes], int]) -> None:
    assert load.run(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"), b"{}", 10, connections=1) > 0


@pytest.mark.parametrize("answer", [b"HTTP/1.1 500 Error\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nno length", b""])
def test_the_client_refuses_to_count_anything_else(answering: Callable[[bytes], int], answer: bytes) -> None:
    with pytest.raises(RuntimeError):
        load.run(answering(answer), b"{}", 10, connections=1)
