"""Documents promise nothing that is not there, each rule seen to fail on a small bad example."""

from __future__ import annotations

import pytest

from pipelines.__main__ import COMMANDS
from tests.contracts import documents as rules
from tests.contracts.files import make_targets
from tests.contracts.repository import files, text_of

DOCUMENTS = [path for path in files() if path.endswith(".md")]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_what_a_document_names_is_there(path: str) -> None:
    text = text_of(path)
    assert rules.unknown_targets(text, make_targets(text_of("Makefile"))) == []
    assert rules.unknown_commands(text, COMMANDS) == []
    assert rules.missing_paths(text, files()) == []


def test_an_unknown_target_is_found() -> None:
    text = "`make up`, to make fun, `make fun`\n```sh\nmake more\n```\n"
    assert rules.unknown_targets(text, ["up"]) == ["more", "fun"]


def test_an_unknown_command_is_found() -> None:
    assert rules.unknown_commands("`python -m pipelines up` and `python -m pipelines fly`", {"up": 1}) == ["fly"]


def test_a_missing_path_is_found() -> None:
    text = "`infra/config.py` `config.py` `infra/` `infra/gone.py` `gone/` `old.py` `.local/state` `steps` `{a: 1}`\n```\n`no.py`\n```\n"
    assert rules.missing_paths(text, ["infra/config.py"]) == ["infra/gone.py", "gone/", "old.py"]
