"""Golden replay: ask a running server what was recorded at packaging, and compare. It is also the warm-up of a release.

``python -m serving.replay --url http://127.0.0.1:8101 --golden release/golden.jsonl --release 5`` exits 1 on any mismatch.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from serving import golden as golden_file
from serving import release_file
from serving.golden import Golden, difference
from serving.release_file import CannotServe

DEFAULT_TOLERANCE = 1e-5
WAIT_STEP_SECONDS = 0.1
WAIT_VARIABLE = "REPLAY_WAIT_SECONDS"
"""Environment variable: how long the address may take until the release answers there at all. No option, so that older images ignore it."""
GIVE_UP_AFTER = 3
"""So many lines in a row without an answer, and the rest is not asked: each could cost the whole timeout."""


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """A golden request that was not answered as recorded.

    ``line`` is 0 when file or URL is wrong; ``status`` and ``got`` are None if unanswered.
    """

    line: int
    request: Any
    expected: Any
    got: Any
    reason: str
    status: int | None = None

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Replay:
    """How many golden requests there are, how many were answered as recorded, and those that were not."""

    total: int
    matched: int
    seconds: float
    mismatches: tuple[Mismatch, ...]

    @property
    def is_right(self) -> bool:
        """All answers were right, and there was at least one."""
        return self.total > 0 and self.matched == self.total and not self.mismatches


def replay(
    url: str,
    golden: Path,
    *,
    release: int,
    tolerance: float | None = None,
    timeout_seconds: float = 5,
    wait_seconds: float = 0,
    headers: Mapping[str, str] | None = None,
) -> Replay:
    """Replay a file of golden requests against ``url`` (a server, a route of the gateway, or its ``/predict``).

    Labels must be equal, probabilities and values within ``tolerance`` (the release's own unless one is given), and the ``x-release``
    header must name ``release``. A server that is down, or a golden file that can't be read, is a mismatch with a reason, not an
    exception. ``wait_seconds`` is how long an address may take until the release answers under it at all.
    """
    started = time.perf_counter()
    asked = ask_each(
        url, golden, tolerance=tolerance, release=release, timeout_seconds=timeout_seconds, wait_seconds=wait_seconds, headers=headers
    )
    found = list(asked)
    mismatches = tuple(mismatch for mismatch in found if mismatch is not None)
    # A file or URL that is wrong is no line of the file.
    total = sum(mismatch is None or mismatch.line > 0 for mismatch in found)
    return Replay(total=total, matched=len(found) - len(mismatches), seconds=time.perf_counter() - started, mismatches=mismatches)


def ask_each(
    url: str,
    golden: Path,
    *,
    release: int,
    tolerance: float | None = None,
    timeout_seconds: float = 5,
    wait_seconds: float = 0,
    headers: Mapping[str, str] | None = None,
) -> Iterator[Mismatch | None]:
    """Ask one golden request after the other, each when the next is taken: its mismatch, or None where the answer was right.

    For a caller that wants to look up in between, or to stop. Arguments are those of ``replay``.
    """
    try:
        lines = list(golden_file.read(golden))
        tolerance = _own_tolerance(golden) if tolerance is None else tolerance
        server = _Server(url, timeout_seconds, headers or {})
    except (CannotServe, ValueError, http.client.InvalidURL) as error:
        yield Mismatch(line=0, request=None, expected=None, got=None, reason=str(error))
        return
    unanswered = 0
    try:
        if wait_seconds and lines:
            _wait(server, lines[0], release, wait_seconds)
        for number, line in enumerate(lines, start=1):
            status, got = None, None
            if unanswered >= GIVE_UP_AFTER:
                reason = f"not asked, because {url} gave no answer {GIVE_UP_AFTER} times in a row"
            else:
                status, got, reason = _ask(server, line, tolerance, release)
                unanswered = unanswered + 1 if status is None else 0
            wrong = Mismatch(line=number, request=line.request, expected=line.response, got=got, reason=reason, status=status)
            yield wrong if reason else None
    finally:
        server.close()


def _own_tolerance(golden: Path) -> float:
    """What the release.json beside the file says; without one, that of a classifier."""
    beside = golden.with_name("release.json")
    return release_file.load(beside.parent).tolerance if beside.is_file() else DEFAULT_TOLERANCE


def _wait(server: _Server, line: Golden, release: int, seconds: float) -> None:
    """Ask until the release answers, rightly or not: a cluster's name may lead to nobody, or to the release before, for a moment."""
    deadline = time.monotonic() + seconds
    body = msgspec.json.encode(line.request)
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.post(body)[1] == str(release):
                return
            # Kept alive, a connection would lead to the same pod for ever.
            server.close()
        time.sleep(WAIT_STEP_SECONDS)


def _ask(server: _Server, line: Golden, tolerance: float, release: int) -> tuple[int | None, Any, str]:
    try:
        status, answered_by, body = server.post(msgspec.json.encode(line.request))
    except (OSError, http.client.HTTPException) as error:
        return None, None, f"{server.url} gave no answer: {str(error) or type(error).__name__}"
    try:
        got = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        got = body.decode(errors="replace")[:1000]
    if status != 200:
        return status, got, f"status is {status}, expected 200"
    if answered_by != str(release):
        return status, got, f"release {answered_by or 'unknown (no x-release header)'} answered, expected release {release}"
    return status, got, difference(line.response, got, tolerance)


class _Server:
    def __init__(self, url: str, timeout_seconds: float, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no URL of a server, such as http://127.0.0.1:8101")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=timeout_seconds)
        path = parts.path.rstrip("/")
        self._path = path if path.endswith("/predict") else path + "/predict"
        self._headers = {**headers, "content-type": "application/json"}
        self.url = url

    def post(self, body: bytes) -> tuple[int, str, bytes]:
        """Status, release and body. A connection that was kept alive may have been closed meanwhile, hence one more attempt."""
        try:
            return self._post(body)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self._connection.close()
            return self._post(body)

    def _post(self, body: bytes) -> tuple[int, str, bytes]:
        try:
            self._connection.request("POST", self._path, body, self._headers)
            answer = self._connection.getresponse()
            return answer.status, answer.headers.get("x-release", ""), answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()


def probe(
    url: str, golden: Path, *, release: int, count: int, tolerance: float | None = None, timeout_seconds: float = 5
) -> Mismatch | None:
    """Send ``count`` golden requests through a gateway, from the first line again after the last: the first wrong answer, or None.

    No answer and a 5xx are no wrong answers: the gateway counts them, and a rollout's policy says how many are too many.
    """
    sent = 0
    while sent < count:
        asked = ask_each(url, golden, release=release, tolerance=tolerance, timeout_seconds=timeout_seconds, headers={"x-probe": "rollout"})
        for mismatch in asked:
            if mismatch is not None and (mismatch.line == 0 or (mismatch.status is not None and mismatch.status < 500)):
                return mismatch
            sent += 1
            if sent == count:
                break
    return None


def _probe(options: argparse.Namespace) -> int:
    wrong = probe(
        options.url,
        options.golden,
        release=options.release,
        count=options.probes,
        tolerance=options.tolerance,
        timeout_seconds=options.timeout_seconds,
    )
    print(f"{options.probes} golden requests sent to {options.url}" if wrong is None else f"a wrong answer through the gateway: {wrong}")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m serving.replay", description="Replay golden requests against a running release.")
    parser.add_argument("--url", required=True, help="http://host:port, with a route's prefix if there is one")
    parser.add_argument("--golden", type=Path, required=True)
    parser.add_argument("--release", type=int, required=True, help="the number that must answer")
    parser.add_argument("--tolerance", type=float, help="how far a number may be from the recorded one (default: what the release says)")
    parser.add_argument("--timeout-seconds", type=float, default=5)
    parser.add_argument(
        "--probes", type=int, help="send so many, through a gateway that counts failures itself: only a wrong answer is one"
    )
    options = parser.parse_args()
    if options.probes is not None:
        return _probe(options)
    found = replay(
        options.url,
        options.golden,
        tolerance=options.tolerance,
        release=options.release,
        timeout_seconds=options.timeout_seconds,
        wait_seconds=float(os.environ.get(WAIT_VARIABLE, 0)),
        headers={"x-probe": "replay"},
    )
    for mismatch in found.mismatches[:20]:
        print(mismatch, file=sys.stderr)
    if len(found.mismatches) > 20:
        print(f"and {len(found.mismatches) - 20} more", file=sys.stderr)
    print(f"{found.matched} of {found.total} golden requests answered as recorded by release {options.release}, in {found.seconds:.2f} s")
    return 0 if found.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
