"""uvicorn's HTTP protocol with what it leaves open: a deadline for a request's head, and our own answer to what is not HTTP."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

import h11
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving import answers

HEAD_SECONDS = 10.0


def protocol_of(identity: Sequence[tuple[bytes, bytes]], head_seconds: float = HEAD_SECONDS) -> type[H11Protocol]:
    """The protocol of a release; ``identity`` are the headers that every answer carries."""
    head = b"".join(name + b": " + value + b"\r\n" for name, value in identity)

    class ReleaseProtocol(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget_deadline()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # A client that waits for its head to be complete is idle for h11; the deadline is not moved by each byte that it sends.
            if self.conn.their_state is not h11.IDLE:
                self._forget_deadline()
            elif self._deadline is None:
                self._await_head()

        def shutdown(self) -> None:
            # uvicorn closes after the answer in flight; without the header a gateway could already have sent the next request.
            if self.cycle is not None and not self.cycle.response_started:
                self.cycle.scope["headers"].append(CLOSE_HEADER)  # type: ignore[attr-defined]
            super().shutdown()

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002
            """One answer for all that is no HTTP; without h11, whose state forbids an answer after a broken body was begun."""
            cycle = self.cycle
            if cycle is None or cycle.response_complete or not cycle.response_started:
                self.transport.write(
                    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
                    b"content-length: %d\r\n%sx-request-id: %s\r\n\r\n%s"
                    % (len(answers.BAD_HTTP), head, uuid.uuid4().hex.encode(), answers.BAD_HTTP)
                )
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
            self.transport.close()

        def _await_head(self) -> None:
            self._deadline = self.loop.call_later(head_seconds, self.transport.close)

        def _forget_deadline(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return ReleaseProtocol
