"""Step 2, interface: what a release takes and answers may grow, but nothing that the champion's consumers rely on may go."""

from __future__ import annotations

import json
from typing import Any

from infra.release import load
from pipelines import kinds
from pipelines.artifacts import Interface
from pipelines.digests import of_value
from pipelines.failures import GateFailed
from pipelines.model import Model
from pipelines.work import Work


def of_model(model: Model) -> dict[str, Any]:
    """The part of release.json that consumers see: the inputs with their ranges, and the output with its labels or unit."""
    return {
        "inputs": [
            {"name": name, "type": each.type, "min": _plain(each.min, each.type), "max": _plain(each.max, each.type)}
            for name, each in model.inputs.items()
        ],
        "output": kinds.of(model).outputs.for_consumers(model.output),
    }


def breaks(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What a consumer of ``before`` would lose with ``after``, in words; empty when nothing.

    An input that is new, gone, of another type or narrowed refuses requests that were right; a label that is gone is waited for in vain.
    """
    was = {each["name"]: each for each in before["inputs"]}
    now = {each["name"]: each for each in after["inputs"]}
    found = [f"input '{name}' is new, requests without it would be refused" for name in now if name not in was]
    found += [f"input '{name}' is gone, requests with it would be refused" for name in was if name not in now]
    for name in was.keys() & now.keys():
        old, new = was[name], now[name]
        if old["type"] != new["type"] and (old["type"], new["type"]) != ("int", "float"):
            found.append(f"input '{name}' was {old['type']}, is {new['type']}")
        if new["min"] > old["min"] or new["max"] < old["max"]:
            found.append(f"input '{name}' took {old['min']} to {old['max']}, takes {new['min']} to {new['max']}")
    if before["output"]["type"] != after["output"]["type"]:
        found.append(f"the output was of type {before['output']['type']}, is {after['output']['type']}")
    if before["output"].get("unit") != after["output"].get("unit"):
        found.append(f"the output was in '{before['output'].get('unit')}', is in '{after['output'].get('unit')}'")
    gone = [label for label in before["output"].get("labels", []) if label not in after["output"].get("labels", [])]
    found += [f"label '{label}' is gone" for label in gone]
    return sorted(found)


def check_interface(work: Work) -> Interface:
    """Compare with the champion's interface. Raises GateFailed that names each input or label."""
    after = of_model(work.model)
    if work.champion is not None:
        champion = load(work.store, work.model.name, work.champion)
        before = json.loads((work.file(champion.bento.path) / "release" / "release.json").read_bytes())
        lost = breaks(before, after)
        if lost:
            raise GateFailed(
                "interface",
                f"consumers of release {work.champion} would break",
                where=f"models/{work.folder.name}/model.yaml",
                got="; ".join(lost),
                allowed="wider ranges and more labels; no input added, removed or narrowed, no label dropped",
                act="undo it, or make a new model beside this one and move its consumers",
            )
        _check_order(work, [each["name"] for each in before["inputs"]])
    return Interface(digest=of_value(after), compared_with=work.champion)


def _check_order(work: Work, before: list[str]) -> None:
    """The order of the inputs is that of a model's features and of what rows are hashed by.

    In another one the champion would be asked with its columns mixed up, and rows that it has learned from would be held out unnoticed.
    """
    after = list(work.model.inputs)
    if after != before:
        raise GateFailed(
            "interface",
            f"the inputs stand in another order than in release {work.champion}",
            where=f"models/{work.folder.name}/model.yaml: inputs",
            got=", ".join(after),
            allowed=", ".join(before),
            act="put them back in that order",
        )


def _plain(value: float, kind: str) -> float | int:
    return float(value) if kind == "float" else int(value)
