"""A closed-loop HTTP client on raw sockets: cheap enough not to be what is measured."""

from __future__ import annotations

import selectors
import socket
import time


def run(port: int, body: bytes, requests: int, *, path: str = "/predict", connections: int = 8) -> float:
    """Send so many requests over a few kept connections, one in flight on each. Returns seconds; raises RuntimeError on a bad answer."""
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    selector = selectors.DefaultSelector()
    received: dict[int, bytes] = {}
    started = time.perf_counter()
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(min(connections, requests))]
    try:
        for connection in sockets:
            selector.register(connection, selectors.EVENT_READ, connection)
            connection.sendall(request)
        sent, done = len(sockets), 0
        while done < requests:
            events = selector.select(timeout=30)
            if not events:
                raise RuntimeError("no answer for 30 s")
            for key, _ in events:
                connection = key.data
                data = received.pop(key.fd, b"") + connection.recv(1 << 16)
                if not _is_whole(data):
                    received[key.fd] = data
                    continue
                if not data.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(f"answered {data[:500]!r}")
                done += 1
                if sent < requests:
                    connection.sendall(request)
                    sent += 1
        return time.perf_counter() - started
    finally:
        selector.close()
        for connection in sockets:
            connection.close()


def _is_whole(data: bytes) -> bool:
    if not data:
        raise RuntimeError("the connection was closed")
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    if not length:
        raise RuntimeError("no content length")
    return len(body) >= int(length)
