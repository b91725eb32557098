"""Prod with many models against prod with few: what a preview costs for each, how many resources each adds, and what the imports take.

Previewed as ``make preview STACK=prod OFFLINE=1`` does it, with the policy pack: no account, no cluster and no network is asked.
"""

from __future__ import annotations

import re
import statistics
import sys
from copy import deepcopy
from functools import cache

import yaml

from infra import ladder
from infra.release import write
from tests.bench.bare import Bare
from tests.bench.ground import Ground
from tests.bench.measure import command, in_turn, seconds
from tests.bench.row import Row
from tests.bench.stack import growth
from tests.laptop import Laptop, laptop
from tests.unit.infra.test_release import document

STACK = "prod"
REPETITIONS = 3
"""A preview of many models takes a quarter of a minute."""
MOST_SECONDS_A_MODEL = 0.03
PROGRAM = f"""
import stacks.program, stacks.{STACK}, sys, types
modules = [module for name, module in list(sys.modules.items()) if name.startswith("infra.aws.")]
used = {{each for module in modules for each in vars(module).values() if isinstance(each, types.ModuleType)}}
names = sorted(each.__name__ for each in used if each.__name__.startswith("pulumi_aws."))
for name in names:
    hasattr(sys.modules[name], "loaded")
print(",".join(names))
"""
"""What the program imports; its provider's packages are loaded when something of them is first asked for."""
PROVIDERS = """
import pulumi, {0}, sys
for name in "{0}".split(","):
    hasattr(sys.modules[name], "loaded")
"""
"""The packages that it names, without the program."""


def measure(ground: Ground) -> list[Row]:
    """Rows: preview of many models against few; seconds and resources for one model more; the program's imports."""
    size = ground.size
    home = ground.closing.enter_context(laptop(ground.folder / STACK))
    populate(home, size.models)
    declared: dict[int, int] = {}

    def ours(count: int) -> float:
        said: list[str] = []
        took = seconds(lambda: said.append(preview(home, count)))
        declared[count] = declared_resources(said[0])
        return took

    @cache
    def bare(count: int) -> Bare:
        return Bare.new(ground.folder / f"bare-{STACK}-{count}", home.environment, resources=declared[count])

    def run(program: str) -> str:
        return command((sys.executable, "-c", program), folder=home.root, environment=home.environment)

    providers = PROVIDERS.format(run(PROGRAM).strip())
    found = in_turn(
        {
            "few": lambda: ours(size.few),
            "many": lambda: ours(size.models),
            # The first round begins above: it is known by now how many resources there are.
            "bare few": lambda: seconds(bare(size.few).preview),
            "bare many": lambda: seconds(bare(size.models).preview),
            "program": lambda: seconds(lambda: run(PROGRAM)),
            "providers": lambda: seconds(lambda: run(providers)),
        },
        min(size.repetitions, REPETITIONS),
    )
    took = {name: statistics.median(values) for name, values in found.items()}
    span = size.models - size.few
    each = (declared[size.models] - declared[size.few]) / span
    model, bare_model = (took["many"] - took["few"]) / span, (took["bare many"] - took["bare few"]) / span
    parts = {
        f"preview of {STACK} with {size.few} models, s": took["few"],
        f"preview of {STACK} with {size.models} models, s": took["many"],
        f"preview of {declared[size.few]} resources that do nothing, s": took["bare few"],
        f"preview of {declared[size.models]} resources that do nothing, s": took["bare many"],
        "imports of the program, s": took["program"],
        "imports of Pulumi and its AWS packages alone, s": took["providers"],
    }
    why = (
        f"a preview takes {took['few']:.2f} s with {size.few} models ({declared[size.few]} resources) and {took['many']:.2f} s with "
        f"{size.models} ({declared[size.models]}): {1000 * model:.0f} ms a model, {1000 * model / each:.1f} ms a resource. Of these the "
        f"engine needs {1000 * bare_model:.0f} ms a model for as many resources that do nothing; the {1000 * (model - bare_model):.0f} ms "
        "between are that ours are larger, shown in full, and given to their providers and to the policy pack"
    )
    return [
        growth(f"preview of {STACK}", size, found, why, parts),
        Row(
            name=f"preview of {STACK}, seconds for one model more",
            value=model,
            unit="s",
            most=MOST_SECONDS_A_MODEL,
            floor=f"{bare_model:.3f} s: as many resources that do nothing",
            why=why,
            parts=parts,
        ),
        Row(name=f"resources of {STACK} for one model more", value=each, unit="", parts=parts),
        Row(
            name=f"imports of {STACK}'s program",
            value=took["program"],
            unit="s",
            floor=f"{took['providers']:.2f} s: Pulumi and its AWS packages",
            parts=parts,
        ),
    ]


def populate(home: Laptop, count: int) -> None:
    """Records of models m01, m02, …, each of a release that staging has served and baked."""
    for name in names(count):
        record = write(home.store, {**document(home.store), "model": name, "image": f"{name}@sha256:{'a' * 64}"})
        ladder.write(home.store, record, "staging", since="2026-11-24T12:00:00Z", baked=True)


def preview(home: Laptop, count: int) -> str:
    """What a preview says of prod with so many models, each as prod's own file has its one."""
    file = home.root / f"Pulumi.{STACK}.yaml"
    stack = yaml.safe_load(file.read_text(encoding="utf-8"))
    (model, *_) = stack["config"]["mldelivery:models"].values()
    stack["config"]["mldelivery:releases"] = "machine"
    # A copy for each: YAML would write what two models share as an alias, which no stack's file may hold.
    stack["config"]["mldelivery:models"] = {name: deepcopy({**model, "champion": 1}) for name in names(count)}
    file.write_text(yaml.safe_dump(stack, sort_keys=False), encoding="utf-8")
    return home.ok("preview", "--stack", STACK, "--offline")


def names(count: int) -> list[str]:
    """Names of so many models."""
    return [f"m{number:02}" for number in range(1, count + 1)]


def declared_resources(out: str) -> int:
    """How many resources a preview from nothing says that it would make. Raises AssertionError where it does not say so."""
    summary = re.search(r"^    \+ (\d+) to create$", out, flags=re.MULTILINE)
    assert summary, out[-2000:]
    return int(summary.group(1))
