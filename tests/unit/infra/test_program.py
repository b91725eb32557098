"""What the program does before it declares anything."""

from __future__ import annotations

import pulumi
import pytest

from stacks.program import drop_debug_lines


def test_debug_lines_reach_the_engine_only_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "debug", said.append)
    drop_debug_lines({"MLDELIVERY_DEBUG": "1"})
    pulumi.log.debug("asked for")
    drop_debug_lines({})
    pulumi.log.debug("not asked for")
    assert said == ["asked for"]
