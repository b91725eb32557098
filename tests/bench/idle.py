"""``make up`` with nothing to do, and what the program costs before it declares anything."""

from __future__ import annotations

import statistics
import sys

from tests.bench.ground import Ground
from tests.bench.measure import command, in_turn, ratio, seconds
from tests.bench.row import Row

SHAPED = "up of as many resources that do nothing"
PROGRAM = "import stacks.program, stacks.local"
PROVIDERS = "import pulumi.dynamic, infra.local.service, infra.local.server, infra.local.route"


def measure(ground: Ground) -> list[Row]:
    """Rows: ``make up`` against an empty program's ``up``, in turn; imports of the program against those of Pulumi alone."""
    home, empty, shaped = ground.home, ground.empty, ground.bare(1)
    costs: dict[str, list[float]] = {"make up": [], "empty up": [], SHAPED: []}

    def run(*argv: str, spent: list[float] | None = None) -> float:
        return seconds(lambda: command(argv, folder=home.root, environment=home.environment), spent)

    run("make", "up")  # The first one writes bytecode.
    found = in_turn(
        {
            "make up": lambda: run("make", "up", spent=costs["make up"]),
            "empty up": lambda: seconds(empty.up, costs["empty up"]),
            SHAPED: lambda: seconds(shaped.up, costs[SHAPED]),
            "make and set-up": lambda: run("toolchain/run", "true"),
            "command line": lambda: run(sys.executable, "-m", "pipelines", "recover"),
            "imports of the program": lambda: run(sys.executable, "-c", PROGRAM),
            "imports of the providers": lambda: run(sys.executable, "-c", PROVIDERS),
            "imports of Pulumi": lambda: run(sys.executable, "-c", "import pulumi"),
        },
        ground.size.repetitions,
    )
    parts = {f"{name}, s": statistics.median(values) for name, values in found.items()}
    took = {name: statistics.median(values) for name, values in found.items()}
    own = took["make up"] - took[SHAPED]
    engine = took[SHAPED] - took["empty up"]
    why = (
        f"make up took {took['make up']:.2f} s, the empty program's up {took['empty up']:.2f} s. Of the {own + engine:.2f} s between them, "
        f"{engine:.2f} s are the engine's own for a dynamic provider with as many resources that do nothing; set-up takes "
        f"{took['make and set-up']:.2f} s, the command line {took['command line']:.2f} s, the program's imports beyond Pulumi's "
        f"{took['imports of the program'] - took['imports of Pulumi']:.2f} s, the providers' "
        f"{took['imports of the providers'] - took['imports of Pulumi']:.2f} s."
    )
    return [
        Row(
            name="make up with nothing to do / an empty program's up",
            value=ratio(found["make up"], found["empty up"]),
            most=1.2,
            floor=f"{ratio(found[SHAPED], found['empty up']):.2f} x: same resources that do nothing",
            why=why,
            parts=parts,
        ),
        Row(
            name="the same in processor time",
            value=ratio(costs["make up"], costs["empty up"]),
            floor=f"{ratio(costs[SHAPED], costs['empty up']):.2f} x: same resources that do nothing",
            parts={f"{name}, processor s": statistics.median(values) for name, values in costs.items()},
        ),
        Row(
            name="imports of the program / of Pulumi alone",
            value=ratio(found["imports of the program"], found["imports of Pulumi"]),
            floor=f"1 x: Pulumi's own, {took['imports of Pulumi']:.2f} s",
            parts=parts,
        ),
    ]
