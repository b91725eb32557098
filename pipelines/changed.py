"""``python -m pipelines changed``: which models need a release, and why."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from pathlib import Path

from infra.errors import DeliveryError
from pipelines.release import ROOT, day, of_stack

NEEDED = 3
"""Exit code with ``--exit-code`` when a model needs a release; 1 and 2 stay what they are everywhere."""


def main(arguments: list[str]) -> int:
    """Print a line for each model; 0: all could be told, 1: one could not, and with ``--exit-code`` 3: one needs a release."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines changed",
        description="Tell which models need a release, and why: new data (the snapshot of now is another one), new code (a file of the "
        "model's folder), a new environment (packages, Python, the server's code).",
    )
    parser.add_argument("model", nargs="*", help="only these (default: all of them)")
    parser.add_argument("--until", type=day, default=date.today(), metavar="DATE", help="the batches dated up to this day (default: today)")
    parser.add_argument("--json", action="store_true", help="print one JSON object: model -> reason, or null")
    parser.add_argument("--exit-code", action="store_true", help=f"exit with {NEEDED} when a model needs a release")
    parser.add_argument("--stack", default="local", help="the stack that the releases are for (default: local)")
    parser.add_argument("--store", type=Path, metavar="DIR", help="where releases lie (default: where the stack's do, .local)")
    parser.add_argument("--models", type=Path, default=ROOT / "models", metavar="DIR", help="where model folders lie (default: models)")
    options = parser.parse_args(arguments)
    from pipelines.model import folder_of, name_of
    from pipelines.run import plan

    models = options.models.absolute()
    store, needs_image = of_stack(options.stack)
    names = options.model or [name_of(path.parent) for path in sorted(models.glob("*/model.yaml"))]
    found: dict[str, str | None] = {}
    is_told = True
    for name in names:
        try:
            folder = folder_of(models, name)
            found[name] = plan(ROOT, (options.store or store).absolute(), folder, until=options.until, image=needs_image)
        except DeliveryError as error:
            print(f"{name}: cannot be told\n{error}", file=sys.stderr)
            is_told = False
    if options.json:
        print(json.dumps(found))
    else:
        suffix = "" if options.stack == "local" else f" STACK={options.stack}"
        for name, why in found.items():
            print(f"{name}: {f'{why}: make release MODEL={name}{suffix}' if why else 'nothing changed'}")
    if not is_told:
        return 1
    return NEEDED if options.exit_code and any(found.values()) else 0
