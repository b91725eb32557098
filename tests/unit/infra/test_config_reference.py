from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra import config_reference

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "config.md"


def test_the_page_is_the_one_of_the_types() -> None:
    assert PAGE.read_text(encoding="utf-8") == config_reference.markdown(), "run: python -m infra.config_reference"


@pytest.mark.parametrize("section", [section for _, _, section in config_reference.SECTIONS])
def test_every_key_stands_there_with_a_value_and_a_meaning(section: Any) -> None:
    rows = {row.split("`")[1]: row for row in config_reference.markdown().splitlines() if row.startswith("| `")}
    for name, field in section.model_fields.items():
        cells = [cell.strip() for cell in rows[field.alias or name].strip("|").split(" | ")]
        assert len(cells) == 4 and all(cells), cells


def test_bounds_and_defaults_are_those_of_the_types() -> None:
    page = config_reference.markdown()
    assert "| `p99-ms` | number above 0 to 60,000 | `250` |" in page
    assert '| `strategy` | `canary` or `blue-green` | `"canary"` |' in page
    assert "| `champion` | a release's number, or `none` | required |" in page


def test_both_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_reference, "DOCS", tmp_path)
    config_reference.main()
    assert (tmp_path / "how-to" / "config.md").read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
    assert (tmp_path / "stack.schema.json").read_bytes() == (PAGE.parents[1] / "stack.schema.json").read_bytes()
