"""What orchestrators need to know: the models, when each is due, and the command that runs a step.

They import it in environments of their own, without the project's packages: standard library and PyYAML only.
"""

from __future__ import annotations

import re
from pathlib import Path

SCHEDULES = {"hourly": "0 * * * *", "daily": "0 5 * * *", "weekly": "0 5 * * 1", "monthly": "0 5 1 * *", "never": None}
"""Word for ``schedule`` in model.yaml -> five fields of cron, UTC."""
DEFAULT = "weekly"
CRON_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
CRON_ITEM = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/[1-9]\d?)?")


def models(root: Path) -> dict[str, Path]:
    """Name -> folder of every model of a checkout."""
    return {path.parent.name.replace("_", "-"): path.parent for path in sorted((root / "models").glob("*/model.yaml"))}


def cron_of(schedule: str) -> str | None:
    """A word or five fields of cron as cron; None for ``never``. Raises ValueError for what is neither."""
    if schedule in SCHEDULES:
        return SCHEDULES[schedule]
    fields = schedule.split(" ")
    if len(fields) != len(CRON_BOUNDS) or not all(_fits(field, *bounds) for field, bounds in zip(fields, CRON_BOUNDS, strict=True)):
        raise ValueError(f"a schedule is one of {', '.join(SCHEDULES)}, or five fields of cron such as '0 5 * * 1'")
    return schedule


def schedule_of(folder: Path) -> str | None:
    """When a model is due, as cron in UTC; None: only when its data is said to have arrived.

    What cannot be read counts as the default: the model's first step then says what is wrong with its file, and other models are not hurt.
    """
    import yaml

    try:
        return cron_of(yaml.safe_load((folder / "model.yaml").read_text(encoding="utf-8")).get("schedule", DEFAULT))
    except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError):
        return SCHEDULES[DEFAULT]


def command(checkout: str, model: str, step: str, until: str, stack: str) -> list[str]:
    """The command that runs a model's steps up to one, in the checkout's own environment; ``-E``: untouched by the orchestrator's."""
    release = [f"{checkout}/.venv/bin/python", "-E", "-m", "pipelines", "release", model, "--through", step]
    return [*release, "--until", until, "--stack", stack, "--json"]


def _fits(field: str, low: int, high: int) -> bool:
    for item in field.split(","):
        match = CRON_ITEM.fullmatch(item)
        if not match:
            return False
        numbers = [int(number) for number in match.groups() if number]
        if not all(low <= number <= high for number in numbers) or numbers != sorted(numbers):
            return False
    return True
