"""The sentences of a card: its verdict, and what is worth a look; numbers as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.artifacts import Comparison, Interval, Searched
from pipelines.card.content import Data, Golden, Metric
from pipelines.detail import Detail, OfClass

MINUS = "\u2212"


def number(value: float, *, signed: bool = False) -> str:
    """A number with as many digits as help: three after the point for small ones, fewer for large ones; a real minus."""
    size = abs(value)
    digits = 3 if size < 10 else 2 if size < 100 else 1 if size < 10_000 else 0
    text = f"{size:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def tiny(value: float) -> str:
    """A number near zero, such as 1e−07, that no line breaks in two."""
    return f"{value:.1g}".replace("-", MINUS)


def interval(found: Interval, *, signed: bool = False) -> str:
    """A value with its 95 % interval."""
    return f"{number(found.value, signed=signed)} {bounds(found, signed=signed)}"


def bounds(found: Interval, *, signed: bool = False) -> str:
    """The interval alone."""
    return f"[{number(found.low, signed=signed)}, {number(found.high, signed=signed)}]"


def search(found: Searched) -> str:
    """How the parameters were found."""
    best = f"the best of {found.trials} trials by {found.metric}: {number(found.value)}; {number(found.given)} with those of model.yaml"
    return f"{best}. Cross-validated in {found.folds} parts of the rows to learn from"


def verdict(
    model: str, release: int, metrics: Sequence[Metric], comparison: Comparison | None, rows: int, allowed_because: str | None
) -> tuple[str, str]:
    """One sentence that says whether the release may take over, and its tone: ``good``, ``same`` or ``unsure``."""
    if comparison is None:
        first = metrics[0]
        alone = f"is the first of {model}, with nothing to compare it with" if release == 1 else f"of {model} was compared with no champion"
        return f"Release {release} {alone}: {first.name} {interval(first.release)} on {rows} holdout rows, and every gate passed.", "same"
    change = comparison.difference
    is_lower_better = any(each.is_lower_better for each in metrics if each.name == comparison.metric)
    lower = " (lower is better)" if is_lower_better else ""
    differs = f"{comparison.metric}{lower} differs by {interval(change, signed=True)} on {comparison.rows} holdout rows"
    if comparison.verdict != "pass":
        unsure = f"The holdout cannot tell whether release {release} is as good as champion {comparison.champion}: {differs}"
        return f"{unsure}; model.yaml lets it through: {str(allowed_because).rstrip('.')}.", "unsure"
    if (change.high < 0) if is_lower_better else (change.low > 0):
        return f"Release {release} is better than champion {comparison.champion}: {differs}.", "good"
    margin = f"at most {comparison.margin:g} worse is accepted"
    return f"Release {release} is not worse than champion {comparison.champion}: {differs}, and {margin}.", "same"


def notes(metrics: Sequence[Metric], detail: Detail, data: Data | None, golden: Golden | None, fallback: str | None) -> list[str]:
    """What a reviewer wants to know beside the verdict: metrics that fell, changed answers, the weakest class, slice and column."""
    found = [
        f"Worse in {each.name}: {interval(each.difference, signed=True)} against the champion, the whole interval on the wrong side of 0."
        for each in metrics
        if each.difference and (each.difference.low > 0 if each.is_lower_better else each.difference.high < 0)
    ]
    if golden is not None:
        found.append(_of_golden(golden))
    if detail.otherwise is not None and detail.classes:
        found.append(f"{detail.otherwise} of {detail.rows} holdout rows are answered otherwise than by the champion.")
    weakest = _weakest(detail.classes)
    if weakest is not None and weakest.recall is not None:
        found.append(f"Weakest class: {weakest.label}, {number(weakest.recall.value)} of its {weakest.rows} rows found.")
    behind = next((each for each in detail.slices if each.difference is not None), None)
    if behind is not None and behind.difference is not None:
        change = f"{detail.slice_metric} {interval(behind.difference, signed=True)}"
        # Of a classifier a score of 1 is right, of a regression it is an error.
        is_behind = behind.difference.value < 0 if detail.classes else behind.difference.value > 0
        found.append(
            f"Furthest behind the champion where {behind.column} is {behind.values}: {change} on {behind.rows} rows."
            if is_behind
            else "No slice of the holdout is behind the champion."
        )
    if data is not None and not data.new_rows and not data.gone_rows:
        found.append("Data: the same rows as the champion's.")
    elif data is not None and data.columns:
        widest = max(data.columns, key=lambda each: each.psi)
        how = f"a {widest.effect} shift" if widest.is_beyond_chance else "no more than chance gives"
        found.append(f"Data: {data.new_rows} new rows, {data.gone_rows} gone; {widest.name} shifted most, PSI {number(widest.psi)}, {how}.")
    if fallback:
        found.append(f"Served by skops, not ONNX: {fallback}.")
    return found


def _of_golden(golden: Golden) -> str:
    if golden.otherwise == 0:
        return f"All {golden.asked} golden requests are answered as by the champion; the furthest answer moved by {number(golden.largest)}."
    verb = "is" if golden.otherwise == 1 else "are"
    told = f"{golden.otherwise} of {golden.asked} golden requests {verb} answered otherwise than by the champion ({golden.what})"
    if golden.otherwise_at_corners:
        told += f", {golden.otherwise_at_corners} of them made up to try the limits, not taken from the data"
    return f"{told}."


def _weakest(classes: Sequence[OfClass]) -> OfClass | None:
    known = [each for each in classes if each.recall is not None]
    return min(known, key=lambda each: each.recall.value if each.recall else 1.0, default=None)
