"""Which releases may take over at once on a laptop."""

from __future__ import annotations

import pytest

from infra.local.ledger import Ledger


@pytest.mark.parametrize(
    ("window", "release", "digest", "expected"),
    [
        (0, 3, "c", True),
        (0, 2, "b", False),
        (1, 2, "b", True),
        (1, 2, "changed", False),
        (1, 1, "a", False),
        (2, 1, "a", True),
        (2, 4, "d", False),
    ],
)
def test_the_window_counts_the_others_that_are_proven(window: int, release: int, digest: str, expected: bool) -> None:
    ledger = Ledger(serving=3, proven=((3, "c"), (2, "b"), (1, "a")))
    assert ledger.is_proven(release, digest, window=window) is expected
