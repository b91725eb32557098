"""Requests that are unusual and right, and connections that misbehave."""

from __future__ import annotations

import json
import socket
import time

import pytest

from serving import answers
from tests.serving.process import GOOD_BODY, Server, ask, chunked, predict, request
from tests.serving.source import GOOD_ROW, NAMES

pytestmark = pytest.mark.timeout(180)

RIGHT = {
    "plain": request(body=GOOD_BODY),
    "HTTP/1.0": request(body=GOOD_BODY, version="1.0"),
    "charset named": request(body=GOOD_BODY, headers=["content-type: Application/JSON; charset=UTF-8"]),
    "identity encoding": request(body=GOOD_BODY, headers=["content-encoding: identity"]),
    "header names in capitals": request(body=GOOD_BODY, headers=["CONTENT-TYPE: application/json"]),
    "keys in another order": request(body=json.dumps({"rows": [dict(reversed(GOOD_ROW.items()))]}).encode()),
    "indented": request(body=json.dumps({"rows": [GOOD_ROW]}, indent=8).encode()),
    "blanks around colons": request(body=GOOD_BODY.replace(b":", b"\t : \n")),
    "escaped key": request(body=GOOD_BODY.replace(b"sepal_length", b"\\u0073epal_length")),
    "integers": request(body=json.dumps({"rows": [dict.fromkeys(NAMES, 1)]}).encode()),
    "exponents": request(body=GOOD_BODY.replace(b"5.1", b"51E-1")),
    "a number of 300 digits": request(body=GOOD_BODY.replace(b"5.1", b"5.1" + b"0" * 300)),
    "the ends of the range": request(body=GOOD_BODY.replace(b"5.1", b"30.0").replace(b"3.5", b"0")),
    "-0.0 where 0 is allowed": request(body=GOOD_BODY.replace(b"5.1", b"-0.0")),
    "chunked": request(body=chunked(GOOD_BODY), headers=["transfer-encoding: chunked"]),
    "a byte a chunk": request(body=chunked(*(GOOD_BODY[i : i + 1] for i in range(len(GOOD_BODY)))), headers=["transfer-encoding: chunked"]),
    "expects 100-continue": request(body=GOOD_BODY, headers=["expect: 100-continue"]),
    "query string": request(path="/predict?trace=1", body=GOOD_BODY),
    "websocket upgrade is ignored": request(body=GOOD_BODY, headers=["connection: upgrade", "upgrade: websocket"]),
    "1,000 rows": request(body=json.dumps({"rows": [GOOD_ROW] * 1000}, indent=4).encode()),
}


@pytest.mark.parametrize("name", RIGHT)
def test_answered(server: Server, name: str) -> None:
    answer = ask(server.port, RIGHT[name])[0]
    assert answer.status == 200
    assert {prediction["label"] for prediction in answer.json["predictions"]} <= {"setosa", "versicolor", "virginica"}


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    data = b"".join(request(body=GOOD_BODY, headers=[f"x-request-id: {number}"]) for number in range(20))
    assert [answer.headers["x-request-id"] for answer in ask(server.port, data, answers=20)] == [str(number) for number in range(20)]


def test_a_request_in_single_bytes(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request(body=GOOD_BODY):
            connection.sendall(bytes([byte]))
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_a_client_that_hangs_up_in_its_body_is_forgotten(server: Server) -> None:
    data = request(body=GOOD_BODY, headers=["content-length: 5000"])
    assert [answer.status for answer in ask(server.port, data, hang_up=True)] == []
    assert predict(server.port).status == 200


def test_a_hundred_idle_connections_hurt_nobody(server: Server) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    try:
        assert predict(server.port).status == 200
    finally:
        for connection in idle:
            connection.close()


def test_slow_heads_and_bodies_end_after_ten_seconds(server: Server) -> None:
    """All at once, since each takes the whole deadline: no head, a head that trickles, no body, a body that trickles."""
    whole = request(body=GOOD_BODY)
    head, body = whole[: -len(GOOD_BODY)], GOOD_BODY
    starts = {"no head": b"", "trickling head": head[:20], "no body": head, "trickling body": head + body[:5]}
    connections = {name: socket.create_connection(("127.0.0.1", server.port), timeout=0.2) for name in starts}
    received = dict.fromkeys(starts, b"")
    ended: dict[str, float] = {}
    started = time.monotonic()
    for name, connection in connections.items():
        connection.sendall(starts[name])
    position = dict.fromkeys(starts, 0)
    while len(ended) < len(starts) and time.monotonic() - started < 20:
        for name, connection in connections.items():
            if name in ended:
                continue
            try:
                if name.startswith("trickling") and position[name] < 15:
                    source = head[20:] if name.endswith("head") else body[5:]
                    connection.sendall(source[position[name] : position[name] + 1])
                    position[name] += 1
                data = connection.recv(65536)
                received[name] += data
                if not data:
                    ended[name] = time.monotonic() - started
            except TimeoutError:
                continue
            except OSError:
                ended[name] = time.monotonic() - started
    for connection in connections.values():
        connection.close()
    assert set(ended) == set(starts)
    assert all(9 < seconds < 16 for seconds in ended.values()), ended
    for name in ("no body", "trickling body"):
        assert received[name].startswith(b"HTTP/1.1 408")
        assert received[name].endswith(answers.ERRORS[408])
    assert predict(server.port).status == 200
