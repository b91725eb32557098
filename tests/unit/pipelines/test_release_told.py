"""What the end of a release says: the command that follows is one for the same stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.config import KubernetesConfig
from infra.errors import ReleaseError
from infra.records import checked
from infra.release import load, write
from pipelines.release import told
from pipelines.run import Outcome
from tests.unit.infra.test_release import document

CLUSTER = {
    "registry": "registry.test/models",
    "prometheus": "http://prometheus.test:9090",
    "gateway": {"url": "https://models.test", "internal-url": "http://traefik.test:8082"},
}


@pytest.mark.parametrize(("stack", "suffix"), [("local", ""), ("dev", " STACK=dev")])
def test_it_names_the_stack_where_that_is_not_the_laptops(tmp_path: Path, stack: str, suffix: str) -> None:
    write(tmp_path, document(tmp_path))
    record = load(tmp_path, "iris", 1)
    made = told(Outcome(record, is_new=True, seconds=1.0), stack)
    assert made == f"iris: release 1 is made (1.0 s). Serve it: make promote MODEL=iris RELEASE=1{suffix}"
    same = told(Outcome(record, is_new=False, seconds=1.0), stack)
    assert same.endswith(f"nothing was made (1.0 s). Make one anyway: make release MODEL=iris FORCE=1{suffix}")


def test_so_does_the_refusal_of_a_release_without_an_image(tmp_path: Path) -> None:
    write(tmp_path, document(tmp_path))
    with pytest.raises(ReleaseError, match="python -m pipelines image iris 1 --stack dev"):
        checked(tmp_path, "iris", 1, where="here", stack="dev", kubernetes=KubernetesConfig.model_validate(CLUSTER))
