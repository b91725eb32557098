"""What MLflow's server runs on in the tests of releases: the environment of its image, PostgreSQL and an S3 server, without a cluster."""

from __future__ import annotations

from toolchain import ROOT, environment
from toolchain.cluster import binaries, packages


def prepare() -> None:
    """Get what is missing. Raises SetupError."""
    packages.prepare({packages.DATABASE})
    binaries.store()
    environment.apart(ROOT, "tracking")
