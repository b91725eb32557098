"""Rules over what documents promise: commands and files that are there. Each returns its violations."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

INLINE = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^```.*?^```\n", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"^[\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|yaml|yml|md|json|in|txt|mod|sum))$|^[\w.-]+(?:/[\w.-]+)+$")
MADE = (".", ".local", ".cluster", ".venv", ".cache", "release", "releases", "src", "engine.json")
"""What commands make, and what lies inside a Bento."""


def unknown_targets(markdown: str, targets: Collection[str]) -> list[str]:
    """``make`` commands, in code of any kind, that the Makefile does not have."""
    code = "\n".join([*FENCED.findall(markdown), *INLINE.findall(FENCED.sub("", markdown))])
    return [name for name in re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", code) if name not in targets]


def unknown_commands(markdown: str, commands: Mapping[str, object]) -> list[str]:
    """Commands of ``python -m pipelines`` that it does not have."""
    return [name for name in re.findall(r"python -m pipelines ([a-z][\w-]*)", markdown) if name not in commands]


def missing_paths(markdown: str, paths: Collection[str]) -> list[str]:
    """Files and folders named in inline code that are none of ``paths``, seen from the root or from any folder."""
    found = []
    for code in INLINE.findall(FENCED.sub("", markdown)):
        is_promised = PATH.match(code) and code.split("/")[0] not in MADE and "YYYY" not in code
        if is_promised and not any(f"/{path}".endswith(f"/{code}") or f"/{code.rstrip('/')}/" in f"/{path}" for path in paths):
            found.append(code)
    return found
