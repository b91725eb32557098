"""``python -m pipelines new-model churn tabular``: a model folder that can be released before its owner has changed a line."""

from __future__ import annotations

import argparse
import csv
import io
import os
import random
import re
import shutil
import string
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path

from infra.errors import ConfigError, PlatformError
from infra.release import MODEL_NAME

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = Path(__file__).with_name("templates")
BATCHES = 4
ROWS = 75
"""In each batch, a week apart, the last one of today."""

Row = dict[str, str | int | float]


def main(arguments: list[str]) -> int:
    """Make the folder and say what comes next. Raises ConfigError for a name or kind that cannot be, PlatformError for the disk."""
    parser = argparse.ArgumentParser(prog="python -m pipelines new-model", description="Make a model folder that can be released at once.")
    parser.add_argument("name", help="the model's name: lower case, digits and dashes, such as churn")
    parser.add_argument("kind", nargs="?", default="tabular", help=f"{', '.join(kinds())} (default: tabular)")
    parser.add_argument("--models", type=Path, default=ROOT / "models", metavar="DIR", help="where model folders lie (default: models)")
    options = parser.parse_args(arguments)
    folder = make(options.models.absolute(), options.name, options.kind, today=date.today())
    shown = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    print(f"{shown} is made, with made-up data. Yours are the {len(own_lines(folder))} lines that end in '# yours', and the data.\n")
    print(f"  make release MODEL={options.name}     # works at once; again whenever you have changed something")
    print(f"  Pulumi.local.yaml, under mldelivery:models:     {options.name}: {{champion: 1}}")
    print("  make up                      # serves it at " + f"/{options.name}/predict")
    print(f"\n{shown}/README.md says what to write, docs/how-to/add-a-model.md the rest.")
    return 0


def kinds() -> list[str]:
    """The kinds that there is a template for."""
    return sorted(path.name for path in TEMPLATES.iterdir() if path.is_dir())


def make(models: Path, name: str, kind: str, *, today: date) -> Path:
    """Make the folder of a new model, all or nothing. Raises ConfigError, PlatformError."""
    from pipelines.model import folder_of

    _check(models, name, kind)
    folder = folder_of(models, name)
    partial = models / f".{folder.name}.{os.getpid()}.partial"
    try:
        for left in models.glob(f".{folder.name}.*.partial"):
            shutil.rmtree(left, ignore_errors=True)
        draft = folder_of(partial, name)
        _fill(draft, TEMPLATES / kind, {"name": name, "module": folder.name, "kind": kind})
        _write_batches(draft / "data" / "batches", MADE_UP[kind], today)
        _write_expectations(draft)
        draft.rename(folder)
    except OSError as error:
        raise PlatformError(
            f"{folder} could not be made: {error.strerror}", where=str(error.filename), act="mend that, then run again; nothing was left"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def own_lines(folder: Path) -> list[str]:
    """The lines of a new model's folder that its owner is to write, as ``file: line``."""
    return [
        f"{path.relative_to(folder).as_posix()}: {line.strip()}"
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".yaml", ".py"}
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.endswith("# yours")
    ]


def _check(models: Path, name: str, kind: str) -> None:
    from pipelines.model import folder_of, name_of

    if not re.fullmatch(MODEL_NAME, name):
        better = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        act = f"such as NAME={better}" if re.fullmatch(MODEL_NAME, better) else "choose another name"
        allowed = "a letter, then lower-case letters, digits and dashes, at most 39 in all"
        raise ConfigError("is no name for a model", where="NAME", got=name, allowed=allowed, act=act)
    if kind not in kinds():
        raise ConfigError("there is no such kind of model", where="KIND", got=kind, allowed=", ".join(kinds()), act="choose one of these")
    if folder_of(models, name).exists():
        have = ", ".join(sorted(name_of(path.parent) for path in models.glob("*/model.yaml")))
        raise ConfigError(
            "there is such a model already", where="NAME", got=name, allowed=f"a name other than {have}", act="choose another"
        )


def _fill(draft: Path, templates: Path, values: Mapping[str, str]) -> None:
    for source in sorted(templates.rglob("*.template")):
        path = draft / source.relative_to(templates).with_suffix("")
        if path.name == "test_model.py":
            path = path.with_name(f"test_{values['module']}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(string.Template(source.read_text(encoding="utf-8")).substitute(values), encoding="utf-8")


def _write_batches(folder: Path, made_up: Callable[[random.Random], Row], today: date) -> None:
    folder.mkdir(parents=True)
    chance = random.Random(7)
    for weeks_ago in reversed(range(BATCHES)):
        rows = [made_up(chance) for _ in range(ROWS)]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        (folder / f"{today - timedelta(weeks=weeks_ago)}.csv").write_text(text.getvalue(), encoding="utf-8")


def _write_expectations(draft: Path) -> None:
    from pipelines.expectations import made
    from pipelines.model import read

    model = read(draft)
    (draft / model.data.expectations).write_text(made(draft, model, date.max), encoding="utf-8")


def _measured(chance: random.Random) -> tuple[float, int]:
    return round(chance.uniform(0, 100), 1), chance.randint(0, 50)


def _tabular(chance: random.Random) -> Row:
    size, count = _measured(chance)
    return {"size": size, "count": count, "kind": "large" if size + chance.gauss(0, 8) > 50 else "small"}


def _regression(chance: random.Random) -> Row:
    size, count = _measured(chance)
    return {"size": size, "count": count, "price": round(max(0.0, 5 * size + 8 * count + chance.gauss(0, 25)), 2)}


SUBJECTS = ("parcel", "screen", "lamp", "team", "shop", "chair", "cable", "answer", "delivery", "battery", "box", "manual")
COMPLAINTS = ("came late", "is broken", "does not work", "was missing", "arrived damaged", "is far too small")
PRAISES = ("is wonderful", "works perfectly", "was friendly", "came early", "is a joy, thank you", "looks lovely")


def _text(chance: random.Random) -> Row:
    topic = chance.choice(("complaint", "praise"))
    told = COMPLAINTS if topic == "complaint" else PRAISES
    first, second = chance.sample(SUBJECTS, 2)
    return {
        "text": f"order {chance.randint(1000, 9999)}: the {first} {chance.choice(told)} and the {second} {chance.choice(told)}",
        "topic": topic,
    }


MADE_UP: Mapping[str, Callable[[random.Random], Row]] = {"tabular": _tabular, "regression": _regression, "text": _text}
