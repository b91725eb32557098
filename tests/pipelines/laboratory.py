"""A store and a model folder for a test to work in. All parts are real: Great Expectations, MLflow on SQLite, BentoML, HTTP."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from infra.release import Release, numbers
from pipelines.release import main, release

ROOT = Path(__file__).resolve().parents[2]
FIRST_UNTIL = date(2026, 10, 31)
LATER = date(2026, 11, 24)


@dataclass
class Laboratory:
    """A store and a copy of the model folders, for one test to change."""

    store: Path
    folders: Path

    @property
    def iris(self) -> Path:
        return self.folders / "iris"

    def release(self, *, until: date = FIRST_UNTIL, champion: str | None = "none", force: bool = False) -> Release:
        """One run in this process; the Release that exists at its end."""
        outcome = release(ROOT, "iris", store=self.store, folders=self.folders, until=until, champion=champion, force=force)
        return outcome.record

    def command(self, *more: str, until: date = FIRST_UNTIL) -> list[str]:
        """The command line of the same run, in a process of its own."""
        places = ["--store", str(self.store), "--models", str(self.folders), "--until", str(until)]
        return [sys.executable, "-m", "pipelines", "release", "iris", *places, *more]

    def main(self, *more: str) -> int:
        """The same in this process, which has the heavy packages loaded already; the exit code."""
        return main(self.command(*more)[4:])

    def run(self, *more: str, until: date = FIRST_UNTIL) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*more, until=until), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    def numbers(self) -> list[int]:
        return numbers(self.store, "iris")

    def change(self, file: str, old: str, new: str) -> None:
        """Edit a file of the model, as a data scientist would."""
        path = self.iris / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def versions(self) -> list[Any]:
        """The versions in MLflow's registry, by number."""
        import sqlite3

        connection = sqlite3.connect(self.store / "mlflow" / "mlflow.db")
        try:
            rows = connection.execute("select version, key, value from model_version_tags order by version").fetchall()
        finally:
            connection.close()
        found: dict[int, dict[str, str]] = {}
        for version, key, value in rows:
            found.setdefault(version, {})[key.removeprefix("mldelivery.")] = value
        return [found[version] for version in sorted(found)]

    def check_whole(self) -> None:
        """What must hold after every run, however it ended: nothing half-written, nothing left running."""
        assert list(self.store.rglob("*.partial")) == []
        assert not (self.store / "steps" / "iris" / "lock.holder").exists()
        assert processes_naming(str(self.store)) == []


def processes_naming(text: str) -> list[int]:
    """Processes other than this one whose working directory or command line has a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace")
            if text in line or text in str((entry / "cwd").readlink()):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def folders_for(place: Path) -> Path:
    """A copy of the models, without what tests leave in them."""
    shutil.copytree(ROOT / "models", place, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    return place
