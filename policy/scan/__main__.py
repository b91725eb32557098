"""``python -m policy.scan --stack S --python P --kube-score K PREVIEW``: what three scanners find in a preview, less what is waived.

PREVIEW is a file with what ``pulumi preview --json`` printed. Exit code 0: nothing is left, and each waiver was needed; 1: something is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from policy import waivers
from policy.scan import preview, waived
from policy.scan.findings import Found, ScanError, Seen, Tools, scan


def report(seen: Seen, kept: Sequence[Found], idle: Sequence[waivers.Waiver], stack: str) -> str:
    """What a person reads at the end."""
    lines = [f"not seen: {each}" for each in seen.hidden] + [each.text for each in kept]
    lines += [
        f"policy/scan/waivers.yaml: waiver {waiver.number} ({waiver.rule}) matches nothing in {stack}; do: take it out" for waiver in idle
    ]
    shown = f"{seen.resources} resources of AWS and {seen.documents} policy documents, {seen.manifests} manifests"
    passed = len(seen.found) - len(kept)
    end = f"{stack}: {shown}: {len(kept)} found, {passed} waived with a reason"
    return "\n".join([*lines, end + (f", {len(idle)} waivers without use" if idle else "")])


def main(arguments: list[str]) -> int:
    """Scan and say what is left."""
    parser = argparse.ArgumentParser(prog="python -m policy.scan", description="What scanners find in a preview, less what is waived.")
    parser.add_argument("--stack", required=True)
    parser.add_argument("--python", type=Path, required=True, help="the Python that has checkov and parliament")
    parser.add_argument("--kube-score", type=Path, required=True, help="the program kube-score")
    parser.add_argument("preview", type=Path, help="what `pulumi preview --json` printed")
    given = parser.parse_args(arguments)
    try:
        declared = preview.read(given.preview.read_text(encoding="utf-8"))
        allowed = waived.read()
        seen = scan(declared, Tools(given.python, given.kube_score))
    except (ScanError, waivers.WaiverError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    kept, idle = waived.left(seen.found, [each.resource for each in declared], allowed, given.stack, datetime.now(UTC).date())
    print(report(seen, kept, idle, given.stack))
    return 1 if kept or idle else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
