"""The ASGI application of a release: ``POST /predict``, ``GET /livez``, ``/readyz``, ``/metrics``.

Plain ASGI without a framework, and the model runs on the event loop: a row is 12 us of work from body to answer, less than a
hand-over to a thread; 1,000 rows, the most, are milliseconds.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from serving import answers, golden, kinds, metrics, model, release_file
from serving.body import BodyParser, Refused, Row, limit_bytes, row_bytes
from serving.receive import BODY_SECONDS, Disconnected, Message, Receive, Send, drain, read_body
from serving.release_file import CannotServe
from serving.request_log import MAX_QUEUED_ROWS, Entry, RequestLog

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_QUEUED_BYTES = 64 * 1024 * 1024
_log = logging.getLogger("serving")
_encode = msgspec.json.Encoder().encode


class Request:
    """The parts of a request's head that an answer depends on."""

    __slots__ = ("content_encoding", "content_length", "content_type", "has_body", "id", "is_probe", "started")

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.started = time.perf_counter()
        self.content_type = self.content_encoding = b""
        self.content_length = 0
        self.has_body = self.is_probe = False
        self.id = b""
        for name, value in headers:
            if name == b"content-type":
                # Two content types are joined, so that they are never a right one.
                self.content_type = self.content_type + b"," + value if self.content_type else value
            elif name == b"content-length":
                self.content_length = int(value) if value.isdigit() and len(value) < 20 else 1 << 62
                self.has_body = self.content_length > 0
            elif name == b"transfer-encoding":
                self.has_body = True
            elif name == b"content-encoding":
                self.content_encoding = value.lower()
            elif name == b"x-request-id":
                self.id = value
            elif name == b"x-probe":
                self.is_probe = True
        if not _REQUEST_ID.fullmatch(self.id):
            self.id = os.urandom(12).hex().encode()


class Application:
    """Serves the release in a folder. Until ``load_model`` has run, ``/readyz`` and ``/predict`` answer 503."""

    def __init__(self, folder: Path, request_log: Path | None = None, body_seconds: float = BODY_SECONDS) -> None:
        """Reads ``folder/release.json`` and opens the request log. Raises CannotServe."""
        self.release = release_file.load(folder)
        self._folder = folder
        self._body_seconds = body_seconds
        self._parser = BodyParser(self.release)
        self._limit_bytes = limit_bytes(self.release)
        self._outputs = kinds.outputs_of(self.release)
        self._model: model.Model | None = None
        self._metrics = metrics.Metrics(self.release, self._outputs.counted)
        self._request_log = request_log and RequestLog(
            request_log,
            model=self.release.model,
            release=self.release.release,
            count_dropped=self._metrics.count_dropped,
            max_queued_rows=min(MAX_QUEUED_ROWS, _QUEUED_BYTES // row_bytes(self.release)),
        )
        self.identity = [(b"x-release", str(self.release.release).encode()), (b"x-model", self.release.model.encode())]

    def load_model(self) -> None:
        """Load the model and ask it the first golden request; only a right answer makes the release ready. Raises CannotServe."""
        loaded = model.load(self._folder, self.release)
        path = self._folder / "golden.jsonl"
        first = next(golden.read(path))
        try:
            _, answer = self._predict(loaded, self._parser.parse(msgspec.json.encode(first.request)))
        except Refused as error:
            raise CannotServe(f"{path} line 1: the server refuses the request with {error.status}; package the release again") from None
        wrong = golden.difference(first.response, msgspec.json.decode(answer), self.release.tolerance)
        if wrong:
            raise CannotServe(f"{path} line 1: the model does not answer as when it was packaged: {wrong}; package the release again")
        self._model = loaded

    def close(self) -> None:
        """Write what the request log still holds."""
        if self._request_log:
            self._request_log.close()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope["headers"])
        path, method = scope["path"], scope["method"]
        if path == "/predict":
            if method == "POST":
                await self._answer_predict(request, receive, send)
            else:
                await self._refuse(request, 405, receive, send, allow=b"POST")
        elif path not in ("/livez", "/readyz", "/metrics"):
            await self._refuse(request, 404, receive, send)
        elif method not in ("GET", "HEAD"):
            await self._refuse(request, 405, receive, send, allow=b"GET, HEAD")
        elif path == "/metrics":
            await self._send(request, 200, self._metrics.text(), send, content_type=metrics.CONTENT_TYPE)
        elif path == "/livez":
            await self._send(request, 200, answers.ALIVE, send)
        elif self._model:
            await self._send(request, 200, answers.READY, send)
        else:
            await self._send(request, 503, answers.ERRORS[503], send)

    async def _answer_predict(self, request: Request, receive: Receive, send: Send) -> None:
        try:
            if not self._model:
                raise Refused(503)
            if (request.content_type != answers.JSON and not _is_json(request.content_type)) or request.content_encoding not in (
                b"",
                b"identity",
            ):
                raise Refused(415)
            if request.content_length > self._limit_bytes:
                raise Refused(413)
            body = await read_body(receive, self._limit_bytes, self._body_seconds)
            request.has_body = False
            rows = self._parser.parse(body)
            told, answer = self._predict(self._model, rows)
        except Refused as refusal:
            await self._refuse(request, refusal.status, receive, send)
            self._metrics.count_answer[refusal.status, request.is_probe]()
            return
        except Disconnected:
            return
        except Exception:
            _log.exception("request %s: the model failed", request.id.decode())
            await self._refuse(request, 500, receive, send)
            self._metrics.count_answer[500, request.is_probe]()
            return
        await self._send(request, 200, answer, send)
        self._record(request, rows, told)

    def _predict(self, loaded: model.Model, rows: Sequence[Row]) -> tuple[Sequence[str | float], bytes]:
        told, predictions = self._outputs.tell(loaded.ask(rows))
        return told, _encode({"predictions": predictions})

    def _record(self, request: Request, rows: Sequence[Row], told: Sequence[str | float]) -> None:
        seconds = time.perf_counter() - request.started
        self._metrics.count_answer[200, request.is_probe]()
        self._metrics.observe_seconds(seconds)
        for name, count in self._outputs.count(told):
            self._metrics.count_prediction[name](count)
        if self._request_log:
            self._request_log.put(Entry(time.time(), request.id.decode(), request.is_probe, rows, told, seconds * 1000))

    async def _refuse(self, request: Request, status: int, receive: Receive, send: Send, allow: bytes = b"") -> None:
        extra = [(b"allow", allow)] if allow else []
        if not request.has_body:
            await self._send(request, status, answers.ERRORS[status], send, extra=extra)
            return
        # The answer is complete for the client before the connection closes, which is after the rest of the body has come.
        await self._send(request, status, answers.ERRORS[status], send, extra=[*extra, (b"connection", b"close")], is_last=False)
        await drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(
        self,
        request: Request,
        status: int,
        body: bytes,
        send: Send,
        *,
        content_type: bytes = answers.JSON,
        extra: Sequence[tuple[bytes, bytes]] = (),
        is_last: bool = True,
    ) -> None:
        headers: list[Any] = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            *self.identity,
            (b"x-request-id", request.id),
            *extra,
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": not is_last})


def _is_json(content_type: bytes) -> bool:
    media, *parameters = (part.strip().lower() for part in content_type.split(b";"))
    return media == answers.JSON and all(parameter in (b"", b"charset=utf-8", b'charset="utf-8"') for parameter in parameters)
