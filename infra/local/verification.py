"""Golden replay as a verdict, and golden requests as probes: a release's recorded answers against its real servers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.rollout import Judgement
from infra.route import PROBE_HEADER


def verify(*, release: int, urls: Sequence[str], golden: Path) -> Judgement:
    """Replay every golden request against each server; *pass* only when every answer equals the recorded one."""
    from serving.replay import replay

    matched = 0
    seconds = 0.0
    for url in urls:
        result = replay(url, golden, release=release, headers={PROBE_HEADER: "replay"})
        if not result.is_right:
            wrong = result.total - result.matched
            first = f"the first, line {result.mismatches[0].line}: {result.mismatches[0].reason}" if result.mismatches else "there is none"
            return Judgement("fail", f"{wrong} of {result.total} golden requests got another answer than recorded; {first}")
        matched += result.matched
        seconds += result.seconds
    return Judgement("pass", f"{matched} golden answers of {release} as recorded in {seconds:.2f} s")


class Prober:
    """Sends golden requests through the gateway, a few at a time, so that its caller can judge in between."""

    def __init__(self, *, release: int, url: str, golden: Path, token: str, most: int) -> None:
        self.left = most
        self._answers = self._ask_for_ever(release, url, golden, token)

    def probe(self, count: int, *, seconds: float) -> str:
        """Send up to ``count`` requests, and none after ``seconds``. Returns what was wrong with an answer, or nothing.

        A 5xx is no wrong answer: the gateway counts it, and the policy says how many are too many. Neither is a gateway that restarts.
        """
        deadline = time.monotonic() + seconds
        for _ in range(min(count, self.left)):
            self.left -= 1
            wrong = next(self._answers)
            if wrong or time.monotonic() > deadline:
                return wrong
        return ""

    @staticmethod
    def _ask_for_ever(release: int, url: str, golden: Path, token: str) -> Iterator[str]:
        from serving.replay import ask_each

        while True:
            for mismatch in ask_each(url, golden, release=release, headers={PROBE_HEADER: token}):
                is_answer = mismatch is not None and mismatch.status is not None and mismatch.status < 500
                yield str(mismatch) if is_answer else ""
