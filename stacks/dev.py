"""The dev stack on AWS: declared, but not filled yet."""

from __future__ import annotations

from infra.config import StackConfig, file_name
from infra.errors import ConfigError


def declare(config: StackConfig) -> None:
    """Refuse: a cloud environment that is half there would be worse than none."""
    raise ConfigError(
        "the cloud stacks are not filled yet",
        where=f"{file_name('dev')}: mldelivery:target",
        got=config.target,
        allowed="stack local",
        act="work on your laptop: make up STACK=local",
    )
