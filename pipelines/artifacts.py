"""What the steps hand to each other: small frozen values that fit into JSON. Big things are files in the store, named by path and digest.

Paths are relative to the store's root, with forward slashes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.model import Parameters


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """An immutable Parquet file of a model's rows. Columns: the inputs, the label, and ``_batch _line _row _holdout`` of each row."""

    path: str
    digest: str
    rows: int
    holdout_rows: int
    first: str
    last: str
    batches: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Interface:
    """What a release takes and answers, as its digest, after it was found to break no consumer of the champion."""

    digest: str
    compared_with: int | None


@dataclass(frozen=True, kw_only=True)
class Validation:
    """A snapshot that fulfilled its suite. ``page`` shows each expectation and what was observed, ``report`` is the same as JSON."""

    expectations: int
    report: str
    page: str
    page_digest: str


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A search over parameters: ``value`` is what the best trial has in ``metric``, ``given`` what the parameters of model.yaml have.

    ``file`` holds every trial, as JSON; see ``pipelines.search``.
    """

    trials: int
    folds: int
    metric: str
    value: float
    given: float
    file: str


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A fitted estimator in skops format, the parameters that it was made with, and what it printed while it was fitted."""

    model: str
    digest: str
    rows: int
    log: str
    parameters: Parameters
    search: Searched | None = None


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The model's own tests, all passed."""

    passed: int


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Challenger minus champion in one metric on the same holdout rows; see ``infra.release.Comparison``."""

    champion: int
    metric: str
    difference: Interval
    margin: float
    rows: int
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Metrics on the holdout; ``allowed_because`` is the reason from model.yaml when too little evidence was let through.

    ``detail`` is the file of what lies beneath them; see ``pipelines.detail``.
    """

    metrics: dict[str, Interval]
    comparison: Comparison | None
    allowed_because: str | None
    detail: str


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """A built Bento with the model inside. ``difference`` is the largest one in probability between ``runtime`` and scikit-learn."""

    bento: str
    digest: str
    runtime: str
    fallback_because: str | None
    difference: float
    golden_count: int
    golden_digest: str


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The packaged service, started as it will be and asked all its golden requests."""

    matched: int


@dataclass(frozen=True, kw_only=True)
class Imaged:
    """The release's image: its name with its digest, its manifest's blob, and its list of packages. All None where none was asked for."""

    image: str | None = None
    manifest: str | None = None
    sbom: str | None = None
    sbom_digest: str | None = None
    megabytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A version in MLflow's registry and the run that it came from."""

    run: str
    version: int


@dataclass(frozen=True, kw_only=True)
class Carded:
    """The evidence card: a page, its summary, and its verdict in one sentence."""

    page: str
    page_digest: str
    summary: str
    summary_digest: str
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The release: its number, the path of its record and the record's digest."""

    release: int
    path: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Signed:
    """The envelope beside the record, and the id of the key that signed it."""

    path: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Announced:
    """The registry says ``released`` of the version."""

    version: int
    note: str = field(default="")
