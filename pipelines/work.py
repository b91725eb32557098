"""What every step is told: where things lie, which model, against which champion, and where it may write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipelines.model import Model


@dataclass(frozen=True, kw_only=True)
class Work:
    """One run of one step. A step reads what its artifacts name and writes into ``output`` only, which then becomes ``place`` for good.

    ``code`` is the digest of the model's folder, ``environment`` that of all around it (locked packages, Python, the server's code).
    ``tracking`` is the address of MLflow.
    """

    root: Path
    store: Path
    folder: Path
    model: Model
    until: date
    champion: int | None
    number: int
    reason: str
    code: str
    environment: str
    tracking: str
    output: Path = Path()
    place: str = ""

    def file(self, path: str) -> Path:
        """The absolute path of what an artifact names."""
        return self.store / path

    def trace(self, file: str) -> Path:
        """Where a file of ``output`` is found after the step failed."""
        return self.store / "steps" / self.model.name / "failed" / Path(self.place).parent.name / file

    def name(self, file: str) -> str:
        """The path, for an artifact, of a file that the step wrote into ``output``."""
        return f"{self.place}/{file}"
