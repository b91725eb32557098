"""One line of the benchmark: a number, what it shall be, what no code could better, and why it is not as it shall be."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 120


@dataclass(frozen=True, kw_only=True)
class Row:
    """A measured value. ``most`` or ``least`` is the goal; ``floor`` says what limits the value; ``parts`` are measured beside it.

    ``why`` explains a goal that was not reached, in numbers of the same run.
    """

    name: str
    value: float
    unit: str = "x"
    most: float | None = None
    least: float | None = None
    floor: str = ""
    why: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_reached(self) -> bool | None:
        """Whether the goal was reached; None without a goal."""
        if self.most is not None:
            return self.value <= self.most
        return None if self.least is None else self.value >= self.least

    def as_dict(self) -> dict[str, Any]:
        """The row as it stands in the JSON file, and as every part of the benchmark hands it over."""
        goal = f"<= {self.most:g}" if self.most is not None else "" if self.least is None else f">= {self.least:g}"
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "goal": goal,
            "floor": self.floor,
            "reached": self.is_reached,
            "why": "" if self.is_reached is not False else self.why,
            "parts": dict(self.parts),
        }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows for a terminal; under them, for each goal that was not reached, why."""
    header = ("measured", "value", "goal", "", "floor")
    lines = [(row["name"], _number(row["value"], row["unit"]), str(row["goal"]), _verdict(row), _floor(row)) for row in rows]
    widths = [max(len(line[column]) for line in [header, *lines]) for column in range(len(header))]
    text = [_line(header, widths), _line(tuple("-" * width for width in widths), widths), *(_line(line, widths) for line in lines)]
    missed = [row for row in rows if row["reached"] is False]
    if missed:
        text += ["", "Not reached:"]
        text += [_paragraph(f"{row['name']}: {row.get('why') or _beside_floor(row)}") for row in missed]
    return "\n".join(text)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    name, value, *rest = zip(cells, widths, strict=True)
    return "  ".join([name[0].ljust(name[1]), value[0].rjust(value[1]), *(cell.ljust(width) for cell, width in rest)]).rstrip()


def _number(value: float, unit: str) -> str:
    shown = f"{value:.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"
    return f"{shown} {unit}".strip()


def _floor(row: Mapping[str, Any]) -> str:
    floor = row["floor"]
    return _number(floor, row["unit"]) if isinstance(floor, int | float) else floor or ""


def _beside_floor(row: Mapping[str, Any]) -> str:
    floor = row["floor"]
    if isinstance(floor, int | float) and floor:
        return f"{_number(row['value'], row['unit'])} is {row['value'] / floor:.2f} times the floor of {_number(floor, row['unit'])}"
    return "no cause was measured"


def _verdict(row: Mapping[str, Any]) -> str:
    return {True: "reached", False: "NOT REACHED", None: ""}[row["reached"]]


def _paragraph(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="- ", subsequent_indent="  ")
