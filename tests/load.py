"""A client at a constant rate, which keeps every answer so that each can be checked afterwards."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

MOST_REQUESTS = 200_000
MOST_SECONDS = 600


@dataclass(frozen=True)
class Answer:
    """One request's fate: when it was sent (monotonic), how long it took, its status (0 for none), who answered, and the body."""

    at: float
    seconds: float
    status: int
    release: int | None
    request: int
    body: Any
    error: str = ""


@dataclass
class Load:
    """Sends ``bodies`` in turn at ``rate`` requests a second from ``threads`` keep-alive connections, while its block runs."""

    connect: Callable[[], http.client.HTTPConnection]
    path: str
    bodies: Sequence[Any]
    rate: float = 100
    threads: int = 4
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._next = itertools.count()
        self._workers: list[threading.Thread] = []
        self._encoded = [json.dumps(body).encode() for body in self.bodies]

    def __enter__(self) -> Load:
        self._began = time.monotonic()
        self._workers = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(self.threads)]
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        for worker in self._workers:
            worker.join(timeout=30)

    @property
    def failed(self) -> list[Answer]:
        """Requests without a 200."""
        return [answer for answer in self.answers if answer.status != 200]

    def by_release(self) -> Counter[int | None]:
        """Number of answers by the release that gave them."""
        return Counter(answer.release for answer in self.answers)

    def wait_for(self, count: int, *, seconds: float = 120) -> None:
        """Wait until this many answers more have come."""
        goal, deadline = len(self.answers) + count, time.monotonic() + seconds
        while len(self.answers) < goal:
            assert time.monotonic() < deadline, f"{len(self.answers)} of {goal} answers after {seconds} s"
            time.sleep(0.01)

    def _work(self, number: int) -> None:
        interval = self.threads / self.rate
        due = self._began + number * interval / self.threads
        connection: http.client.HTTPConnection | None = None
        while not self._stop.is_set() and time.monotonic() - self._began < MOST_SECONDS:
            index = next(self._next)
            if index >= MOST_REQUESTS:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due + interval, time.monotonic() - 1)
            request = index % len(self._encoded)
            began = time.monotonic()
            try:
                connection = connection or self.connect()
                connection.request("POST", self.path, self._encoded[request], {"content-type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                header = answer.getheader("x-release")
                body = json.loads(text) if answer.status == 200 else text
                result = Answer(began, time.monotonic() - began, answer.status, int(header) if header else None, request, body)
            except (OSError, http.client.HTTPException, ValueError) as error:
                if connection is not None:
                    connection.close()
                connection = None
                result = Answer(began, time.monotonic() - began, 0, None, request, None, repr(error))
            self.answers.append(result)
        if connection is not None:
            connection.close()
