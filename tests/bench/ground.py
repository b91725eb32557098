"""What the parts of the benchmark stand on: a laptop of its own with two real releases, made when first asked for."""

from __future__ import annotations

import itertools
import shutil
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests import faulty
from tests.bench.bare import Bare
from tests.bench.releases import clone
from tests.clustered import ClusterStack, clustered
from tests.laptop import Laptop, laptop
from toolchain import environment

WATCHED = {"steps": [20, 60], "step-seconds": 0.6, "bake-seconds": 0.6, "minimum-sample": 30}
UNWATCHED = {"steps": [], "step-seconds": 0, "bake-seconds": 0}
"""No waiting; the minimum sample is the default one."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured: repetitions of a timing, promotions and returns under load, models of the large and the small stack."""

    repetitions: int
    promotions: int
    returns: int
    idle_updates: int
    rest_seconds: float
    rate: float
    models: int
    few: int
    validated_rows: tuple[int, int]


FULL = Size(
    repetitions=5,
    promotions=20,
    returns=5,
    idle_updates=5,
    rest_seconds=4,
    rate=60,
    models=50,
    few=5,
    validated_rows=(1_000_000, 10_000_000),
)
QUICK = Size(
    repetitions=1, promotions=2, returns=1, idle_updates=1, rest_seconds=3, rate=60, models=8, few=2, validated_rows=(400_000, 1_200_000)
)


class Ground:
    """Laptops and bare programs in ``folder``; closed by ``closing``, which ends every process."""

    def __init__(self, folder: Path, size: Size, closing: ExitStack) -> None:
        self.folder = folder
        self.size = size
        self.closing = closing
        self._numbers = itertools.count(3)

    @cached_property
    def home(self) -> Laptop:
        """Serves iris 1; release 2, made from more data, answers otherwise."""
        home = self.closing.enter_context(laptop(self.folder / "home"))
        furnish(home)
        home.champion(1, rollout=WATCHED)
        home.up()
        home.ok("release", "iris")
        return home

    @cached_property
    def town(self) -> ClusterStack:
        """The same in a namespace of its own of the running development cluster (``make cluster``)."""
        town = self.closing.enter_context(clustered(self.folder / "town"))
        town.champion(1, rollout=WATCHED)
        town.up()
        town.ok("release", "iris", "--stack", town.stack)
        return town

    @cached_property
    def empty(self) -> Bare:
        """A program of no line."""
        return Bare.make(self.folder / "empty", self.home.environment, models=None)

    def bare(self, models: int) -> Bare:
        """A program of the shape of ours for a number of models, whose resources do nothing."""
        return Bare.make(self.folder / f"bare-{models}", self.home.environment, models=models)

    def fresh(self, source: int) -> int:
        """A release of iris that was never served, with the answers of release ``source``; returns its number."""
        number = next(self._numbers)
        clone(self.home.store, source=("iris", source), target=("iris", number))
        return number

    def fresh_in_town(self, source: int, fault: faulty.Fault | None = None) -> int:
        """The same with its image, with a fault in it or none."""
        number = next(self._numbers)
        faulty.make(self.town.store, number, source=source, fault=fault, with_image=True)
        return number

    def second(self) -> Laptop:
        """Another laptop with the same two releases made, not up."""
        made = self.closing.enter_context(laptop(self.folder / "second"))
        for kind in ("bentos", "releases"):
            for number in ("1", "2"):
                name = f"{number}.yaml" if kind == "releases" else number
                source, target = self.home.store / kind / "iris" / name, made.store / kind / "iris" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if source.is_dir():
                    shutil.copytree(source, target)
                else:
                    shutil.copy2(source, target)
        return made


def furnish(home: Laptop) -> None:
    """Lend a laptop this environment under the name that ``make`` looks for, so that ``make up`` itself can be measured."""
    venv = home.root / ".venv"
    venv.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    (venv / environment.STAMP).write_text(environment.fingerprint(home.root), encoding="utf-8")
    assert environment.is_current(venv, environment.fingerprint(home.root)), "make up would install packages"
