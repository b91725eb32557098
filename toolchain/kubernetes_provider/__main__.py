"""``python -m toolchain.kubernetes_provider -- COMMAND…``: run a command in which the engine finds a Kubernetes provider.

The command takes this process's place, so its signals, terminal and exit code are its own; the stand-in, where it is needed, ends after it.
"""

from __future__ import annotations

import os
import sys

from toolchain.kubernetes_provider.attach import VARIABLE, ProviderError, is_needed, start, variable


def main(arguments: list[str]) -> int:
    """Become the command; return only when that can't be done."""
    command = arguments[1:] if arguments[:1] == ["--"] else []
    if not command:
        print("usage: python -m toolchain.kubernetes_provider -- COMMAND [ARGUMENT...]", file=sys.stderr)
        return 2
    environment = dict(os.environ)
    try:
        if is_needed(environment):
            _, port = start(environment)
            environment[VARIABLE] = variable(environment, port)
        sys.stdout.flush()
        os.execvpe(command[0], command, environment)
    except ProviderError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
