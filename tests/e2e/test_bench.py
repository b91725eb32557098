"""The benchmark's measurements, once each on a real laptop: they are to work, not to be quick."""

from __future__ import annotations

import dataclasses
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from infra.release import record_path
from tests.bench import environment
from tests.bench.ground import QUICK, UNWATCHED, Ground
from tests.bench.promotion import bare_start, promote
from tests.bench.releases import clone
from tests.bench.traffic import answers_to, distinct
from tests.laptop import FAST, Laptop

pytestmark = pytest.mark.timeout(900)
NUMBER = 90


def test_a_bare_start_and_a_promotion_are_measured(home: Laptop) -> None:
    shutil.rmtree(home.store / "bentos" / "iris" / str(NUMBER), ignore_errors=True)
    record_path(home.store, "iris", NUMBER).unlink(missing_ok=True)
    clone(home.store, source=("iris", 2), target=("iris", NUMBER))
    home.champion(1, rollout=UNWATCHED)
    home.up()
    bare, found = bare_start(home, NUMBER), promote(home, NUMBER)
    home.champion(1, rollout=FAST)
    home.up()
    assert 0 < bare < 30
    assert 0 < found.server < found.from_server < found.from_command < found.command < 120
    assert sum(found.stages) < found.from_server


def test_the_load_asks_only_what_the_two_releases_answer_differently(home: Laptop) -> None:
    bodies = distinct(home)
    assert len(bodies) >= 10
    pairs = zip(answers_to(home, 1, bodies), answers_to(home, 2, bodies), strict=True)
    assert all(one != other for one, other in pairs)


def test_a_preview_of_prod_is_measured_by_its_models_beside_as_many_resources_that_do_nothing(tmp_path: Path) -> None:
    with ExitStack() as closing:
        size = dataclasses.replace(QUICK, few=2, models=4)
        rows = {row.name: row for row in environment.measure(Ground(tmp_path, size, closing))}
    assert rows["preview of prod with 4 models / 2 models"].value > 0
    assert rows["resources of prod for one model more"].value == 16
    assert 0 < rows["imports of prod's program"].value < 60
