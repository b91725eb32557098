"""``python -m toolchain [--without-engine]``: prepare everything, then print the folder that holds the engine (an empty line without it).

``toolchain/activate`` calls it and reads that line; all else is said on standard error.
"""

from __future__ import annotations

import sys

from toolchain import ROOT, SetupError, environment, process
from toolchain.engine import prepare as prepare_engine


def main(arguments: list[str]) -> int:
    """Prepare the environment and, unless told otherwise, the engine; return the exit code."""
    try:
        environment.prepare(ROOT)
        print("" if "--without-engine" in arguments else prepare_engine(ROOT))
    except SetupError as error:
        process.say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        process.say("stopped; the next call goes on from here")
        return 130
    except OSError as error:
        process.say(f"error: {process.explain(error)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
