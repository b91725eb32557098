"""``python -m pipelines release``: make a release of a model, or of every model that has none yet."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.errors import DeliveryError
from pipelines.steps import STEPS

if TYPE_CHECKING:
    from pipelines.run import Outcome

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Options:
    """The command line, read."""

    models: list[str]
    until: date | None
    force: bool
    first: bool
    champion: str | None
    as_json: bool
    store: Path
    folders: Path
    stack: str
    image: bool
    through: str | None


def main(arguments: list[str]) -> int:
    """Run the command; 0: a release exists (new or the same as before), or the step of ``--through`` is done.

    1: a gate or step failed, 2: the command line is wrong.
    """
    options = _read(arguments)
    if options.stack != "local" and not options.first:
        # A stack's first releases are made before its own MLflow runs, and are tracked beside them.
        from infra.config import load
        from pipelines import tracking

        tracking.use(ROOT, options.stack, load(ROOT, options.stack))
    code, ended = 0, []
    for name in options.models:
        try:
            ended.append(_run(options, name))
        except DeliveryError as error:
            print(f"{name}: no release was made\n{error}", file=sys.stderr)
            ended.append(_failure(name, error))
            code = 1
    if options.as_json:
        print(json.dumps(ended[0] if len(ended) == 1 else ended))
    return code


def champion_of(root: Path, model: str, stack: str = "local") -> int | None:
    """The number that a stack's file says of a model; None when it says ``none``, or nothing about the model.

    Raises ConfigError when the file is wrong.
    """
    from infra.config import file_name, load

    if not (root / file_name(stack)).is_file():
        return None
    config = load(root, stack).models.get(model)
    return config.champion if config else None


def release(
    root: Path,
    model: str,
    *,
    store: Path,
    folders: Path | None = None,
    first: bool = False,
    until: date | None = None,
    force: bool = False,
    champion: str | None = None,
    stack: str = "local",
    image: bool = False,
) -> Outcome:
    """Make a release of a model and tell of its progress on stderr.

    ``first``: only for a model without any release, from its data up to ``first-until``. ``champion``: the number to compare with, or
    ``none``; without it, what the file of ``stack`` says. ``image``: one that a cluster may serve. Raises DeliveryError.
    """
    from infra.release import load, numbers
    from pipelines.model import folder_of, read
    from pipelines.run import Outcome, make_release

    folder = folder_of(folders or root / "models", model)
    have = numbers(store, model)
    if first and have:
        _say(f"{model} has release {have[-1]} already")
        return Outcome(load(store, model, have[-1]), is_new=False, seconds=0.0)
    until = until or (read(folder).data.first_until if first else None) or date.today()
    against = _number(root, store, model, champion, stack)
    outcome = make_release(root, store, folder, until=until, champion=against, force=force, image=image, say=_say)
    _say(told(outcome, stack))
    return outcome


def told(outcome: Outcome, stack: str) -> str:
    """How a run ended, in a line, with the command that follows on the same stack."""
    record, suffix = outcome.record, "" if stack == "local" else f" STACK={stack}"
    if outcome.is_new:
        following = f"make promote MODEL={record.model} RELEASE={record.release}{suffix}"
        return f"{record.model}: release {record.release} is made ({outcome.seconds:.1f} s). Serve it: {following}"
    following = f"make release MODEL={record.model} FORCE=1{suffix}"
    same = f"nothing changed since release {record.release}; nothing was made ({outcome.seconds:.1f} s)"
    return f"{record.model}: {same}. Make one anyway: {following}"


def _step(options: Options, model: str, through: str) -> dict[str, Any]:
    """Run the list up to and including one step."""
    from pipelines.model import folder_of
    from pipelines.run import make_step

    made = make_step(
        ROOT,
        options.store,
        folder_of(options.folders, model),
        through,
        until=options.until or date.today(),
        champion=_number(ROOT, options.store, model, options.champion, options.stack),
        image=options.image,
        say=_say,
    )
    if made:
        _say(f"{model}: release {made.release} stands")
    return {"model": model, "status": "done", "step": through, "release": made.release if made else None}


def _run(options: Options, model: str) -> dict[str, Any]:
    if options.through:
        return _step(options, model, options.through)
    outcome = release(
        ROOT,
        model,
        store=options.store,
        folders=options.folders,
        first=options.first,
        until=options.until,
        force=options.force,
        champion=options.champion,
        stack=options.stack,
        image=options.image,
    )
    return {
        "model": model,
        "status": "released" if outcome.is_new else "unchanged",
        "release": outcome.record.release,
        "seconds": round(outcome.seconds, 2),
        "record": outcome.record.as_document(),
    }


def _number(root: Path, store: Path, model: str, champion: str | None, stack: str) -> int | None:
    """The release to compare with. While a store has no release there is none, whatever the stack's file says it will be."""
    from infra.release import numbers

    if champion is None:
        return champion_of(root, model, stack) if numbers(store, model) else None
    return None if champion == "none" else int(champion)


