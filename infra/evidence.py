"""What a preview shows of a release beside its number: short words, one line each, the same on every target."""

from __future__ import annotations

from typing import Any

from infra.release import Interval, Release


def evidence(record: Release) -> dict[str, Any]:
    """A record's summary, for a diff that a reviewer reads; values are text and change only with the release."""
    return {
        "metrics": {name: interval(value) for name, value in sorted(record.metrics.items())},
        "against-champion": _comparison(record),
        "why": record.reason,
        "data": f"{record.snapshot.rows} rows, {record.snapshot.first} to {record.snapshot.last} ({short(record.snapshot.digest)})",
        "commit": record.commit.sha[:12] + (" + uncommitted changes" if record.commit.dirty else ""),
        "gates": ", ".join(f"{name} {verdict}" for name, verdict in record.gates.items()),
        "golden": f"{record.golden.count} requests ({short(record.golden.digest)})",
        "runtime": record.runtime,
        "bento": record.bento.digest,
        **({"card": record.card.page.path} if record.card else {}),
        "record": record.digest,
        "made": f"{record.created} by {record.owner}",
    }


def interval(value: Interval) -> str:
    """A metric with its 95 % interval, such as ``0.956 [0.889, 1.000]``."""
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def short(digest: str) -> str:
    """The first twelve digits of a digest."""
    return digest.removeprefix("sha256:")[:12]


def _comparison(record: Release) -> str:
    found = record.comparison
    if found is None:
        return "none: the first release"
    return (
        f"{found.metric} {found.difference.value:+.3f} [{found.difference.low:+.3f}, {found.difference.high:+.3f}] against {found.champion}"
        f" on {found.rows} rows; {found.verdict} (margin {found.margin:g})"
    )
