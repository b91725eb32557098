"""What must happen when a release is promoted: given a release, when it is promoted like this, then it ends like that.

The table knows nothing of processes or pods: a target runs it (``tests/e2e`` on a laptop; a cluster can run the same lines).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests import faulty


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One row. ``rate`` is users' requests a second; ``config`` is what differs from the target's fast policy.

    ``says`` are words that the person must read; ``hurt`` is the largest share of all requests that may fail or go to the bad release.
    """

    name: str
    given: faulty.Fault | None
    ends: Literal["promoted", "returned", "refused"]
    says: tuple[str, ...]
    rate: float = 60
    config: Mapping[str, Any] = field(default_factory=dict)
    hurt: float = 0.0


SCENARIOS = [
    Scenario(name="good release", given=None, ends="promoted", says=("pass", "answers everything")),
    Scenario(
        name="good release, blue-green",
        given=None,
        ends="promoted",
        says=("bake at 100 %",),
        config={"rollout": {"strategy": "blue-green"}},
    ),
    Scenario(name="good release, nobody asks", given=None, ends="promoted", says=("0 requests + ", "probes"), rate=0),
    Scenario(name="good release, two servers", given=None, ends="promoted", says=("answers everything",), config={"replicas": 2}),
    Scenario(
        name="nobody asks, abort",
        given=None,
        ends="returned",
        says=("0 of at least 30 requests seen", "No user's request reached"),
        rate=0,
        config={"rollout": {"insufficient": "abort"}},
    ),
    Scenario(
        name="nobody asks, hold",
        given=None,
        ends="returned",
        says=("holding", "0 of at least 30 requests seen"),
        rate=0,
        config={"rollout": {"insufficient": "hold", "hold-seconds": 5}},
    ),
    Scenario(
        name="few ask, hold",
        given=None,
        ends="promoted",
        says=("holding", "answers everything"),
        rate=40,
        config={"rollout": {"insufficient": "hold", "hold-seconds": 60, "minimum-sample": 150, "steps": [50]}},
    ),
    Scenario(name="does not start", given=faulty.exits, ends="returned", says=("exited while starting", "64 GiB of memory")),
    Scenario(
        name="starts too late", given=faulty.starts_late, ends="returned", says=("was not ready within 8 s",), config={"ready-seconds": 8}
    ),
    Scenario(name="wrong answer on one golden request", given=faulty.one_wrong_answer, ends="returned", says=("1 of", "golden requests")),
    Scenario(
        name="wrong answer, blue-green",
        given=faulty.one_wrong_answer,
        ends="returned",
        says=("golden requests", "No user's request reached"),
        config={"rollout": {"strategy": "blue-green"}},
    ),
    Scenario(name="swapped labels", given=faulty.swapped_labels, ends="returned", says=("golden",), config={"ready-seconds": 8}),
    Scenario(name="5xx from the first user on", given=faulty.fails_after(0), ends="returned", says=("5xx", "20 %"), hurt=0.1),
    Scenario(name="5xx after 20 users", given=faulty.fails_after(20), ends="returned", says=("5xx",), hurt=0.1),
    Scenario(name="crash loop", given=faulty.crashes_after(5), ends="returned", says=("5xx",), hurt=0.1),
    Scenario(
        name="one slow answer",
        given=faulty.slow_once(3),
        ends="promoted",
        says=("pass", "answers everything"),
        # The slow answer comes before the stage is judged, over fewer requests than a percentile of 99 needs.
        config={"rollout": {"steps": [30], "step-seconds": 4}, "slo": {"error-rate": 0.02, "p99-ms": 1000}},
    ),
    Scenario(
        name="slow",
        given=faulty.slow(0.6),
        ends="returned",
        says=("p99 is", "allowed 200 ms"),
        config={"slo": {"error-rate": 0.02, "p99-ms": 200}},
    ),
]
