"""Reading a request's body from ASGI: bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serving.body import Refused

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_SECONDS = 10.0
DRAIN_SECONDS = 3.0
DRAIN_BYTES = 32 * 1024 * 1024


class Disconnected(Exception):
    """The client went away; there is nobody to answer."""


async def read_body(receive: Receive, limit_bytes: int, seconds: float = BODY_SECONDS) -> bytes:
    """The whole body. Raises Refused (413 too long, 408 too slow) or Disconnected. Never holds more than the limit and one chunk."""
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
            body: bytes = message.get("body", b"")
            if message["type"] == "http.request" and not message.get("more_body") and len(body) <= limit_bytes:
                return body
            chunks, size = [body], len(body)
            while message["type"] == "http.request":
                if size > limit_bytes:
                    raise Refused(413)
                if not message.get("more_body"):
                    return b"".join(chunks)
                message = await receive()
                chunk = message.get("body", b"")
                chunks.append(chunk)
                size += len(chunk)
            raise Disconnected
    except TimeoutError:
        raise Refused(408) from None


async def drain(receive: Receive, max_bytes: int = DRAIN_BYTES, seconds: float = DRAIN_SECONDS) -> None:
    """Read and forget what a refused client still sends.

    A connection that is closed while data arrives is reset, and the client may lose the answer that says why it was refused.
    """
    try:
        async with asyncio.timeout(seconds):
            while max_bytes > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                max_bytes -= len(message.get("body", b""))
    except TimeoutError:
        return
