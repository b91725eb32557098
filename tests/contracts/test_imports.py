"""Who may import whom: the rules hold here, and each is seen to fail on a small bad tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts.imports import HEAVY, Tree, engine_imports, heavy_imports, imports, wrong_directions
from toolchain import ROOT


def planted(root: Path, sources: dict[str, str]) -> Tree:
    """A tree with one file for each module of ``sources``."""
    for name, source in sources.items():
        path = root / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return Tree.read(root)


def test_no_part_imports_what_it_must_not_know() -> None:
    assert wrong_directions(Tree.read(ROOT)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("infra.config", "from stacks.local import run"),
        ("infra.config", "import pipelines.release"),
        ("infra.local.route", "from serving.model import Model"),
        ("infra.local.route", "from serving import app"),
        ("infra.kubernetes.guard", "from infra.local.walker import say"),
        ("infra.local.walker", "from infra.kubernetes import ledger"),
        ("serving.app", "from infra.errors import DeliveryError"),
        ("serving.app", "def f():\n    import pipelines"),
        ("stacks.local", "import models.iris.train"),
        ("models.iris.train", "import serving"),
        ("pipelines.run", "from stacks import local"),
        ("pipelines.run", "import tests.load"),
        ("toolchain.process", "import infra.errors"),
    ],
)
def test_a_wrong_direction_is_found(tmp_path: Path, module: str, source: str) -> None:
    assert len(wrong_directions(planted(tmp_path, {module: source}))) == 1


def test_the_golden_replay_is_the_way_from_infra_to_serving(tmp_path: Path) -> None:
    assert wrong_directions(planted(tmp_path, {"infra.local.verify": "from serving.replay import replay", "serving.replay": ""})) == []


def test_pipelines_serving_and_models_never_reach_the_engine() -> None:
    assert engine_imports(Tree.read(ROOT)) == []


def test_the_engine_is_found_at_the_end_of_a_chain(tmp_path: Path) -> None:
    tree = planted(
        tmp_path, {"pipelines.run": "def f():\n    from infra.local import gateway", "infra.local.gateway": "import pulumi.dynamic"}
    )
    assert engine_imports(tree) == ["pipelines/run.py: reaches pulumi.dynamic by pipelines.run -> infra.local.gateway"]


def test_quick_commands_providers_and_servers_load_nothing_heavy() -> None:
    assert heavy_imports(Tree.read(ROOT)) == []


def test_a_heavy_import_is_found_through_other_modules(tmp_path: Path) -> None:
    tree = planted(tmp_path, {"pipelines.__main__": "from pipelines import train", "pipelines.train": "import sklearn.linear_model"})
    assert heavy_imports(tree) == ["pipelines/train.py:1: sklearn at the top, loaded by pipelines.__main__"]


def test_a_heavy_import_inside_a_function_or_for_types_is_fine(tmp_path: Path) -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas\ndef f():\n    import mlflow"
    assert heavy_imports(planted(tmp_path, {"serving.__main__": source})) == []


def test_relative_imports_are_followed() -> None:
    assert [item.module for item in imports("from . import a\nfrom ..b import c", "infra.local")] == ["infra.local.a", "infra.b.c"]


@pytest.mark.parametrize("module", ["pipelines.__main__", "serving.__main__", "serving.replay", "stacks.local", "infra.local.server"])
def test_nothing_heavy_is_in_memory_after_the_import(module: str) -> None:
    """What third-party modules load in turn is seen only by running it."""
    if module not in Tree.read(ROOT).modules:
        pytest.skip(f"there is no {module} yet")
    script = f"import importlib, sys; importlib.import_module({module!r}); print(*[name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert loaded.stdout.split() == []


def test_the_import_probe_sees_a_heavy_module() -> None:
    script = f"import sys, onnxruntime; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert "onnxruntime" in loaded.stdout.split()
