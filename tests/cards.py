"""Cards made up for tests: of a classifier with any number of classes and columns, or of a regression; with a champion or without."""

from __future__ import annotations

from pipelines.artifacts import Comparison, Interval
from pipelines.card.content import Card, Change, Column, Data, Fact, Gate, Golden, Metric, Rollout, Stack, Stage
from pipelines.detail import Bin, Calibration, Confusion, Detail, Example, OfClass, Residuals, Slice
from pipelines.gates import MEANINGS

SOME = Interval(value=0.9, low=0.8, high=0.95)
LESS = Interval(value=-0.02, low=-0.08, high=0.04)


def card(*, classes: int = 3, columns: int = 4, champion: int | None = 1, text: str = "a text", is_regression: bool = False) -> Card:
    """A card; ``text`` stands wherever a person's or the data's own words do."""
    labels = [f"{text} {at}" for at in range(classes)]
    return Card(
        model="churn",
        kind="regression" if is_regression else "tabular",
        description=text,
        owner=text,
        release=2,
        champion=champion,
        made="2026-11-24T17:00:00Z",
        reason=text,
        verdict=f"Release 2 is a release: {text}.",
        tone="same",
        notes=[text],
        metrics=[
            Metric(
                name=name,
                release=SOME,
                champion=SOME if champion else None,
                difference=LESS if champion else None,
                threshold="at least 0.8",
                is_lower_better=name == "mae",
            )
            for name in (("mae", "r2") if is_regression else ("accuracy", "macro-f1"))
        ],
        comparison=Comparison(champion=champion, metric="accuracy", difference=LESS, margin=0.1, rows=500, verdict="pass")
        if champion
        else None,
        detail=_detail(labels, champion, text, is_regression=is_regression),
        unit=text if is_regression else "",
        rows=1000,
        holdout_rows=500,
        first="2026-09-21",
        last="2026-11-23",
        data=_data(columns, text) if champion else None,
        golden=_golden(text) if champion else None,
        golden_count=40,
        gates=[Gate(name=name, verdict="pass", meaning=meaning, found=text) for name, meaning in MEANINGS.items()],
        rollouts=[
            Rollout(
                stacks=[Stack(name=name, target="eks", champion=champion) for name in ("dev", "prod", "staging")],
                strategy="canary",
                stages=[Stage(name="golden replay", percent=0, seconds=0), Stage(name="bake at 100 %", percent=100, seconds=900)],
                slo="5xx at most 1 %",
                plan="canary: golden replay -> bake",
                way_back="the same edit in reverse",
            )
        ],
        lineage=[Fact(name="Code", value="sha256:" + 64 * "0", is_code=True), Fact(name="Parameters", value=text)],
    )


def _detail(labels: list[str], champion: int | None, text: str, *, is_regression: bool) -> Detail:
    other = SOME if champion else None
    bins = [Bin(rows=50, said=at / 10, was=SOME) for at in range(1, 10)]
    matrix = [[9 if at == column else (at + column) % 3 for column in range(len(labels))] for at in range(len(labels))]
    return Detail(
        rows=500,
        slice_metric="mean absolute error" if is_regression else "accuracy",
        slices=[
            Slice(column=text, values=f"up to {at}", rows=40, release=SOME, champion=other, difference=LESS if champion else None)
            for at in range(30)
        ],
        otherwise=3 if champion else None,
        examples=[Example(inputs={"a": text}, truth=text, release=text, champion="another")] if champion else [],
        classes=[]
        if is_regression
        else [
            OfClass(label=label, rows=30, recall=SOME, precision=None, champion_recall=other, champion_precision=other) for label in labels
        ],
        confusion=None if is_regression else Confusion(labels=labels, release=matrix, champion=matrix if champion else None),
        calibration=Calibration(what="said and was", release=bins, error=0.1, champion=bins if champion else None, champion_error=0.2),
        residuals=Residuals(release=[-9.0, -3.0, 0.0, 4.0, 8.0], champion=None) if is_regression else None,
    )


def _data(columns: int, text: str) -> Data:
    shares = [0.2, 0.5, 0.3]
    return Data(
        rows=1000,
        rows_before=700,
        new_rows=300,
        gone_rows=0,
        columns=[
            Column(
                name=f"{text} {at}",
                unit="cm",
                low="0.1",
                high="9",
                low_before="0.2",
                high_before="9",
                missing=0,
                missing_before=2,
                shift=0.1,
                psi=0.3 / (at + 1),
                kl=0.1,
                chance=0.05,
                effect="large",
                bins=["below 1", "1 to 2", "from 2"],
                before=shares,
                after=shares[::-1],
            )
            for at in range(columns)
        ],
    )


def _golden(text: str) -> Golden:
    example = Change(inputs={"a": text, "b": "2"}, release=text, champion="another", distance=0.4, is_corner=True)
    return Golden(asked=40, otherwise=3, otherwise_at_corners=1, what="another label", median=0.01, largest=0.4, examples=[example])
