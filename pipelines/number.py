"""The one number: finds and edits a model's champion in a stack's file, leaving every other character as it was."""

from __future__ import annotations

from pathlib import Path

import yaml

from infra import files
from infra.config import PROJECT, file_name
from infra.errors import ConfigError, PlatformError


def replace_champion(root: Path, stack: str, model: str, *, expected: int | None, number: int | None) -> None:
    """Write ``number`` (None: ``none``) where ``expected`` stands now, all or nothing.

    Raises ConfigError where the file has no such model or says another number by now: somebody else's edit is never written over.
    """
    path = root / file_name(stack)
    text = path.read_text(encoding="utf-8")
    scalar = _champion_node(text, model, path.name)
    if scalar.value != _word(expected):
        raise ConfigError(
            "was changed by someone else meanwhile",
            where=f"{path.name}: {PROJECT}:models.{model}.champion",
            got=scalar.value,
            allowed=_word(expected),
            act="look at it, then run the same command again",
        )
    edited = text[: scalar.start_mark.index] + _word(number) + text[scalar.end_mark.index :]
    try:
        with files.written_whole(path) as partial:
            partial.write_text(edited, encoding="utf-8")
            partial.chmod(path.stat().st_mode)
    except OSError as error:
        raise PlatformError(
            f"cannot be written: {error.strerror}", where=path.name, act="free some space and run the same command again"
        ) from error


def _word(number: int | None) -> str:
    return "none" if number is None else str(number)


def _champion_node(text: str, model: str, file: str) -> yaml.ScalarNode:
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in ("config", f"{PROJECT}:models", model, "champion"):
        children = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in children if name.value == key), None)
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError("is not a plain number", where=f"{file}: {PROJECT}:models.{model}.champion", allowed="a number, or none")
    return node
