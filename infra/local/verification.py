"""Golden replay as a verdict: a release's recorded answers against its real servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.rollout import Judgement


def verify(
    *, release: int, urls: Sequence[str], golden: Path, tolerance: float, headers: Mapping[str, str] | None = None, count: int | None = None
) -> Judgement:
    """Replay golden requests against each address; *pass* only when every answer equals the recorded one.

    ``count`` sends at least that many requests in all, every golden one again and again; None sends each once to every address.
    """
    from serving.replay import replay

    matched = 0
    seconds = 0.0
    for url in urls:
        remaining = count
        while remaining is None or remaining > 0:
            result = replay(url, golden, tolerance=tolerance, release=release, headers=headers)
            if result.mismatches or not result.total:
                first = result.mismatches[0] if result.mismatches else None
                return Judgement(
                    "fail",
                    f"{result.total - result.matched} of {result.total} golden requests got another answer than recorded; "
                    + (f"the first, line {first.line}: {first.reason}" if first else "there is none to replay"),
                )
            matched += result.matched
            seconds += result.seconds
            remaining = None if remaining is None else remaining - result.total
            if remaining is None:
                break
    return Judgement("pass", f"{matched} golden answers of {release} as recorded in {seconds:.2f} s")
