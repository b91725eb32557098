"""What stands on an evidence card, as plain values: gathered once, then written as a page and as a summary."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.artifacts import Comparison, Interval
from pipelines.detail import Detail


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of the release on the holdout, beside the champion's on the same rows."""

    name: str
    release: Interval
    champion: Interval | None
    difference: Interval | None
    threshold: str
    is_lower_better: bool


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the snapshot beside the champion's. ``before`` and ``after`` are shares by bin; ``bins`` names each."""

    name: str
    unit: str
    low: str
    high: str
    low_before: str
    high_before: str
    missing: int
    missing_before: int
    shift: float | None
    psi: float
    kl: float
    chance: float
    effect: str
    bins: list[str]
    before: list[float]
    after: list[float]

    @property
    def is_beyond_chance(self) -> bool:
        """Whether two samples of one world would seldom be as far apart."""
        return self.psi > self.chance


@dataclass(frozen=True, kw_only=True)
class Data:
    """The snapshot beside the champion's."""

    rows: int
    rows_before: int
    new_rows: int
    gone_rows: int
    columns: list[Column]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A golden request that the champion answers otherwise, and how far apart the two answers are.

    ``is_corner``: no row of the holdout, but made up to try the limits of what is allowed.
    """

    inputs: dict[str, str]
    release: str
    champion: str
    distance: float
    is_corner: bool


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Golden requests, put to the champion too. ``otherwise`` counts other labels, or values further apart than ``what`` says."""

    asked: int
    otherwise: int
    otherwise_at_corners: int
    what: str
    median: float
    largest: float
    examples: list[Change]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A gate: its verdict, what that means, what was found, and the file beside the card that shows it, if any."""

    name: str
    verdict: str
    meaning: str
    found: str
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage of a rollout: share of the traffic in percent, and how long it is watched."""

    name: str
    percent: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack whose file has the model, and the champion that it names."""

    name: str
    target: str
    champion: int | None


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How some stacks, all with the same policy, would take the release over, by their files as they were when the card was made."""

    stacks: list[Stack]
    strategy: str
    stages: list[Stage]
    slo: str
    plan: str
    way_back: str


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A line of the lineage. ``is_code``: to be copied as it stands."""

    name: str
    value: str
    is_code: bool = False


@dataclass(frozen=True, kw_only=True)
class Card:
    """All that a card says."""

    model: str
    kind: str
    description: str
    owner: str
    release: int
    champion: int | None
    made: str
    reason: str
    verdict: str
    tone: str
    notes: list[str]
    metrics: list[Metric]
    comparison: Comparison | None
    detail: Detail
    unit: str
    rows: int
    holdout_rows: int
    first: str
    last: str
    data: Data | None
    golden: Golden | None
    golden_count: int
    gates: list[Gate]
    rollouts: list[Rollout]
    lineage: list[Fact]
