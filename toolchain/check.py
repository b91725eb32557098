"""``python -m toolchain.check``: what must hold before a commit. All of it runs, whatever fails, so that one call shows everything."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from toolchain import ROOT

TYPED = ("infra", "stacks", "serving", "pipelines", "policy", "toolchain")
SHELL = ("toolchain/activate", "toolchain/run", "toolchain/require", ".ci/run")


def commands(root: Path) -> dict[str, list[str]]:
    """Name -> command of every check, for the folders that exist."""
    python = [sys.executable, "-m"]
    typed = [name for name in TYPED if any((root / name).glob("**/*.py"))]
    return {
        "ruff check": [*python, "ruff", "check", "."],
        "ruff format": [*python, "ruff", "format", "--check", "."],
        "mypy --strict": [*python, "mypy", "--strict", *typed],
        "shellcheck": [str(Path(sys.executable).with_name("shellcheck")), *SHELL],
        "contracts": [*python, "pytest", "-q", "tests/contracts"],
    }


def main() -> int:
    """Run every check and say which failed; 0 when none did."""
    failed = []
    for name, command in commands(ROOT).items():
        started = time.monotonic()
        print(f"{name}:", flush=True)
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
        print(f"{name}: {'FAILED' if name in failed else 'good'} after {time.monotonic() - started:.1f} s\n", flush=True)
    print(f"make check: failed: {', '.join(failed)}" if failed else "make check: all good")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
