"""``python -m toolchain [--without-engine]``: prepare everything, then print the folder that holds the engine (an empty line without it).

``toolchain/activate`` calls it and reads that line; all else is said on standard error.
"""

from __future__ import annotations

import sys

from toolchain import ROOT, environment, process
from toolchain.engine import prepare as prepare_engine


@process.plain_errors()
def main(arguments: list[str]) -> int:
    """Prepare the environment and, unless told otherwise, the engine; return the exit code."""
    environment.prepare(ROOT)
    print("" if "--without-engine" in arguments else prepare_engine(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
