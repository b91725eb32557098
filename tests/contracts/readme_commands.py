"""README's commands, each with the test that runs it (``file::function``). A command that is not here fails the contract."""

from __future__ import annotations

TESTED_BY: dict[str, str] = {}
