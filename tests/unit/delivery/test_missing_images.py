"""A machine's own stack gives the releases in use the images that they lack; for those in Git, and in a preview, the command is named."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.config import StackConfig, load
from infra.errors import ReleaseError
from infra.release import Release, write
from pipelines import promote
from pipelines.release import of_stack
from tests.unit.infra.test_release import document
from tests.unit.pipelines.test_release_told import CLUSTER

WHERE = "Pulumi.cluster.yaml: mldelivery:models.iris"


class Done(Exception):
    """Ends a promotion where the engine would begin."""


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done, in its order, instead of images, pushes and the engine's part."""
    found: list[str] = []

    def ensure(_root: Path, _store: Path, model: str, number: int, *, where: str) -> None:
        found.append(f"image {model} {number} ({where.removeprefix('Pulumi.cluster.yaml: mldelivery:models.')})")

    def done(*_: object, **__: object) -> None:
        raise Done

    monkeypatch.setattr("pipelines.add_image.ensure_image", ensure)
    monkeypatch.setattr(promote, "make_first_releases", lambda *_: found.append("first releases"))
    monkeypatch.setattr(promote, "push_images", lambda *_: found.append("push"))
    monkeypatch.setattr("pipelines.tracking.prepare_image", lambda *_: found.append("tracking"))
    monkeypatch.setattr(promote, "_check_release", lambda *_: found.append("check"))
    monkeypatch.setattr(promote, "replace_champion", done)
    return found


def stack(root: Path, *, releases: str = "machine", **model: Any) -> StackConfig:
    """A stack of a cluster whose file lies in ``root``."""
    config = {"target": "kubernetes", "releases": releases, "kubernetes": CLUSTER, "models": {"iris": {"champion": 1, **model}}}
    document = {"config": {f"mldelivery:{key}": value for key, value in config.items()}}
    (root / "Pulumi.cluster.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return load(root, "cluster")


def test_images_come_after_first_releases_and_before_they_are_pushed(tmp_path: Path, said: list[str]) -> None:
    promote.prepare(tmp_path, "cluster", stack(tmp_path, challenger={"release": 2, "share": 10}))
    assert said == ["first releases", "image iris 1 (iris.champion)", "image iris 2 (iris.challenger.release)", "push", "tracking"]


def test_a_first_release_that_a_stack_of_a_cluster_makes_is_made_with_its_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("pipelines.promote.subprocess.run", run)
    promote.make_first_releases(tmp_path, "cluster", stack(tmp_path))
    ((*_, command, model, first, option, name),) = asked
    assert (command, model, first, option, name) == ("release", "iris", "--first", "--stack", "cluster")
    assert of_stack(name)[1]


def test_a_model_without_a_champion_needs_none(tmp_path: Path, said: list[str]) -> None:
    promote.prepare(tmp_path, "cluster", stack(tmp_path, champion="none"))
    assert said == ["first releases", "push", "tracking"]


def test_releases_in_git_are_left_to_a_person(tmp_path: Path, said: list[str]) -> None:
    promote.prepare(tmp_path, "cluster", stack(tmp_path, releases="repository"))
    assert said == ["push", "tracking"]


def test_a_promotion_makes_the_image_of_its_release_before_it_is_checked(tmp_path: Path, said: list[str]) -> None:
    stack(tmp_path)
    with pytest.raises(Done):
        promote.promote(tmp_path, "cluster", "iris", 2, commit=False)
    assert said == ["image iris 2 (iris.champion)", "check"]


@pytest.fixture
def record(tmp_path: Path) -> Release:
    """A release without an image, in the store of a machine and in that of the checkout."""
    write(tmp_path, document(tmp_path))
    return write(tmp_path / ".local", document(tmp_path / ".local"))


@pytest.mark.usefixtures("record")
@pytest.mark.parametrize(
    ("releases", "act"),
    [
        ("machine", "make up STACK=cluster makes it; so does: python -m pipelines image iris 1 --stack cluster"),
        ("repository", "where its Bento lies: python -m pipelines image iris 1 --stack cluster, and commit what it writes"),
    ],
)
def test_a_preview_refuses_and_names_what_makes_it(tmp_path: Path, releases: str, act: str) -> None:
    config = stack(tmp_path, releases=releases)
    with pytest.raises(ReleaseError, match=f"{WHERE}.champion: release 1 of iris has no image") as refused:
        promote._check_release(tmp_path, config, "cluster", "iris", 1)
    assert f"do:      {act}" in str(refused.value)
