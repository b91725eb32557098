"""A card's summary in Markdown, for a pull request: at most 10 kB, whatever the number of classes and columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipelines.card.content import Card
from pipelines.card.wording import bounds, interval, number

MAXIMUM_BYTES = 10_000
ROWS = 8
CELL = 120


def summary(card: Card) -> str:
    """Verdict, what to look at, metrics, then the rest as far as it fits; what is left out is said."""
    parts = list(_parts(card))
    text = "\n".join(parts)
    while len(text.encode()) > MAXIMUM_BYTES:
        parts.pop(-2)
        text = "\n".join([*parts[:-1], "*Shortened: the page has all of it.*\n", parts[-1]])
    return text


def _parts(card: Card) -> Iterator[str]:
    yield f"## {card.model} {card.release}\n\n**{_cell(card.verdict, 600)}**\n"
    if card.notes:
        yield "\n".join(f"- {_cell(note, 400)}" for note in card.notes) + "\n"
    yield _metrics(card)
    yield _gates(card)
    if card.rollouts:
        yield _rollouts(card)
    yield _lineage(card)
    if card.golden and card.golden.otherwise:
        yield _golden(card)
    if card.data:
        yield _data(card)
    if card.detail.classes:
        yield _classes(card)
    yield f"The page beside this file, {card.release}.html, has the drawings and every row.\n"


def _metrics(card: Card) -> str:
    head = ["Metric", f"Release {card.release}", *([f"Champion {card.champion}", "Difference"] if card.champion else []), "Threshold"]
    rows = [
        [
            each.name,
            f"**{number(each.release.value)}** {bounds(each.release)}",
            *(
                [interval(each.champion) if each.champion else "", interval(each.difference, signed=True) if each.difference else ""]
                if card.champion
                else []
            ),
            each.threshold or "none",
        ]
        for each in card.metrics
    ]
    return f"### Metrics on {card.detail.rows} holdout rows\n\n" + _table(head, rows)


def _gates(card: Card) -> str:
    told = "; ".join(f"{each.name} **{each.verdict}** ({_cell(each.found, 160)})" for each in card.gates)
    return f"### Gates\n\n{told}\n"


def _golden(card: Card) -> str:
    golden = card.golden
    if golden is None:
        return ""
    rows = [
        [
            ", ".join(f"{name} {value}" for name, value in each.inputs.items())
            + (" (made up to try the limits)" if each.is_corner else ""),
            each.release,
            each.champion,
        ]
        for each in golden.examples[:ROWS]
    ]
    title = f"### {golden.otherwise} of {golden.asked} golden requests are answered otherwise\n\n"
    return title + _table(["Request", f"Release {card.release}", f"Champion {card.champion}"], rows)


def _data(card: Card) -> str:
    data = card.data
    if data is None:
        return ""
    widest = sorted(data.columns, key=lambda each: -each.psi)[:ROWS]
    rows = [
        [each.name, number(each.psi), number(each.kl), number(each.chance), each.effect if each.is_beyond_chance else "within chance"]
        for each in widest
    ]
    title = f"### Data: {data.rows_before} → {data.rows} rows, {data.new_rows} new, {data.gone_rows} gone\n\n"
    more = f"\n{len(data.columns) - ROWS} more columns shifted less.\n" if len(data.columns) > ROWS else ""
    return title + _table(["Column", "PSI", "KL", "Chance", "Shift"], rows) + more


def _classes(card: Card) -> str:
    weakest = sorted(card.detail.classes, key=lambda each: each.recall.value if each.recall else 2.0)[:ROWS]
    rows = [
        [
            each.label,
            str(each.rows),
            interval(each.recall) if each.recall else "no rows",
            number(each.champion_recall.value) if each.champion_recall else "",
            interval(each.precision) if each.precision else "never answered",
        ]
        for each in weakest
    ]
    title = "### By class" if len(card.detail.classes) <= ROWS else f"### The {ROWS} weakest of {len(card.detail.classes)} classes"
    return f"{title}\n\n" + _table(["Class", "Rows", "Found", "Found by champion", "Right"], rows)


def _rollouts(card: Card) -> str:
    lines = []
    for each in card.rollouts[:ROWS]:
        changes = [f"{stack.name} `champion: {stack.champion or 'none'}` → `champion: {card.release}`" for stack in each.stacks[:ROWS]]
        lines.append(f"- {', '.join(changes)}; {each.plan}. Back: {each.way_back}.")
    return "### Rollout and way back\n\n" + "\n".join(lines) + "\n"


def _lineage(card: Card) -> str:
    return "### Made from\n\n" + "\n".join(f"- {each.name}: {_cell(each.value, 200)}" for each in card.lineage) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows)]) + "\n"


def _cell(text: str, limit: int = CELL) -> str:
    """Text that cannot break out of its line: one line, cut, with what Markdown or HTML would take as theirs made harmless."""
    line = " ".join(text.split())
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    for character in "\\`|<>":
        line = line.replace(character, f"\\{character}" if character != "<" else "&lt;")
    return line.replace("](", "]\\(")
