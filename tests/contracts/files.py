"""Rules over the repository's other files, given as text or as lists of paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

# Written with a blank for each dot, and below with brackets, so that this file does not break its own rules.
HOSTS = (
    "pypi org",
    "pythonhosted org",
    "proxy golang org",
    "sum golang org",
    "registry npmjs org",
    "crates io",
    "maven org",
    "deb debian org",
)
REGISTRY_HOSTS = re.compile("|".join(host.replace(" ", r"\.") for host in HOSTS))
MACHINE_PATHS = re.compile(r"(?<![\w.~}$-])/(?:work|root|home)/[\w.-]*")
UNFINISHED = re.compile(r"\b(?:T[O]DO|F[I]XME|X[X]X)\b")
FULL_SHA = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$")
FENCED_SHELL = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
TOP_LEVEL = (
    "infra",
    "stacks",
    "models",
    "pipelines",
    "tests",
    "Pulumi.yaml",
    "Pulumi.dev.yaml",
    "Pulumi.staging.yaml",
    "Pulumi.prod.yaml",
    "README.md",
)


def forbidden_words(text: str) -> list[str]:
    """Hosts of package registries, paths of one machine, and marks of unfinished work, as ``line: what``."""
    rules = (("a registry's host", REGISTRY_HOSTS), ("a path of one machine", MACHINE_PATHS), ("unfinished", UNFINISHED))
    return [
        f"{number}: {what}: {match.group()}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in rules
        if (match := pattern.search(line))
    ]


def unhashed(requirements: str) -> list[str]:
    """Requirements that are not pinned to one version with at least one hash."""
    entries = re.sub(r"\\\n", " ", requirements).splitlines()
    named = [line.strip() for line in entries if line.strip() and not line.lstrip().startswith("#")]
    return [line.split()[0] for line in named if "==" not in line.split()[0] or "--hash=sha256:" not in line]


def missing_top_level(root: Path) -> list[str]:
    """Entries that everyone may rely on finding."""
    return [name for name in TOP_LEVEL if not (root / name).exists()]


def uncollected(paths: Iterable[str], phases: Mapping[str, Sequence[str]]) -> list[str]:
    """Test files that lie in no phase of `make test`."""
    patterns = [re.compile(re.escape(folder).replace(r"\*", "[^/]+") + "/") for folders in phases.values() for folder in folders]
    tests = [path for path in paths if re.search(r"(^|/)(test_[^/]*|[^/]*_test)\.py$", path)]
    return [path for path in tests if not any(pattern.match(path) for pattern in patterns)]


def misnamed_tests(path: str, source: str) -> str | None:
    """A file that defines tests under a name that pytest never opens."""
    has_tests = re.search(r"^(?:async )?def test_\w+\(", source, re.MULTILINE)
    return path if has_tests and not re.search(r"(^|/)(test_[^/]*|[^/]*_test)\.py$", path) else None


def make_targets(makefile: str) -> dict[str, str]:
    """Target -> the line that `make help` shows for it, "" if it has none."""
    return {match[1]: match[2] or "" for match in re.finditer(r"^([a-z][\w-]*):(?!=)[^#\n]*(?:## (.+))?$", makefile, re.MULTILINE)}


def shell_commands(markdown: str) -> list[str]:
    """The commands of a document's fenced shell blocks: continued lines joined, prompts and comments taken off."""
    commands = []
    for block in FENCED_SHELL.findall(markdown):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            command = re.sub(r"\s+#\s.*$", "", line.strip().removeprefix("$ ")).strip()
            if command and not command.startswith("#"):
                commands.append(command)
    return commands


def broken_links(document: Path, root: Path) -> list[str]:
    """Relative links of a Markdown file that lead to no file, or to a heading that is not there."""
    broken = []
    for first, second in LINK.findall(_without_code(document.read_text())):
        target = first or second
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = document if not path else (root / path.lstrip("/") if path.startswith("/") else document.parent / path)
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in _anchors(file.read_text())):
            broken.append(target)
    return broken


def workflow_violations(workflow: Mapping[Any, Any], targets: Iterable[str]) -> list[str]:
    """What must not be in a workflow.

    Actions that can move, wide rights, jobs without an end, values from outside in a script, unknown make targets, a runner that can't be
    chosen where a cluster is to be reached.
    """
    known = set(targets)
    violations = []
    if not isinstance(workflow.get("permissions"), Mapping):
        violations.append("no top-level permissions with a list of rights")
    for name, job in (workflow.get("jobs") or {}).items():
        if job.get("permissions") in ("write-all", "read-all"):
            violations.append(f"{name}: permissions are {job['permissions']}")
        if "timeout-minutes" not in job:
            violations.append(f"{name}: no timeout-minutes")
        for step in job.get("steps") or ():
            action, script = step.get("uses"), str(step.get("run", ""))
            if action and not action.startswith("./") and not FULL_SHA.match(action):
                violations.append(f"{name}: {action} is not pinned to a full commit SHA")
            if action == "./.github/actions/aws-login" and "_RUNNER" not in str(job.get("runs-on")):
                violations.append(f"{name}: reaches for a cluster, and no variable <stack>_RUNNER says from where; its API may be private")
            if action and action.startswith("actions/checkout@") and step.get("with", {}).get("persist-credentials") is not False:
                violations.append(f"{name}: checkout leaves its token in the clone")
            violations += [
                f"{name}: ${{{{ {value} }}}} inside a script; pass it by env" for value in re.findall(r"\$\{\{\s*(.*?)\s*\}\}", script)
            ]
            violations += [
                f"{name}: make {target} is no target" for target in re.findall(r"\bmake ([a-z][\w-]*)", script) if target not in known
            ]
    return violations


def _without_code(markdown: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL))


def _anchors(markdown: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
