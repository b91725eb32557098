"""checkov, parliament and kube-score, which read what a stack declares as others would: had by hash, built once, kept in the cache.

``python -m toolchain.scanners -- COMMAND…`` runs a command that is told where they are.
"""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from toolchain import environment
from toolchain.golang import Go
from toolchain.process import cache_dir, exclusive, say

KUBE_SCORE = "github.com/zegl/kube-score/cmd/kube-score"


@dataclass(frozen=True)
class Scanners:
    """Where the tools are: the Python of the environment with checkov and parliament, and the program kube-score."""

    python: Path
    kube_score: Path


def prepare(root: Path) -> Scanners:
    """The tools, made first where they are not there yet. Raises SetupError."""
    venv = environment.apart(root, "scanners")
    return Scanners(venv / "bin" / "python", _kube_score(root))


def _kube_score(root: Path) -> Path:
    module = root / "toolchain" / "scanners" / "kube-score"
    recipe = hashlib.sha256(b"".join((module / name).read_bytes() for name in ("go.mod", "go.sum"))).hexdigest()
    target = cache_dir() / "scanners" / f"kube-score-{recipe[:16]}-{platform.system().lower()}-{platform.machine()}"
    if not target.exists():
        with exclusive(target.with_name("kube-score.lock"), "kube-score"):
            if not target.exists():
                say("building kube-score from its pinned Go modules: some 30 seconds the first time")
                partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
                try:
                    Go(root, [module]).build(module, KUBE_SCORE, partial)
                    partial.replace(target)
                finally:
                    partial.unlink(missing_ok=True)
    return target
