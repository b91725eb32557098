"""``python -m toolchain.locked FILE``: print the interpreter of an environment with just what a requirements file pins.

For a release that is made again: the packages of its own commit, installed into the cache, so that the next time nothing is installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from toolchain import ROOT, environment, process


@process.plain_errors()
def main(arguments: list[str]) -> int:
    """Exit code 1 where the environment cannot be made; the reason is on standard error."""
    if len(arguments) != 1:
        print("usage: python -m toolchain.locked FILE", file=sys.stderr)
        return 2
    print(environment.locked(ROOT, "release", Path(arguments[0]).absolute()) / "bin" / "python")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
