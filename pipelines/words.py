"""A step's finding in a few words, for people who watch a run."""

from __future__ import annotations

from functools import singledispatch

from pipelines import artifacts


@singledispatch
def describe(artifact: object) -> str:
    """What a step found, on one line."""
    return str(artifact)


@describe.register
def _(found: artifacts.Snapshot) -> str:
    learned = found.rows - found.holdout_rows
    return (
        f"{found.rows} rows ({learned} to learn from, {found.holdout_rows} held out), {found.first} to {found.last}, {short(found.digest)}"
    )


@describe.register
def _(found: artifacts.Interface) -> str:
    return "breaks no consumer" + (f" of release {found.compared_with}" if found.compared_with else ", there is none yet")


@describe.register
def _(found: artifacts.Validation) -> str:
    return f"{found.expectations} expectations fulfilled"


@describe.register
def _(found: artifacts.Trained) -> str:
    best = f", best of {found.search.trials} trials by {found.search.metric}" if found.search else ""
    return f"on {found.rows} rows{best}, {short(found.digest)}"


@describe.register
def _(found: artifacts.Tested) -> str:
    return f"{found.passed} tests passed"


@describe.register
def _(found: artifacts.Evaluation) -> str:
    metrics = ", ".join(f"{name} {interval(value)}" for name, value in found.metrics.items())
    against = found.comparison
    if against is None:
        return f"{metrics}; no champion to compare with"
    verdict = (
        f"{against.metric} {interval(against.difference, signed=True)} against {against.champion} on {against.rows} rows: {against.verdict}"
    )
    return f"{metrics}; {verdict}"


@describe.register
def _(found: artifacts.Packaged) -> str:
    why = f" ({found.fallback_because})" if found.fallback_because else f", at most {found.difference:.1g} from scikit-learn"
    return f"{found.runtime}{why}, {found.golden_count} golden requests, {short(found.digest)}"


@describe.register
def _(found: artifacts.Verified) -> str:
    return f"{found.matched} golden answers as recorded, over HTTP"


@describe.register
def _(found: artifacts.Registered) -> str:
    return f"MLflow version {found.version}, run {found.run[:8]}"


@describe.register
def _(found: artifacts.Carded) -> str:
    return found.verdict


@describe.register
def _(found: artifacts.Recorded) -> str:
    return found.path


@describe.register
def _(found: artifacts.Imaged) -> str:
    name, _, digest = (found.image or "none@").partition("@")
    return f"{name}@{short(digest)}, {found.megabytes} MB unpacked"


@describe.register
def _(found: artifacts.Signed) -> str:
    return f"{found.path}, key {found.key[:12]}"


@describe.register
def _(found: artifacts.Announced) -> str:
    return found.note or f"MLflow version {found.version} is released"


def interval(found: artifacts.Interval, *, signed: bool = False) -> str:
    """A value with its interval, three digits."""
    sign = "+" if signed else ""
    return f"{found.value:{sign}.3f} [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"


def short(digest: str) -> str:
    """The first characters of a digest, enough to tell two apart."""
    return digest.removeprefix("sha256:")[:12]
