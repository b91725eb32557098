"""Drawings of a card as inline SVG. Colours and type come from the page's style, so that they are right in light, in dark and in print.

The small ones stand in a table's row, whose numbers say the same, and are hidden from screen readers; the others have a name and a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from pipelines.artifacts import Interval
from pipelines.card.content import Stage
from pipelines.card.wording import number
from pipelines.detail import Bin

STRIP = 150
"""Width of the small drawings, in pixels; they are never scaled."""


def strip(release: Interval, champion: Interval | None, *, low: float, high: float, mark: float | None = None) -> str:
    """Two intervals, the release's above the champion's, on a scale from ``low`` to ``high``; ``mark`` is a line, such as zero."""
    height = 24 if champion else 14
    parts = [f'<line class="track" x1="0" x2="{STRIP}" y1="{y}" y2="{y}"/>' for y in ((7, 17) if champion else (7,))]
    if mark is not None and low <= mark <= high:
        at = _at(mark, low, high, STRIP)
        parts.append(f'<line class="mark" x1="{at}" x2="{at}" y1="0" y2="{height}"/>')
    parts += _interval(release, low, high, STRIP, y=7, name="release", radius=3.5)
    if champion:
        parts += _interval(champion, low, high, STRIP, y=17, name="champion", radius=3)
    return _small(STRIP, height, parts)


def bars(before: Sequence[float], after: Sequence[float]) -> str:
    """Two histograms over the same bins: the release's as bars, the champion's as an outline."""
    width, height = STRIP, 34
    top = max([*before, *after, 1e-9])
    step = width / len(after)
    gap = min(2.0, step / 5)
    parts = []
    for at, share in enumerate(after):
        tall = share / top * (height - 2)
        parts.append(
            f'<rect class="bar" x="{_f(at * step + gap / 2)}" y="{_f(height - tall)}" width="{_f(step - gap)}" height="{_f(tall)}"/>'
        )
    points = [f"M0 {height}"]
    for at, share in enumerate(before):
        y = _f(height - share / top * (height - 2))
        points += [f"L{_f(at * step)} {y}", f"L{_f((at + 1) * step)} {y}"]
    parts.append(f'<path class="outline" d="{" ".join([*points, f"L{width} {height}"])}"/>')
    return _small(width, height, parts)


def margin(difference: Interval, *, accepted: float, is_lower_better: bool, name: str) -> str:
    """The paired difference on one axis with zero, and the zone that is worse than accepted."""
    width, axis = 420, 92
    limit = accepted if is_lower_better else -accepted
    reach = 1.25 * max(abs(difference.low), abs(difference.high), accepted, 1e-6)
    zero, edge, middle = (_at(value, -reach, reach, width) for value in (0.0, limit, difference.value))
    start, end, anchor = (edge, width, "end") if is_lower_better else (0.0, edge, "start")
    words = f"refused {'above' if is_lower_better else 'below'} {number(limit, signed=True)}"
    left, right = ("better", "worse") if is_lower_better else ("worse", "better")
    shown = number(difference.value, signed=True)
    parts = [
        f'<rect class="refused" x="{_f(start)}" y="18" width="{_f(end - start)}" height="{axis - 18}"/>',
        f'<text class="refusal" x="{width if is_lower_better else 0}" y="11" text-anchor="{anchor}">{words}</text>',
        f'<line class="axis" x1="0" x2="{width}" y1="{axis}" y2="{axis}"/>',
        f'<line class="mark" x1="{zero}" x2="{zero}" y1="18" y2="{axis}"/>',
        f'<line class="limit" x1="{edge}" x2="{edge}" y1="18" y2="{axis}"/>',
        *_interval(difference, -reach, reach, width, y=60, name="release", radius=6, cap=7),
        f'<text class="strong" x="{_f(_inside(middle, 30, width))}" y="42" text-anchor="middle">{shown}</text>',
        f'<text x="{zero}" y="{axis + 17}" text-anchor="middle">0, the same</text>',
        f'<text class="soft" x="0" y="{axis + 17}">\u2190 {left}</text>',
        f'<text class="soft" x="{width}" y="{axis + 17}" text-anchor="end">{right} \u2192</text>',
    ]
    return _named(width, axis + 24, parts, name)


def reliability(release: Sequence[Bin], champion: Sequence[Bin], *, is_share: bool, said: str, was: str, name: str) -> str:
    """What answers said against what was so, one dot a bin, with the diagonal on which answers can be taken at their word."""
    left, top, bottom = 46, 26, 40
    width, height = 360, 366
    both = [*release, *champion]
    ends = [0.0, 1.0] if is_share else [value for each in both for value in (each.said, each.was.low, each.was.high)]
    low, high = min(ends), max(ends)
    pad = 0.0 if is_share else 0.04 * (high - low or 1.0)
    low, high = low - pad, high + pad

    def x(value: float) -> float:
        return left + _at(value, low, high, width - left - 8)

    def y(value: float) -> float:
        return height - bottom - _at(value, low, high, height - bottom - top)

    parts = [f'<line class="diagonal" x1="{_f(x(low))}" y1="{_f(y(low))}" x2="{_f(x(high))}" y2="{_f(y(high))}"/>']
    for value in _ticks(low, high):
        parts += [
            f'<line class="grid" x1="{left}" x2="{width - 8}" y1="{_f(y(value))}" y2="{_f(y(value))}"/>',
            f'<text x="{left - 8}" y="{_f(y(value) + 4)}" text-anchor="end">{_short(value)}</text>',
            f'<text x="{_f(x(value))}" y="{height - bottom + 18}" text-anchor="middle">{_short(value)}</text>',
        ]
    most = max((each.rows for each in both), default=1)
    for bins, which in ((champion, "champion"), (release, "release")):
        for each in bins:
            at = _f(x(each.said))
            radius = _f(3 + 5 * (each.rows / most) ** 0.5)
            parts += [
                f'<line class="{which}" x1="{at}" x2="{at}" y1="{_f(y(max(low, each.was.low)))}" y2="{_f(y(min(high, each.was.high)))}"/>',
                f'<circle class="{which}" cx="{at}" cy="{_f(y(each.was.value))}" r="{radius}"/>',
            ]
    parts += [
        f'<text class="soft" x="{width - 8}" y="{height - 4}" text-anchor="end">{escape(said)} \u2192</text>',
        f'<text class="soft" x="{left}" y="12">\u2191 {escape(was)}</text>',
    ]
    return _named(width, height, parts, name)


def heat(matrix: Sequence[Sequence[int]], labels: Sequence[str], name: str) -> str:
    """A confusion matrix of many labels: a square for each pair, darker for a larger share of its row."""
    count = len(labels)
    cell = max(4.0, min(22.0, 340 / count))
    size = cell * count
    parts = [f'<rect class="frame" x="0" y="0" width="{_f(size)}" height="{_f(size)}"/>']
    for at, row in enumerate(matrix):
        total = sum(row)
        for other, rows in enumerate(row):
            if rows:
                title = f"<title>{escape(labels[at])}, answered {escape(labels[other])}: {rows} of {total}</title>"
                parts.append(
                    f'<rect class="{"right" if at == other else "wrong"}" x="{_f(other * cell)}" y="{_f(at * cell)}" width="{_f(cell)}"'
                    f' height="{_f(cell)}" fill-opacity="{0.06 + 0.94 * rows / total:.2f}">{title}</rect>'
                )
    return _named(size, size, parts, name)


def spread(quantiles: Sequence[float], champion: Sequence[float] | None, name: str) -> str:
    """Residuals as two boxes, each from 25 to 75 % with its median, and a line from 5 to 95 %."""
    width, height = 360, 92
    ends = [abs(value) for value in (*quantiles, *(champion or ()))]
    reach = 1.1 * max([*ends, 1e-9])
    zero = _at(0, -reach, reach, width)
    parts = [f'<line class="mark" x1="{zero}" x2="{zero}" y1="4" y2="66"/>']
    for which, values, y in (("release", quantiles, 20), ("champion", champion or (), 50)):
        if values:
            at = [_f(_at(value, -reach, reach, width)) for value in values]
            parts += [
                f'<line class="{which}" x1="{at[0]}" x2="{at[4]}" y1="{y}" y2="{y}"/>',
                f'<rect class="{which} box" x="{at[1]}" y="{y - 9}" width="{_f(float(at[3]) - float(at[1]))}" height="18"/>',
                f'<line class="{which} median" x1="{at[2]}" x2="{at[2]}" y1="{y - 9}" y2="{y + 9}"/>',
            ]
    parts += [
        f'<text x="{zero}" y="84" text-anchor="middle">0</text>',
        '<text class="soft" x="0" y="84">\u2190 answered too low</text>',
        f'<text class="soft" x="{width}" y="84" text-anchor="end">too high \u2192</text>',
    ]
    return _named(width, height, parts, name)


def stairs(stages: Sequence[Stage], name: str) -> str:
    """A rollout as the share of traffic that the new release gets, stage by stage."""
    width, height, base = 360, 128, 98
    step = width / max(1, len(stages))
    parts = [f'<line class="axis" x1="0" x2="{width}" y1="{base}" y2="{base}"/>']
    for at, stage in enumerate(stages):
        tall = max(1.5, stage.percent / 100 * (base - 22))
        left = at * step
        parts += [
            f'<rect class="bar" x="{_f(left + 2)}" y="{_f(base - tall)}" width="{_f(step - 4)}" height="{_f(tall)}"/>',
            f'<text class="strong" x="{_f(left + step / 2)}" y="{_f(base - tall - 6)}" text-anchor="middle">{stage.percent} %</text>',
            f'<text class="soft" x="{_f(left + step / 2)}" y="{base + 17}" text-anchor="middle">{_stage(stage)}</text>',
        ]
    return _named(width, height, parts, name)


def _stage(stage: Stage) -> str:
    if stage.percent == 0:
        return "replay"
    words = "bake " if stage.name.startswith("bake") else ""
    return f"{words}{_duration(stage.seconds)}" if stage.seconds else "switch"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def _interval(found: Interval, low: float, high: float, width: float, *, y: float, name: str, radius: float, cap: float = 0) -> list[str]:
    """A line from end to end with a dot at the value; kept inside of the drawing."""
    inner = width - 2 * radius

    def x(value: float) -> float:
        return radius + _at(min(max(value, low), high), low, high, inner)

    start, end = _f(x(found.low)), _f(x(found.high))
    parts = [f'<line class="{name}" x1="{start}" x2="{end}" y1="{y}" y2="{y}"/>']
    if cap:
        parts += [f'<line class="{name}" x1="{at}" x2="{at}" y1="{y - cap}" y2="{y + cap}"/>' for at in (start, end)]
    return [*parts, f'<circle class="{name}" cx="{_f(x(found.value))}" cy="{y}" r="{radius}"/>']


def _at(value: float, low: float, high: float, width: float) -> float:
    return round((value - low) / ((high - low) or 1.0) * width, 1)


def _inside(at: float, half: float, width: float) -> float:
    return min(max(at, half), width - half)


def _ticks(low: float, high: float) -> list[float]:
    """Four to six round values."""
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    size = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= raw * 0.999)
    return [round(at * size, 10) for at in range(math.ceil(low / size), math.floor(high / size) + 1)]


def _short(value: float) -> str:
    return f"{value:g}".replace("-", "\u2212")


def _f(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _small(width: float, height: float, parts: Sequence[str]) -> str:
    return f'<svg class="small" width="{width}" height="{height}" viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(parts)}</svg>'


def _named(width: float, height: float, parts: Sequence[str], name: str) -> str:
    title = f"<title>{escape(name)}</title>"
    return (
        f'<svg class="drawing" viewBox="0 0 {_f(width)} {_f(height)}" style="max-width:{_f(width)}px" role="img"'
        f' aria-label="{escape(name)}">{title}{"".join(parts)}</svg>'
    )
