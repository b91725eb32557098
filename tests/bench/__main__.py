"""``python -m tests.bench``: speed and memory as ratios within one run; a table, and JSON in ``.local/bench.json``.

Every timing is taken in turn with what it is compared with and stands for the median of its repetitions. Nothing here fails for being
slow: the table says which goals were reached, and why the others were not. Exit code 1 means that something could not be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench import cluster, environment, idle, promotion, stack, traffic, validation
from tests.bench.ground import FULL, QUICK, Ground
from tests.bench.row import Row, table

ROOT = Path(__file__).parents[2]
SERVING_SECONDS = 900
PARTS: dict[str, Callable[[Ground], Iterable[Row]]] = {
    "idle": idle.measure,
    "promotion": promotion.measure,
    "traffic": traffic.measure,
    "stack": stack.measure,
    "environment": environment.measure,
    "validation": validation.measure,
    "cluster": cluster.measure,
}
ON_REQUEST = ("cluster",)
"""Measured only where it is named: it needs a running cluster."""


def main(arguments: list[str]) -> int:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Speed and memory, as ratios within one run.")
    allowed = f"only these of: serving, {', '.join(PARTS)}; {', '.join(ON_REQUEST)} only if named"
    parser.add_argument("parts", nargs="*", metavar="PART", help=allowed)
    parser.add_argument("--json", type=Path, default=ROOT / ".local" / "bench.json", metavar="FILE", help="default: .local/bench.json")
    parser.add_argument("--quick", action="store_true", help="few repetitions and small stacks: shows that it works, not how fast it is")
    read = parser.parse_args(arguments)
    if unknown := set(read.parts) - {"serving", *PARTS}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; allowed: serving, {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # What is started in the background ignores Ctrl-C, and hands that on: the engine would wait 5 s for each plugin that it interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    size = QUICK if read.quick else FULL
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="mldelivery-bench-") as folder, ExitStack() as closing:
        ground = Ground(Path(folder), size, closing)
        for name in read.parts or ["serving", *(part for part in PARTS if part not in ON_REQUEST)]:
            began = time.monotonic()
            print(f"{name} …", end=" ", flush=True)
            try:
                if name == "serving":
                    rows += serving(quick=read.quick)
                else:
                    for row in PARTS[name](ground):  # one by one: what was measured before a failure is shown
                        rows.append(row.as_dict())
                print(f"{time.monotonic() - began:.0f} s", flush=True)
            except Exception as error:  # The other parts' numbers shall not be lost.
                traceback.print_exc()
                failed.append(f"{name}: {error or type(error).__name__}")
    about = {"machine": platform.machine(), "processors": os.cpu_count(), "python": platform.python_version(), "quick": read.quick}
    read.json.parent.mkdir(parents=True, exist_ok=True)
    read.json.write_text(json.dumps({"about": about, "rows": rows, "failed": failed}, indent=1) + "\n", encoding="utf-8")
    print(f"\n{table(rows)}\n\nwritten to {read.json}")
    for reason in failed:
        print(f"could not be measured: {reason}", file=sys.stderr)
    return 1 if failed else 0


def serving(*, quick: bool) -> list[dict[str, Any]]:
    """Rows of what runs inside a release; measured in a process of its own, with no engine beside it."""
    with tempfile.TemporaryDirectory(prefix="mldelivery-bench-") as folder:
        file = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "tests.bench.serving", "--json", str(file), *(["--quick"] if quick else [])]
        subprocess.run(command, cwd=ROOT, check=True, timeout=SERVING_SECONDS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return list(json.loads(file.read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
