"""``python -m pipelines changed``: which models need a release, and why."""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path

from pipelines.release import ROOT


def main(arguments: list[str]) -> int:
    """Print a line for each model; always 0, so that a workflow can read the answer."""
    parser = argparse.ArgumentParser(prog="python -m pipelines changed", description="Tell which models need a release, and why.")
    parser.add_argument("--json", action="store_true", help="print one JSON object: model -> reason, or null")
    parser.add_argument("--store", type=Path, default=ROOT / ".local", metavar="DIR", help="where releases lie (default: .local)")
    parser.add_argument("--models", type=Path, default=ROOT / "models", metavar="DIR", help="where model folders lie (default: models)")
    options = parser.parse_args(arguments)
    from pipelines.model import name_of
    from pipelines.run import plan

    folders = sorted(path.parent for path in options.models.absolute().glob("*/model.yaml"))
    found = {name_of(folder): plan(ROOT, options.store.absolute(), folder, until=date.today()) for folder in folders}
    if options.json:
        print(json.dumps(found))
    else:
        for name, why in found.items():
            print(f"{name}: {f'{why}: make release MODEL={name}' if why else 'nothing changed'}")
    return 0
