"""``python -m pipelines expectations iris``: make the suite that a model's data must fulfil, as a file that people review and commit."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.failures import StepFailed
from pipelines.release import ROOT, day

if TYPE_CHECKING:
    import pandas

    from pipelines.model import Model, Output

HEAD = """\
# What the data of {name} must be like before anything is trained on it, as Great Expectations takes it. Made by
# `make expectations MODEL={name}` from data that is trusted. May be made stricter by hand, never laxer than model.yaml.
"""


def main(arguments: list[str]) -> int:
    """Write the suite of a model from its batches. Raises StepFailed for data that does not fit model.yaml, ConfigError for model.yaml."""
    parser = argparse.ArgumentParser(prog="python -m pipelines expectations", description="Make the suite that a model's data must fulfil.")
    parser.add_argument("model", help="a model's name")
    parser.add_argument("--until", type=day, default=date.max, metavar="DATE", help="take the batches dated up to this day")
    parser.add_argument("--models", type=Path, default=ROOT / "models", metavar="DIR", help="where model folders lie (default: models)")
    options = parser.parse_args(arguments)
    from pipelines.model import folder_of, read
    from pipelines.store import write_whole

    folder = folder_of(options.models.absolute(), options.model)
    model = read(folder)
    path = folder / model.data.expectations
    write_whole(path, made(folder, model, options.until).encode())
    print(f"{path}: read it, then commit it")
    return 0


def made(folder: Path, model: Model, until: date) -> str:
    """The text of the file. What people have added by hand to the one that is there stays. Raises StepFailed."""
    import yaml

    from pipelines.rows import BATCH
    from pipelines.snapshot import collect
    from pipelines.suite import named, of_data

    with tempfile.TemporaryDirectory() as scratch:
        frame = collect(folder, model, until, scratch=Path(scratch))
    unfit = "no rows" if frame.empty else ", ".join(_unfit(frame, model))
    if unfit:
        raise StepFailed(
            "this data is no reference",
            where=f"models/{folder.name}",
            got=unfit,
            allowed="each column of model.yaml, filled, of its type, with more than one value; rows of each label and of no other",
            act="mend the data, or choose an earlier day: UNTIL=YYYY-MM-DD",
        )
    suite = of_data(frame, model)
    known = {named(each) for each in suite}
    suite += [each for each in _there(folder / model.data.expectations) if named(each) not in known]
    first, last = (str(frame[BATCH].iloc[at]).removesuffix(".csv") for at in (0, -1))
    document = {"made-from": {"first": first, "last": last, "rows": len(frame)}, "expectations": suite}
    return HEAD.format(name=model.name) + yaml.dump(document, Dumper=_plain(), sort_keys=False, default_flow_style=None, width=140)


def _unfit(frame: pandas.DataFrame, model: Model) -> Iterator[str]:
    numbers = [name for name, each in model.inputs.items() if each.type != "text"]
    numbers += [model.output.column] if model.output.type == "value" else []
    for name in (*model.inputs, model.output.column):
        if name not in frame.columns:
            yield f"no column {name}"
        elif frame[name].isna().any():
            yield f"empty cells in {name}"
        elif name in numbers and frame[name].dtype != "float64":
            yield f"cells in {name} that are no numbers"
        elif name == model.output.column and model.output.labels:
            yield from _unfit_labels(set(frame[name].unique()), model.output)
        elif frame[name].nunique() < 2:
            yield f"only one value in {name}"


def _unfit_labels(seen: set[Any], output: Output) -> Iterator[str]:
    for label in output.labels:
        if label not in seen:
            yield f"no row of {label} in {output.column}"
    for label in sorted(map(str, seen - set(output.labels))):
        yield f"{label} in {output.column}, which model.yaml does not list"


def _there(path: Path) -> list[dict[str, Any]]:
    """The expectations of the file as it is; none of one that cannot be read, which is made anew."""
    import yaml

    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return [each for each in document["expectations"] if each["type"] and isinstance(each["kwargs"], dict)]
    return []


def _plain() -> Any:
    """A writer of YAML without aliases: a reviewer reads each value where it stands."""
    import yaml

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            del data
            return True

    return Plain
