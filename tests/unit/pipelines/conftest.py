from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.release import file_digest
from pipelines import rows
from pipelines.artifacts import Snapshot
from pipelines.model import read
from pipelines.snapshot import arrived, table_of
from pipelines.work import Work

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def model_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a model folder with iris' model.yaml, some values replaced (``**{"gates.comparison.margin": 0.2}``), and ten lines of data."""

    def make(**changes: Any) -> Path:
        document = yaml.safe_load((ROOT / "models" / "iris" / "model.yaml").read_text(encoding="utf-8"))
        for path, value in changes.items():
            *way, last = path.split(".")
            section = document
            for part in way:
                section = section[part]
            section[last] = value
        folder = tmp_path / "models" / "iris"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return folder

    return make


@pytest.fixture
def work(tmp_path: Path, model_folder: Callable[..., Path]) -> Callable[..., Work]:
    """Makes a Work over such a folder and an empty store."""

    def make(*, champion: int | None = None, **changes: Any) -> Work:
        folder = model_folder(**changes)
        output = tmp_path / "store" / "output"
        output.mkdir(parents=True, exist_ok=True)
        return Work(
            root=ROOT,
            store=tmp_path / "store",
            folder=folder,
            model=read(folder),
            until=date(2026, 12, 1),
            champion=champion,
            number=1,
            reason="a test",
            code="sha256:" + "0" * 64,
            environment="sha256:" + "0" * 64,
            tracking="",
            output=output,
            place="output",
        )

    return make


@pytest.fixture
def iris(work: Callable[..., Work]) -> Callable[..., tuple[Work, Snapshot]]:
    """A Work with the real iris data as its snapshot."""

    def make(**changes: Any) -> tuple[Work, Snapshot]:
        made = work(**changes)
        table = table_of(arrived(ROOT / "models" / "iris", made.model, made.until), made.model)
        path = made.store / "snapshot.parquet"
        table.to_parquet(path)
        digest = file_digest(path)
        return made, Snapshot(
            path=path.name, digest=digest, rows=len(table), holdout_rows=int(table[rows.HOLDOUT].sum()), first="a", last="b", batches=()
        )

    return make
