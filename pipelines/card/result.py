"""The result of validation as one HTML page: each expectation in words, what was observed, and the rows that do not fulfil it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from pipelines import rows
from pipelines.artifacts import Snapshot
from pipelines.card import charts
from pipelines.work import Work

if TYPE_CHECKING:
    import pandas

    from pipelines.validate import Result

FOLDER = Path(__file__).parent
SHOWN_ROWS = 20
SHOWN_CHARACTERS = 120

WORDS: Mapping[str, str] = {
    "expect_table_columns_to_match_set": "has these columns and no other",
    "expect_table_row_count_to_be_between": "has enough rows",
    "expect_column_values_to_not_be_null": "is filled in every row",
    "expect_column_values_to_be_of_type": "holds numbers only",
    "expect_column_values_to_be_between": "lies in its range",
    "expect_column_unique_value_count_to_be_between": "is not the same in all rows",
    "expect_column_values_to_be_in_set": "holds known labels only",
    "expect_column_distinct_values_to_contain_set": "has rows of every label",
    "expect_column_value_lengths_to_be_between": "has texts of an allowed length",
    "expect_column_values_to_match_regex": "has no blank text",
    "expect_column_values_to_not_match_regex": "has no control characters",
    "expect_column_proportion_of_unique_values_to_be_between": "seldom repeats a text",
    "expect_compound_columns_to_be_unique": "seldom repeats a row",
    "expect_column_kl_divergence_to_be_less_than": "is distributed like the reference",
}
"""What the expectations of a suite as it is made say; of others the type stands alone."""


SMOOTHING = frozenset({"internal_weight_holdout", "tail_weight_holdout"})
"""Arguments that say how a distribution is compared, not what is allowed of it."""


def result_page(work: Work, snapshot: Snapshot, frame: pandas.DataFrame, results: Sequence[Result]) -> str:
    """The whole page. The same snapshot and suite give the same page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    failed = [each for each in results if not each.success]
    return environment.get_template("result.html").render(
        model=work.model,
        snapshot=snapshot,
        results=[*failed, *(each for each in results if each.success)],
        failed=failed,
        tables=[(each, *_offending(each, frame)) for each in failed if each.rows],
        words=WORDS,
        shown=_shown,
        smoothing=SMOOTHING,
        observed=_observed,
        parted=_parted,
        draw=lambda each: Markup(charts.bars(each.reference, each.seen)),
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
    )


def _offending(each: Result, frame: pandas.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The first offending rows: the names of what is shown of them, and the cells."""
    named = [each.column] if each.column else list(each.arguments.get("column_list", ()))
    columns = [name for name in (rows.BATCH, rows.LINE, *named) if name in frame.columns]
    found = frame[columns].iloc[list(each.rows[:SHOWN_ROWS])].values.tolist()
    heads = {rows.BATCH: "Batch", rows.LINE: "Line"}
    return [heads.get(name, name) for name in columns], [[_shown(cell) for cell in row] for row in found]


def _observed(each: Result) -> str:
    """What was observed, in a few words; of a divergence from a reference without what came, there is no number."""
    if each.observed is None and each.seen and not each.success:
        return "infinite: it holds what the reference does not"
    return "" if each.observed is None else _shown(each.observed)


def _parted(text: str) -> Markup:
    """Names that a narrow window breaks after an underscore, not anywhere."""
    return escape(text).replace("_", Markup("_<wbr>"))


def _shown(value: Any) -> str:
    """A value in a few characters; what nobody would see in a word."""
    if value is None or value != value:
        return "empty"
    if isinstance(value, str) and not value.strip():
        return "blank"
    text = f"{value:.6g}" if isinstance(value, float) else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
