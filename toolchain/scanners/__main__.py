"""``python -m toolchain.scanners -- COMMAND…``: a command that gets ``--python FILE --kube-score FILE`` behind it, and takes this place."""

from __future__ import annotations

import os
import sys

from toolchain import ROOT, process, scanners


@process.plain_errors()
def main(arguments: list[str]) -> int:
    """Become the command; return only when that can't be done."""
    command = arguments[1:] if arguments[:1] == ["--"] else []
    if not command:
        print("usage: python -m toolchain.scanners -- COMMAND [ARGUMENT...]", file=sys.stderr)
        return 2
    found = scanners.prepare(ROOT)
    sys.stdout.flush()
    return os.execvp(command[0], [*command, "--python", str(found.python), "--kube-score", str(found.kube_score)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
