"""What can't be deleted does not keep the rest up, and its bill running."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import PlatformError
from pipelines import promote
from pipelines.engine import Ended, Engine

FULL = Ended(255, ("ECR Repository (mldelivery/iris) not empty, consider using force_delete: … RepositoryNotEmptyException: …",), 3)
KEPT = Ended(255, ("resource cannot be deleted because it is protected",), 0)
ONWARD = "--continue-on-error"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the engine was told to do."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://state")
    monkeypatch.setattr(promote, "recover", lambda _: [])
    return []


def answering(monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, ...]], *answers: Ended) -> None:
    left = list(answers)

    def run(_engine: Engine, *arguments: str) -> Ended:
        asked.append(arguments)
        return left.pop(0)

    monkeypatch.setattr(Engine, "run", run)


def test_a_registry_that_holds_images_stays_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, asked, FULL, FULL)
    promote.down(tmp_path, "dev")
    assert [ONWARD in each for each in asked] == [False, True]
    assert "the image registry of dev holds images, and stays with its key" in capsys.readouterr().out


@pytest.mark.parametrize("answers", [[KEPT], [Ended(255, (*FULL.errors, *KEPT.errors), 0)], [FULL, Ended(255, (*FULL.errors, "no"), 9)]])
def test_all_else_that_fails_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: list[tuple[str, ...]], answers: list[Ended]
) -> None:
    answering(monkeypatch, asked, *answers)
    with pytest.raises(PlatformError, match="dev could not be taken down"):
        promote.down(tmp_path, "dev")
    assert len(asked) == len(answers), "what is protected keeps all that is beside it, too"
