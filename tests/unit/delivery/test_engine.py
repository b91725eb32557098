"""Where a stack's state lies: a machine's own in its checkout, an environment's where all who work on it find it."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import PlatformError
from pipelines.engine import Engine

SHARED = "s3://mldelivery-state-111122223333-eu-central-1?region=eu-central-1&awssdk=v2"


@pytest.mark.parametrize("stack", ["local", "cluster"])
def test_a_machines_own_stack_stays_in_its_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: str) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", SHARED)
    engine = Engine(tmp_path, stack)
    assert engine.backend == f"file://{tmp_path}/.local/state"
    assert engine.state_folder == tmp_path / ".local" / "state" / ".pulumi"


def test_an_environments_state_lies_where_the_shell_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", SHARED)
    engine = Engine(tmp_path, "dev")
    assert engine.backend == SHARED
    assert engine.state_folder is None


@pytest.mark.parametrize("said", [None, "", "the checkout's own"])
def test_an_environment_without_a_shared_place_is_refused_with_the_next_act(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    if said is not None:
        monkeypatch.setenv("PULUMI_BACKEND_URL", said and f"file://{tmp_path}/.local/state")
    with pytest.raises(PlatformError) as refused:
        Engine(tmp_path, "dev").ensure_stack()
    assert "PULUMI_BACKEND_URL: the state of dev needs a place that all who work on it share" in str(refused.value)
    assert "python -m infra.aws.bootstrap dev" in str(refused.value)
    assert "make preview STACK=dev OFFLINE=1" in str(refused.value)


def test_an_offline_preview_needs_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    assert Engine(tmp_path, "prod", offline=tmp_path / "state").backend == f"file://{tmp_path}/state"
