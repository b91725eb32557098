"""A card's words, its summary under 10 kB, and its page, from values made up; Chromium looks at pages in tests/pipelines."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipelines.artifacts import Comparison, Interval
from pipelines.card import charts, wording
from pipelines.card.content import Metric
from pipelines.card.page import page
from pipelines.card.summary import MAXIMUM_BYTES, summary
from pipelines.detail import Slice
from pipelines.gates import MEANINGS
from pipelines.record import GATES
from tests.cards import LESS, SOME, card


def comparison(verdict: str, low: float, value: float, high: float, metric: str = "accuracy") -> Comparison:
    difference = Interval(value=value, low=low, high=high)
    return Comparison(champion=4, metric=metric, difference=difference, margin=0.1, rows=50, verdict=verdict)


def metric(name: str, *, is_lower_better: bool = False, difference: Interval | None = None) -> Metric:
    return Metric(name=name, release=SOME, champion=None, difference=difference, threshold="", is_lower_better=is_lower_better)


@pytest.mark.parametrize(
    ("compared", "allowed", "words", "tone"),
    [
        (None, None, "Release 5 of iris was compared with no champion: accuracy", "same"),
        (comparison("pass", -0.08, -0.02, 0.04), None, "Release 5 is not worse than champion 4", "same"),
        (comparison("pass", 0.01, 0.02, 0.04), None, "Release 5 is better than champion 4", "good"),
        (comparison("not enough evidence", -0.2, 0, 0.2), "a trial", "The holdout cannot tell whether release 5", "unsure"),
        (comparison("pass", 0.01, 0.02, 0.04, metric="mae"), None, "Release 5 is not worse than champion 4", "same"),
        (comparison("pass", -0.04, -0.02, -0.01, metric="mae"), None, "Release 5 is better than champion 4", "good"),
    ],
)
def test_the_verdict_is_one_sentence(compared: Comparison | None, allowed: str | None, words: str, tone: str) -> None:
    metrics = [metric("accuracy"), metric("mae", is_lower_better=True)]
    sentence, found = wording.verdict("iris", 5, metrics, compared, 50, allowed)
    assert sentence.startswith(words)
    assert sentence.endswith(".")
    assert found == tone


def test_only_the_first_release_is_said_to_be_the_first() -> None:
    sentence, _ = wording.verdict("iris", 1, [metric("accuracy")], None, 50, None)
    assert sentence.startswith("Release 1 is the first of iris, with nothing to compare it with: accuracy")


@pytest.mark.parametrize(
    ("is_regression", "value", "words"),
    [
        (False, -0.02, "Furthest behind the champion where size is above 3: accuracy −0.020"),
        (False, 0.02, "No slice of the holdout is behind the champion."),
        (True, 0.02, "Furthest behind the champion where size is above 3: mean absolute error +0.020"),
        (True, -0.02, "No slice of the holdout is behind the champion."),
    ],
)
def test_a_slice_is_behind_only_where_it_is(is_regression: bool, value: float, words: str) -> None:
    apart = Interval(value=value, low=value - 0.01, high=value + 0.01)
    one = Slice(column="size", values="above 3", rows=9, release=SOME, champion=SOME, difference=apart)
    detail = replace(
        card(is_regression=is_regression).detail, slices=[one], slice_metric="mean absolute error" if is_regression else "accuracy"
    )
    assert any(note.startswith(words) for note in wording.notes([metric("accuracy")], detail, None, None, None))


def test_too_little_evidence_that_was_let_through_says_why() -> None:
    sentence, _ = wording.verdict(
        "iris", 5, [metric("accuracy")], comparison("not enough evidence", -0.2, 0, 0.2), 50, "a trial on one site"
    )
    assert "a trial on one site" in sentence


def test_a_metric_that_fell_for_certain_is_the_first_note() -> None:
    worse = Interval(value=0.15, low=0.13, high=0.17)
    found = wording.notes(
        [metric("log-loss", is_lower_better=True, difference=worse), metric("accuracy", difference=worse)], card().detail, None, None, None
    )
    assert found[0].startswith("Worse in log-loss: +0.150 [+0.130, +0.170]")
    assert not any("Worse in accuracy" in note for note in found)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0.000"), (-0.0001, "0.000"), (-0.02, "−0.020"), (0.5, "+0.500"), (46.27, "+46.27"), (12345.6, "+12,346")]
)
def test_numbers_have_as_many_digits_as_help(value: float, text: str) -> None:
    assert wording.number(value, signed=True) == text


@pytest.mark.parametrize("classes", [3, 300])
@pytest.mark.parametrize("text", ["plain", "x" * 5000, "| a `b` <script> \n\n# c"], ids=["plain", "long", "markup"])
def test_a_summary_is_under_10_kb_and_says_what_matters(classes: int, text: str) -> None:
    found = summary(card(classes=classes, columns=200, text=text))
    assert len(found.encode()) <= MAXIMUM_BYTES
    assert found.startswith("## churn 2\n\n**Release 2 is a release:")
    assert "| accuracy |" in found
    assert "### Gates" in found
    assert "<script>" not in found
    assert "2.html" in found


def test_a_table_of_a_summary_keeps_its_columns_whatever_the_data_says() -> None:
    lines = [line for line in summary(card(text="a | b")).splitlines() if line.startswith("| ")]
    for line in lines:
        assert line.replace("\\|", "").count("|") >= 3
    request = next(line for line in lines if "made up to try" in line)
    assert request.replace("\\|", "").count("|") == 4


def test_a_summary_holds_no_link_that_the_data_made_up() -> None:
    found = summary(card(text="![x](http://127.0.0.1/x.png) [y](http://127.0.0.1/y) `code`"))
    assert "](" not in found
    assert found.count("`") - found.count("\\`") == 2 * found.count("`champion: ")


def test_sections_follow_what_the_evaluation_holds() -> None:
    of_classes, of_values, first = page(card()), page(card(is_regression=True)), page(card(champion=None))
    assert 'id="classes"' in of_classes and 'id="residuals"' not in of_classes
    assert 'id="residuals"' in of_values and 'id="classes"' not in of_values and 'id="confusion"' not in of_values
    assert 'id="data"' not in first and 'id="answers"' not in first and 'id="gates"' in first


@pytest.mark.parametrize("made_up", [card(), card(classes=40), card(is_regression=True), card(champion=None)])
def test_a_page_is_whole_and_asks_for_nothing(made_up: object) -> None:
    found = page(made_up)  # type: ignore[arg-type]
    parser = _Balanced()
    parser.feed(found)
    assert parser.open == []
    assert [each for each in parser.links if not each.startswith(("data:", "#"))] == []
    assert "script" not in parser.seen


def test_a_page_does_not_run_what_the_data_says() -> None:
    assert "<script>" not in page(card(text="<script>alert(1)</script>"))


def test_every_gate_of_a_record_has_a_meaning() -> None:
    assert tuple(MEANINGS) == GATES
    told = (Path(__file__).parents[3] / "docs" / "how-to" / "gates.md").read_text(encoding="utf-8")
    assert [gate for gate in GATES if f"| `{gate}` |" not in told] == []


def test_drawings_keep_inside_and_have_names() -> None:
    wide = Interval(value=5.0, low=-1e9, high=1e9)
    for drawing in (
        charts.margin(wide, accepted=0.1, is_lower_better=True, name="a < b"),
        charts.margin(replace(LESS, value=0.0, low=0.0, high=0.0), accepted=0.0, is_lower_better=False, name="a < b"),
        charts.reliability([], [], is_share=True, said="said", was="was", name="a < b"),
        charts.spread([0.0] * 5, None, "a < b"),
        charts.stairs([], "a < b"),
    ):
        assert 'aria-label="a &lt; b"' in drawing
        assert "nan" not in drawing and "inf" not in drawing


class _Balanced(HTMLParser):
    """Which elements are still open, which were seen, and what addresses the page names."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "action", "data", "srcset", "xlink:href"}]
        if tag not in {"meta", "link", "br", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open = [each for at, each in enumerate(self.open) if (at, each) != (len(self.open) - 1, tag)]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:], self.getpos())
        self.open.pop()
