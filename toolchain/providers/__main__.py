"""``python -m toolchain.providers [--offline] PLUGIN... -- COMMAND…``: run a command in which the engine finds these providers.

The command takes this process's place, so its signals, terminal and exit code are its own; stand-ins, where they are needed, end after it.
"""

from __future__ import annotations

import os
import sys

from toolchain.providers.attach import PLUGINS, VARIABLE, ProviderError, needed, start, variable

USAGE = f"usage: python -m toolchain.providers [--offline] {{{','.join(PLUGINS)}}}... -- COMMAND [ARGUMENT...]"


def main(arguments: list[str]) -> int:
    """Become the command; return only when that can't be done."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    given, command = arguments[:at], arguments[at + 1 :]
    is_offline = given[:1] == ["--offline"]
    names = given[is_offline:]
    if not command or not names or not set(names) <= set(PLUGINS):
        print(USAGE, file=sys.stderr)
        return 2
    environment = dict(os.environ)
    try:
        missing = needed(environment, names, is_offline=is_offline)
        if missing:
            _, ports = start(environment, missing, is_offline=is_offline)
            environment[VARIABLE] = variable(environment, ports)
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