def _failure(name: str, error: DeliveryError) -> dict[str, Any]:
    gate = getattr(error, "gate", None)
    steps = list(getattr(error, "__notes__", []))
    return {
        "model": name,
        "status": "failed",
        "gate": gate,
        "step": steps[0] if steps else None,
        "what": error.what,
        "where": error.where,
        "got": None if error.got is None else str(error.got),
        "allowed": error.allowed,
        "act": error.act,
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _read(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines release",
        description="Make a release: snapshot, validate, train, test, evaluate, package, register, record.",
    )
    parser.add_argument("model", nargs="*", help="folder in models/; with --first, all of them when none is named")
    parser.add_argument("--until", type=day, metavar="DATE", help="take the batches dated up to this day (default: today)")
    parser.add_argument("--force", action="store_true", help="make a release although nothing changed")
    parser.add_argument("--first", action="store_true", help="only for a model without any release, from its data up to 'first-until'")
    parser.add_argument(
        "--champion", type=_champion_word, metavar="N|none", help="compare with this release (default: what the stack's file says)"
    )
    parser.add_argument("--stack", default="local", help="the stack that the release is for (default: local)")
    parser.add_argument("--image", action="store_true", help="make its image too (always so for a stack that runs in a cluster)")
    parser.add_argument(
        "--through",
        choices=[step.name for step in STEPS],
        metavar="STEP",
        help="stop after this step; what was done before is not done again",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout at the end")
    parser.add_argument("--store", type=Path, metavar="DIR", help="where releases lie (default: where the stack's do, .local)")
    parser.add_argument("--models", type=Path, default=ROOT / "models", metavar="DIR", help="where model folders lie (default: models)")
    read = parser.parse_args(arguments)
    folders = read.model or (sorted(path.parent.name for path in read.models.glob("*/model.yaml")) if read.first else [])
    names = [name.replace("_", "-") for name in folders]
    if not names:
        parser.error("name a model, such as: release iris")
    if read.through and (read.force or read.first):
        parser.error("--through goes on with what was done before: it takes neither --force nor --first")
    store, needs_image = of_stack(read.stack)
    return Options(
        models=names,
        until=read.until,
        force=read.force,
        first=read.first,
        champion=read.champion,
        as_json=read.json,
        store=(read.store or store).absolute(),
        folders=read.models.absolute(),
        stack=read.stack,
        image=read.image or needs_image,
        through=read.through,
    )


def of_stack(stack: str) -> tuple[Path, bool]:
    """Where a stack's releases lie, and whether they need an image. Raises ConfigError when the stack's file is wrong."""
    if stack == "local":
        return ROOT / ".local", False
    from infra.config import load

    config = load(ROOT, stack)
    return config.store(ROOT), config.target != "local"


def day(text: str) -> date:
    """A date of the command line. Raises ArgumentTypeError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date such as 2026-10-31") from None


def _champion_word(text: str) -> str:
    if text != "none" and not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no release number, nor none")
    return text
