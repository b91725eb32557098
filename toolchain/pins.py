"""``python -m toolchain.pins``: write every requirements file anew from its .in file; a version that still fits is kept."""

from __future__ import annotations

import subprocess
import sys

from toolchain import ROOT, SetupError
from toolchain.environment import find_uv

# In this order: the second takes the first as a constraint.
SOURCES = (
    "requirements.in",
    "requirements-dev.in",
    "requirements/airflow.in",
    "requirements/kubeflow.in",
    "requirements/policy.in",
    "requirements/scanners.in",
    "requirements/tracking.in",
    "toolchain/uv.in",
    "toolchain/engine/go.in",
)
COMPILE = ("pip", "compile", "--quiet", "--universal", "--generate-hashes", "--python-version", "3.11")


def main() -> int:
    """Compile all sources; stop at the first that does not resolve, with uv's own words."""
    try:
        uv = find_uv(ROOT)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for source in SOURCES:
        target = source.replace(".in", ".txt")
        status = subprocess.run([uv, *COMPILE, source, "-o", target], cwd=ROOT, check=False).returncode
        if status:
            return status
        print(f"{target}: pinned from {source}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
