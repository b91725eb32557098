"""A card as one HTML page that holds all that it needs: style and drawings inside, no script, nothing from the network."""

from __future__ import annotations

import math
from pathlib import Path

from markupsafe import Markup

from pipelines.artifacts import Interval
from pipelines.card import charts, wording
from pipelines.card.content import Card
from pipelines.detail import Detail

FOLDER = Path(__file__).parent
FEW_CLASSES = 10
"""So many classes have their confusion matrix written out; more are drawn, and the most frequent mix-ups listed."""
SHOWN_CLASSES = 30
SHOWN_SLICES = 10
SHOWN_COLUMNS = 40
MIX_UPS = 12


def page(card: Card) -> str:
    """The whole page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": wording.number,
        "interval": wording.interval,
        "bounds": wording.bounds,
        "short": _short,
        "heat": _heat,
    }
    return environment.get_template("page.html").render(
        card=card,
        detail=card.detail,
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        draw=_Drawings(card),
        mix_ups=mix_ups(card.detail),
        is_share=bool(card.detail.classes),
        few_classes=FEW_CLASSES,
        shown_classes=SHOWN_CLASSES,
        slices=card.detail.slices[:SHOWN_SLICES],
        columns=sorted(card.data.columns, key=lambda each: -each.psi)[:SHOWN_COLUMNS] if card.data else [],
    )


def mix_ups(detail: Detail) -> list[tuple[str, str, int, int | None]]:
    """What is taken for what most often: truth, answer, rows of the release, and of the champion."""
    found = detail.confusion
    if found is None:
        return []
    pairs = [
        (found.labels[at], found.labels[other], rows, None if found.champion is None else found.champion[at][other])
        for at, row in enumerate(found.release)
        for other, rows in enumerate(row)
        if at != other and (rows or (found.champion is not None and found.champion[at][other]))
    ]
    return sorted(pairs, key=lambda each: (-each[2], each[0], each[1]))[:MIX_UPS]


class _Drawings:
    """The drawings of one card, each with the name that a screen reader says."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self._who = f"release {card.release}" + (f", champion {card.champion}" if card.champion else "")

    def metric(self, name: str) -> Markup:
        """A metric's intervals, on a scale of its own."""
        each = next(metric for metric in self._card.metrics if metric.name == name)
        ends = [value for found in (each.release, each.champion) if found for value in (found.low, found.high, found.value)]
        pad = 0.15 * (max(ends) - min(ends)) or 1.0
        low, high = min(ends) - pad, max(ends) + pad
        return Markup(charts.strip(each.release, each.champion, low=low, high=high))

    def share(self, release: Interval, champion: Interval | None) -> Markup:
        """Two shares, from the lowest of all classes to 1."""
        return Markup(charts.strip(release, champion, low=self.lowest_share, high=1.0))

    @property
    def lowest_share(self) -> float:
        """Where the scale of the shares begins: a tenth below or at the lowest end of an interval."""
        ends = [
            found.low
            for each in self._card.detail.classes
            for found in (each.recall, each.champion_recall, each.precision, each.champion_precision)
            if found
        ]
        return math.floor(10 * min(ends, default=0.0)) / 10

    def behind(self, difference: Interval) -> Markup:
        """A difference, on the scale that all slices shown share."""
        shown = [each.difference for each in self._card.detail.slices[:SHOWN_SLICES] if each.difference]
        reach = max([abs(value) for each in shown for value in (each.low, each.high)] + [1e-9])
        return Markup(charts.strip(difference, None, low=-reach, high=reach, mark=0.0))

    def margin(self) -> Markup:
        """The comparison that decides."""
        found = self._card.comparison
        if found is None:
            return Markup("")
        is_lower_better = any(each.is_lower_better for each in self._card.metrics if each.name == found.metric)
        name = (
            f"Difference in {found.metric}, release {self._card.release} minus champion {found.champion}: "
            f"{wording.interval(found.difference, signed=True)}; at most {found.margin:g} worse is accepted"
        )
        return Markup(charts.margin(found.difference, accepted=found.margin, is_lower_better=is_lower_better, name=name))

    def calibration(self) -> Markup:
        """Said against was."""
        found = self._card.detail.calibration
        if found is None:
            return Markup("")
        is_share = bool(self._card.detail.classes)
        said, was = ("probability given", "share that was right") if is_share else ("answer", "truth")
        name = f"Calibration of {self._who}: {found.what}, in groups of rows; the table beside it has the numbers"
        return Markup(charts.reliability(found.release, found.champion or [], is_share=is_share, said=said, was=was, name=name))

    def heat(self, matrix: list[list[int]], whose: str) -> Markup:
        """A matrix of many classes."""
        found = self._card.detail.confusion
        labels = found.labels if found else []
        return Markup(
            charts.heat(matrix, labels, f"Confusion matrix of {whose}, {len(labels)} classes; the most frequent mix-ups are listed")
        )

    def residuals(self) -> Markup:
        """Answer minus truth."""
        found = self._card.detail.residuals
        return Markup("") if found is None else Markup(charts.spread(found.release, found.champion, f"Residuals of {self._who}"))

    def column(self, name: str) -> Markup:
        """A column's two histograms."""
        data = self._card.data
        each = next(column for column in data.columns if column.name == name) if data else None
        return Markup("") if each is None else Markup(charts.bars(each.before, each.after))

    def stairs(self, at: int) -> Markup:
        """A rollout."""
        found = self._card.rollouts[at]
        return Markup(charts.stairs(found.stages, f"Share of traffic of the new release, stage by stage: {found.plan}"))


def _heat(share: int) -> float:
    """How much of a cell's hue stands for a share in percent; between 40 and 80 neither dark nor light text could be read on it."""
    return 0.8 * share if share <= 50 else 80 + 0.4 * (share - 50)


def _short(text: str) -> str:
    return text if len(text) <= 28 else text[:27] + "…"
