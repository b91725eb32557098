"""The one exception for what a user can cause.

``DeliveryError`` -> ``ConfigError`` (a stack's file), ``ReleaseError`` (a record or what it names), ``RolloutAborted`` (a rollout that went
back), ``PlatformError`` (a process, port or lock on this machine).
"""

from __future__ import annotations


class DeliveryError(Exception):
    """A mistake or fault that a person can act on; its text is all that they see.

    Every text names where (file and key), the value got, what is allowed and the next act.
    """

    def __init__(self, what: str, *, where: str = "", got: object = None, allowed: str = "", act: str = "") -> None:
        self.what, self.where, self.got, self.allowed, self.act = what, where, got, allowed, act
        lines = [f"{where}: {what}" if where else what]
        if got is not None:
            lines.append(f"  got:     {_short(got)}")
        if allowed:
            lines.append(f"  allowed: {allowed}")
        if act:
            lines.append(f"  do:      {act}")
        super().__init__("\n".join(lines))


class ConfigError(DeliveryError):
    """A stack's config is wrong: refused before anything is planned."""


class ReleaseError(DeliveryError):
    """A release record is missing, altered, unreadable, or may not serve."""


class RolloutAborted(DeliveryError):
    """A rollout ended with all traffic on the release that answered before."""


class PlatformError(DeliveryError):
    """This machine refuses: a port is taken, a process does not start, a lock is held."""


def _short(value: object, limit: int = 200) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
