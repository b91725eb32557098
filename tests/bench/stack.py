"""A stack of many models against one of few: what a preview costs for each, and how much one promotion touches."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from copy import deepcopy

import psutil

from tests.bench.ground import UNWATCHED, Ground, Size
from tests.bench.measure import in_turn, ratio, seconds
from tests.bench.releases import clone
from tests.bench.row import Row
from tests.laptop import SLO, Laptop

SERVER_BYTES = 100e6
SPARE_BYTES = 2e9
READY_SECONDS = 180
"""All servers of the large stack start at once."""


def measure(ground: Ground) -> list[Row]:
    """Rows: preview of one edited number among many models against among few, all of them up; seconds a model; resources touched."""
    size = ground.size
    free = psutil.virtual_memory().available
    assert free > size.models * SERVER_BYTES + SPARE_BYTES, f"{free / 1e9:.1f} GB free: too little for {size.models} servers"
    few, many = ground.home, ground.second()
    for home, count in ((few, size.few), (many, size.models)):
        populate(home, count)
        home.up()
        home.champion(2, model="m01")
    bare_few, bare_many = ground.bare(size.few), ground.bare(size.models)
    found = in_turn(
        {
            "few": lambda: seconds(lambda: few.ok("preview", "--stack", "local")),
            "many": lambda: seconds(lambda: many.ok("preview", "--stack", "local")),
            "bare few": lambda: seconds(bare_few.preview),
            "bare many": lambda: seconds(bare_many.preview),
        },
        size.repetitions,
    )
    took = {name: statistics.median(values) for name, values in found.items()}
    span = size.models - size.few
    each, bare_each = (took["many"] - took["few"]) / span, (took["bare many"] - took["bare few"]) / span
    touched = resources_touched(many.up())
    parts = {
        f"preview of {size.few} models, s": took["few"],
        f"preview of {size.models} models, s": took["many"],
        f"preview of {size.few} models that do nothing, s": took["bare few"],
        f"preview of {size.models} models that do nothing, s": took["bare many"],
    }
    why = (
        f"a preview takes {took['few']:.2f} s with {size.few} models and {took['many']:.2f} s with {size.models}: "
        f"{1000 * each:.0f} ms a model, of which the engine needs {1000 * bare_each:.0f} ms for as many resources that do nothing"
    )
    return [
        growth("preview", size, found, why, parts),
        Row(
            name="preview, seconds for one model more",
            value=each,
            unit="s",
            floor=f"{bare_each:.3f} s: its resources, if they do nothing",
            parts=parts,
        ),
        Row(
            name=f"resources touched by one promotion among {size.models} models",
            value=touched,
            unit="",
            most=4,
            floor="3: new server, route, old server",
            why=f"the engine's own count of what it created, updated and deleted: {touched}",
        ),
    ]


def growth(what: str, size: Size, found: Mapping[str, Sequence[float]], why: str, parts: Mapping[str, float]) -> Row:
    """What many models cost against few, in seconds ``found`` by turn: ours, and as many resources that do nothing (bare)."""
    return Row(
        name=f"{what} with {size.models} models / {size.few} models",
        value=ratio(found["many"], found["few"]),
        most=1.5,
        floor=f"{ratio(found['bare many'], found['bare few']):.2f} x: as many resources that do nothing",
        why=why,
        parts=parts,
    )


def populate(home: Laptop, count: int) -> None:
    """Serve models m01, m02, … from release 1 of iris, and give the first one a second release."""
    names = [f"m{number:02}" for number in range(1, count + 1)]
    for name in names:
        clone(home.store, source=("iris", 1), target=(name, 1))
    clone(home.store, source=("iris", 2), target=(names[0], 2))
    model = {"champion": 1, "rollout": UNWATCHED, "slo": SLO, "ready-seconds": READY_SECONDS}
    # A copy for each: YAML would write what two models share as an alias, which no stack's file may hold.
    home.configure({name: deepcopy(model) for name in names})


def resources_touched(out: str) -> int:
    """What an update says under ``Resources:``: created, updated, replaced and deleted together. Raises AssertionError without that."""
    summary = re.search(r"^Resources:\n((?:    .*\n)+)", out, flags=re.MULTILINE)
    assert summary, out[-2000:]
    return sum(int(count) for count in re.findall(r"^    [-+~]+ ?(\d+) ", summary.group(1), flags=re.MULTILINE))
