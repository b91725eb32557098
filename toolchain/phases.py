"""``python -m toolchain.phases [PHASE...]``: every test, phase by phase, the quick ones first; after a failed phase the next one runs too.

Ends with a table and pytest's totals over all phases. Exit code 0 only if every phase that exists ran tests and none failed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from toolchain import ROOT, SetupError, chromium, orchestrators, scanners, tracking_server
from toolchain.process import say

# In the order in which they run. A pattern without * is a folder that makes the phase exist.
PHASES: dict[str, tuple[str, ...]] = {
    "unit": ("tests/unit", "models/*/tests"),
    "contracts": ("tests/contracts",),
    "pipelines": ("tests/pipelines",),
    "orchestrators": ("tests/orchestrators",),
    "serving": ("tests/serving",),
    "engine": ("tests/engine",),
    "images": ("tests/images",),
    "cluster": ("tests/cluster",),
    "e2e": ("tests/e2e",),
    "faults": ("tests/faults",),
}
SETUP: dict[str, tuple[Callable[[], object], ...]] = {
    "pipelines": (chromium.prepare, tracking_server.prepare),
    "orchestrators": (orchestrators.prepare,),
    "engine": (partial(scanners.prepare, ROOT),),
}
"""What a phase needs beside the environment and the engine. Without it its tests fail, and say the same."""
NO_TESTS = 5
INTERRUPTED = (2, 130, -2)


@dataclass(frozen=True)
class Outcome:
    """What became of one phase."""

    phase: str
    verdict: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether the phase holds nothing against a green run."""
        return self.verdict in ("passed", "no such folder")


def folders(root: Path, phase: str) -> list[str]:
    """The folders of a phase that exist, relative to ``root``."""
    return [str(path.relative_to(root)) for pattern in PHASES[phase] for path in sorted(root.glob(pattern)) if path.is_dir()]


def judge(phase: str, status: int, report: str, seconds: float) -> Outcome:
    """The outcome from pytest's exit code and its JUnit report ("" if it wrote none)."""
    passed = failed = skipped = 0
    if report:
        for suite in ET.fromstring(report).iter("testsuite"):
            bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            left_out = int(suite.get("skipped", 0))
            failed, skipped = failed + bad, skipped + left_out
            passed += max(0, int(suite.get("tests", 0)) - bad - left_out)
    if status == NO_TESTS:
        return Outcome(phase, "FAILED: no test was collected", passed, max(failed, 1), skipped, seconds)
    if status in INTERRUPTED and not failed:
        return Outcome(phase, "INTERRUPTED", passed, failed, skipped, seconds)
    if status:
        return Outcome(phase, "FAILED" if failed else f"FAILED: pytest ended with {status}", passed, max(failed, 1), skipped, seconds)
    return Outcome(phase, "passed", passed, failed, skipped, seconds)


def summary(outcomes: Sequence[Outcome]) -> str:
    """A table of all phases; its last line holds pytest's totals."""
    width = max(len(outcome.phase) for outcome in outcomes)
    lines = [
        f"{each.phase:<{width}}  {each.seconds:7.1f} s  {each.passed:5} passed  {each.failed:3} failed  {each.skipped:3} skipped"
        + (f"  {each.verdict}" if each.verdict != "passed" else "")
        for each in outcomes
    ]
    passed, failed, skipped = (sum(getattr(outcome, name) for outcome in outcomes) for name in ("passed", "failed", "skipped"))
    return "\n".join([*lines, f"{passed} passed, {failed} failed, {skipped} skipped"])


def run_phase(root: Path, phase: str) -> Outcome:
    """Run one phase with pytest, its output going straight to the terminal."""
    existing = folders(root, phase)
    if not existing:
        return Outcome(phase, "no such folder")
    print(f"phase {phase}: {' '.join(existing)}", flush=True)
    for prepare in SETUP.get(phase, ()):
        try:
            prepare()
        except SetupError as error:
            say(str(error))
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        status = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--durations=10", "--durations-min=20", f"--junit-xml={report}", *existing],
            cwd=root,
            check=False,
        ).returncode
        text = report.read_text() if report.exists() else ""
    outcome = judge(phase, status, text, time.monotonic() - started)
    print(f"phase {phase}: {outcome.verdict} after {outcome.seconds:.1f} s\n", flush=True)
    return outcome


def main(arguments: list[str]) -> int:
    """Run the named phases, all of them if none is named; return the exit code."""
    unknown = [name for name in arguments if name not in PHASES]
    if unknown:
        print(f"no such phase: {', '.join(unknown)}; allowed: {', '.join(PHASES)}", file=sys.stderr)
        return 2
    outcomes: list[Outcome] = []
    is_interrupted = False
    for phase in arguments or list(PHASES):
        try:
            outcomes.append(run_phase(ROOT, phase))
        except KeyboardInterrupt:
            outcomes.append(Outcome(phase, "INTERRUPTED"))
        if outcomes[-1].verdict == "INTERRUPTED":
            is_interrupted = True
            break
    print(summary(outcomes), flush=True)
    if is_interrupted:
        return 130
    has_run = any(outcome.passed for outcome in outcomes)
    return 0 if has_run and all(outcome.is_good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
