"""The page that people read says what the rules say."""

from __future__ import annotations

from policy import check, reference


def test_the_page_is_current() -> None:
    assert reference.FILE.read_text(encoding="utf-8") == reference.page(), "run: python -m policy.reference"


def test_every_rule_is_on_it() -> None:
    page = reference.page()
    assert [rule.name for rule in check.RULES if f"| `{rule.name}` |" not in page] == []
