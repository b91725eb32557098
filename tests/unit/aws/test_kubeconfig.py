"""The file of an EKS cluster's kubeconfig is made once, by the AWS command line, and for no other cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.errors import PlatformError
from pipelines.kubeconfig import ensure_kubeconfig
from tests.unit.aws.declared import config_of

OWN: dict[str, Any] = {
    "kubeconfig": "some/kubeconfig",
    "registry": "registry.test/models",
    "prometheus": "http://prometheus.test:9090",
    "gateway": {"url": "https://models.test", "internal-url": "http://traefik.test:8082"},
}


def program(folder: Path, body: str) -> None:
    """A program named aws."""
    path = folder / "aws"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture(autouse=True)
def _nothing_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_it_is_written_once(tmp_path: Path) -> None:
    program(tmp_path, 'for last; do :; done; echo "$@" >> "$last"')
    path = tmp_path / ".local" / "kubeconfig" / "mldelivery-dev"
    ensure_kubeconfig(tmp_path, config_of("dev"))
    ensure_kubeconfig(tmp_path, config_of("dev"))
    assert path.read_text() == f"eks update-kubeconfig --region eu-central-1 --name mldelivery-dev --kubeconfig {path}\n"


def test_without_the_program_or_a_login_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="aws is not on PATH"):
        ensure_kubeconfig(tmp_path, config_of("dev"))
    program(tmp_path, "echo 'Token has expired' >&2; exit 255")
    with pytest.raises(PlatformError, match=r"(?s)Token has expired.*log in"):
        ensure_kubeconfig(tmp_path, config_of("dev"))


def test_a_cluster_elsewhere_has_a_kubeconfig_of_its_own(tmp_path: Path) -> None:
    ensure_kubeconfig(tmp_path, config_of("dev", aws={"cluster": {"compute": "elsewhere"}}, kubernetes=OWN))
    assert not (tmp_path / ".local").exists()
