"""What differs between stacks: whether it is production, and the largest first step of a canary."""

from __future__ import annotations

from dataclasses import dataclass

PRODUCTION = ("prod",)
FIRST_STEP_PERCENT = {"prod": 25, "staging": 50}
"""A stack that is not named may begin with any share."""

COST_TAGS = ("project", "environment", "owner", "cost-center")
"""Without these nobody can say what an environment costs."""

BACKUP_DAYS = 7
"""A database of production can be put back at least so far."""


@dataclass(frozen=True)
class Limits:
    """The limits of one stack."""

    stack: str

    @property
    def is_production(self) -> bool:
        """Whether users depend on it."""
        return self.stack in PRODUCTION

    @property
    def first_step_percent(self) -> int:
        """The largest share of traffic that a canary may begin with."""
        return FIRST_STEP_PERCENT.get(self.stack, 100)
