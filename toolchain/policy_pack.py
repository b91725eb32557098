"""``python -m toolchain.policy_pack -- COMMAND…``: run a command of the engine with the policy pack of this repository.

The command takes this process's place, with ``--policy-pack`` behind it. The pack's packages are in an environment of their own.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from toolchain import ROOT, environment, process

RUNTIME = "pythonpack"
"""A name that no language host has. The engine then starts the pack by a program of this name on PATH, which every engine can do; a pack
of the runtime ``python`` is left to the language host, and those that can be built from modules are too old to start one."""


def prepare(root: Path) -> Path:
    """Return a folder that the engine takes as the pack, its starter in ``bin`` beside it; made first, as is its environment."""
    venv = environment.apart(root, "policy")
    folder = root / ".cache" / "policy"
    starter = folder / "bin" / f"pulumi-analyzer-policy-{RUNTIME}"
    python, pack = shlex.quote(str(venv / "bin" / "python")), shlex.quote(str(root / "policy"))
    _write(folder / "PulumiPolicy.yaml", renamed((root / "policy" / "PulumiPolicy.yaml").read_text()))
    _write(starter, f'#!/bin/sh\nexec {python} -E -u -m pulumi.policy "$1" {pack}\n')
    starter.chmod(0o755)
    return folder


def renamed(text: str) -> str:
    """The pack's file with the runtime's other name."""
    return text.replace("runtime: python\n", f"runtime: {RUNTIME}\n")


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


@process.plain_errors()
def main(arguments: list[str]) -> int:
    """Become the command; return only when that can't be done."""
    command = arguments[1:] if arguments[:1] == ["--"] else []
    if not command:
        print("usage: python -m toolchain.policy_pack -- COMMAND [ARGUMENT...]", file=sys.stderr)
        return 2
    folder = prepare(ROOT)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    sys.stdout.flush()
    return os.execvpe(command[0], [*command, "--policy-pack", str(folder)], {**os.environ, "PATH": path})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
