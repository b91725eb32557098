"""The application without a network: what a model's own fault looks like, and how much of a body is ever held."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from serving import answers
from serving.app import Application
from serving.body import Refused, Row
from serving.receive import Disconnected, drain, read_body
from tests.serving.source import GOOD_ROW, release_json

GOOD_BODY = json.dumps({"rows": [GOOD_ROW]}).encode()


class Chunks:
    """An ASGI receive that hands out parts and counts them; after the last it waits for ever."""

    def __init__(self, *parts: bytes, hang_up: bool = False, endless: bool = False) -> None:
        self.parts, self.hang_up, self.endless, self.taken = list(parts), hang_up, endless, 0

    async def __call__(self) -> dict[str, Any]:
        if self.taken < len(self.parts) or self.endless:
            part = self.parts[min(self.taken, len(self.parts) - 1)]
            self.taken += 1
            return {"type": "http.request", "body": part, "more_body": self.endless or self.hang_up or self.taken < len(self.parts)}
        if self.hang_up:
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()
        raise AssertionError


def test_a_body_is_read_to_its_end() -> None:
    assert asyncio.run(read_body(Chunks(b"ab", b"", b"cd"), 4)) == b"abcd"
    assert asyncio.run(read_body(Chunks(b"abcd"), 4)) == b"abcd"


def test_a_body_is_read_no_further_than_its_limit() -> None:
    chunks = Chunks(b"x" * 10, endless=True)
    with pytest.raises(Refused) as refused:
        asyncio.run(read_body(chunks, 35))
    assert (refused.value.status, chunks.taken) == (413, 4)
    with pytest.raises(Refused):
        asyncio.run(read_body(Chunks(b"x" * 5), 4))


def test_a_body_that_does_not_come_is_refused_in_time() -> None:
    waiting = Chunks()
    with pytest.raises(Refused) as refused:
        asyncio.run(read_body(waiting, 10, seconds=0.01))
    assert refused.value.status == 408


def test_a_client_that_left_gets_no_answer() -> None:
    with pytest.raises(Disconnected):
        asyncio.run(read_body(Chunks(b"ab", hang_up=True), 10))


def test_draining_ends_at_the_end_at_a_number_of_bytes_and_at_a_time() -> None:
    short, endless = Chunks(b"x" * 10, b"y"), Chunks(b"x" * 10, endless=True)
    asyncio.run(drain(short))
    asyncio.run(drain(endless, max_bytes=95))
    asyncio.run(drain(Chunks(), seconds=0.01))
    assert (short.taken, endless.taken) == (2, 10)


class FakeModel:
    def __init__(self, answer: list[float] | Exception) -> None:
        self.answer = answer

    def ask(self, rows: Sequence[Row]) -> list[list[float]]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer for _ in rows]


def answer_of(folder: Path, model: FakeModel | None) -> tuple[int, dict[bytes, bytes], bytes]:
    (folder / "release.json").write_text(json.dumps(release_json()))
    application = Application(folder)
    application._model = model
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/predict", "method": "POST", "headers": [(b"content-type", b"application/json")]}
    asyncio.run(application(scope, Chunks(GOOD_BODY), send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


def test_the_label_is_that_of_the_highest_probability(tmp_path: Path) -> None:
    status, headers, body = answer_of(tmp_path, FakeModel([0.25, 0.625, 0.125]))
    assert (status, headers[b"x-release"], headers[b"content-length"]) == (200, b"7", str(len(body)).encode())
    assert json.loads(body) == {
        "predictions": [{"label": "versicolor", "probabilities": {"setosa": 0.25, "versicolor": 0.625, "virginica": 0.125}}]
    }


@pytest.mark.parametrize("fault", [RuntimeError("secret path /etc"), [float("nan"), 0.5, 0.5], [0.5, 0.5]], ids=str)
def test_a_model_that_fails_is_a_500_that_tells_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: Any) -> None:
    with caplog.at_level(logging.ERROR, "serving"):
        status, headers, body = answer_of(tmp_path, FakeModel(fault))
    assert (status, body, headers[b"x-release"]) == (500, answers.ERRORS[500], b"7")
    assert headers[b"x-request-id"].decode() in caplog.text


def test_no_answer_before_the_model_is_loaded(tmp_path: Path) -> None:
    status, _, body = answer_of(tmp_path, None)
    assert (status, body) == (503, answers.ERRORS[503])


def test_every_constant_body_is_json() -> None:
    for body in (*answers.ERRORS.values(), answers.BAD_HTTP):
        assert list(json.loads(body)) == ["error"]
