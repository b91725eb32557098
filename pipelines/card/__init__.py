"""Step 11, card: all evidence of a release on one page, with a summary for a pull request; and the command that finds them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipelines.artifacts import (
    Carded,
    Evaluation,
    Imaged,
    Interface,
    Packaged,
    Registered,
    Snapshot,
    Tested,
    Trained,
    Validation,
    Verified,
)
from pipelines.work import Work

ROOT = Path(__file__).resolve().parents[2]


def make_card(
    work: Work,
    snapshot: Snapshot,
    interface: Interface,
    validation: Validation,
    trained: Trained,
    tested: Tested,
    evaluation: Evaluation,
    packaged: Packaged,
    verified: Verified,
    imaged: Imaged,
    registered: Registered,
) -> Carded:
    """Write page and summary into the step's folder; ``record`` puts them beside the record. Raises OSError when the store refuses."""
    from infra.release import file_digest
    from pipelines.card.gather import gather
    from pipelines.card.page import page
    from pipelines.card.summary import summary

    card = gather(work, snapshot, interface, validation, trained, tested, evaluation, packaged, verified, imaged, registered)
    (work.output / "card.html").write_text(page(card), encoding="utf-8")
    (work.output / "card.md").write_text(summary(card), encoding="utf-8")
    return Carded(
        page=work.name("card.html"),
        page_digest=file_digest(work.output / "card.html"),
        summary=work.name("card.md"),
        summary_digest=file_digest(work.output / "card.md"),
        verdict=card.verdict,
    )


def main(arguments: list[str]) -> int:
    """Print where a release's card lies, or its summary. Raises ReleaseError when there is none, or it is not the one that was recorded."""
    parser = argparse.ArgumentParser(prog="python -m pipelines card", description="Where the evidence card of a release lies.")
    parser.add_argument("model", help="a model's name")
    parser.add_argument("release", type=int, help="a release's number")
    parser.add_argument("--markdown", action="store_true", help="print the summary for a pull request instead")
    parser.add_argument("--stack", default="local", help="the stack whose releases are meant (default: local)")
    parser.add_argument("--store", type=Path, metavar="DIR", help="where releases lie (default: where the stack's do)")
    read = parser.parse_args(arguments)
    from infra.config import load as load_stack

    store: Path = read.store.absolute() if read.store else load_stack(ROOT, read.stack).store(ROOT)
    page, summary = find(store, read.model, read.release, stack=read.stack)
    if read.markdown:
        sys.stdout.write(summary.read_text(encoding="utf-8"))
    else:
        print(page)
    return 0


def find(store: Path, model: str, number: int, *, stack: str = "local") -> tuple[Path, Path]:
    """Page and summary of a release in a stack's store, their digests checked. Raises ReleaseError."""
    from infra.errors import ReleaseError
    from infra.release import anew, file_digest, load

    record, act = load(store, model, number), anew(model, stack)
    if record.card is None:
        raise ReleaseError(
            f"release {number} of {model} has no card", where="RELEASE", got=number, allowed="a release made since cards exist", act=act
        )
    for each in (record.card.page, record.card.summary):
        path = store / each.path
        got = file_digest(path) if path.is_file() else "no such file"
        if got != each.digest:
            raise ReleaseError("the card is not the one that was recorded", where=str(path), got=got, allowed=each.digest, act=act)
    return store / record.card.page.path, store / record.card.summary.path
