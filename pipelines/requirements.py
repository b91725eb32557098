"""What a release's server needs, each package pinned with its hashes: the part of the repository's lock that a few packages lead to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from pipelines.failures import StepFailed

_ENTRY = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+)([^\n]*(?:\n[ \t]+[^\n]*)*)", re.MULTILINE)
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


def lock_of(packages: Iterable[str], lock: Path) -> str:
    """The packages and all that they need, in this environment's versions, as requirements with the hashes that ``lock`` has for them.

    Raises StepFailed when the environment has what the lock does not.
    """
    pinned = {(_canonical(name), version): rest for name, version, rest in _ENTRY.findall(lock.read_text(encoding="utf-8"))}
    lines = ["# What the server of this release runs on. Written by the pipeline; `pip install --require-hashes` takes it."]
    for name, version in sorted(needed(packages).items()):
        hashes = _HASH.findall(pinned.get((name, version), ""))
        if not hashes:
            raise StepFailed(
                f"the environment has {name} {version}, which {lock.name} does not pin",
                where=str(lock),
                got=f"{name}=={version}",
                allowed="the environment that the lock describes",
                act="make check, which brings the environment in line, then run the same command again",
            )
        lines.append(" \\\n".join([f"{name}=={version}", *(f"    --hash={each}" for each in sorted(hashes))]))
    return "\n".join(lines) + "\n"


def needed(packages: Iterable[str]) -> dict[str, str]:
    """Name -> version of the packages and of all that they require on this Python, optional extras only where asked for."""
    from packaging.requirements import Requirement

    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = [Requirement(name) for name in packages]
    while queue:
        wanted = queue.pop()
        name, extras = _canonical(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            raise StepFailed(
                f"{name}, which the server needs, is not installed", act="make check, then run the same command again"
            ) from None
        found[name] = installed.version
        for text in installed.requires or ():
            following = Requirement(text)
            if following.marker is None or any(following.marker.evaluate({"extra": extra}) for extra in extras or {""}):
                queue.append(following)
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
