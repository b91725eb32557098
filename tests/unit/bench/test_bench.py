"""The benchmark's arithmetic and table; its measurements are tried once on a real laptop in ``tests/e2e/test_bench.py``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.measure import command, in_turn, percentile, ratio, seconds
from tests.bench.row import Row, table
from tests.bench.stack import resources_touched
from tests.bench.traffic import Window, latency
from tests.load import Answer

REACHED = Row(name="quick enough", value=1.25, most=1.3, floor="1 x: nothing is quicker", why="never shown")
MISSED = Row(name="too slow", value=2.5, most=2, why="it takes 2 s, of which 1.9 s are sleep")


def test_a_goal_is_reached_at_its_limit_and_missed_beyond() -> None:
    assert Row(name="", value=2, most=2).is_reached is True
    assert Row(name="", value=2.01, most=2).is_reached is False
    assert Row(name="", value=30, least=30).is_reached is True
    assert Row(name="", value=29.9, least=30).is_reached is False
    assert Row(name="", value=1).is_reached is None


def test_the_table_shows_goal_floor_and_under_it_why_a_goal_was_missed() -> None:
    text = table([REACHED.as_dict(), MISSED.as_dict()])
    quick, slow = text.splitlines()[2:4]
    assert " ".join(quick.split()) == "quick enough 1.25 x <= 1.3 reached 1 x: nothing is quicker"
    assert " ".join(slow.split()) == "too slow 2.5 x <= 2 NOT REACHED"
    assert "Not reached:\n- too slow: it takes 2 s, of which 1.9 s are sleep" in text
    assert "never shown" not in text


def test_rows_of_the_servers_own_benchmark_fit_into_the_table() -> None:
    row: dict[str, Any] = {"name": "seconds to ready", "value": 3.0, "unit": "s", "goal": "<= 1.5", "floor": 0.5, "reached": False}
    text = table([row, {**row, "floor": None, "reached": None, "goal": ""}])
    assert "0.5 s" in text.splitlines()[2]
    assert "3 s is 6.00 times the floor of 0.5 s" in text


def test_a_table_without_a_missed_goal_explains_nothing() -> None:
    assert "Not reached" not in table([REACHED.as_dict()])


def test_measurements_are_taken_in_turn_every_second_round_backwards() -> None:
    order: list[str] = []

    def act(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = in_turn({"a": lambda: act("a"), "b": lambda: act("b")}, 3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert found == {"a": [1.0, 4.0, 5.0], "b": [2.0, 3.0, 6.0]}


def test_a_ratio_is_the_median_of_the_rounds_so_that_one_busy_round_does_not_count() -> None:
    assert ratio([2, 2, 2, 2, 90], [1, 1, 1, 1, 1]) == 2
    assert ratio([20, 2, 2], [10, 1, 1]) == 2


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = list(range(1, 101))
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50, 99, 100)
    assert percentile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.99)


def test_latency_during_promotions_is_compared_with_rest_and_with_the_engine_alone() -> None:
    windows = [
        Window(kind, float(at), at + 1.0, frozenset({1})) for at, kind in enumerate(["rest", "idle update", "promotion", "return", "rest"])
    ]
    slowness = {"rest": 0.002, "idle update": 0.003, "promotion": 0.004, "return": 0.009}
    answers = [
        Answer(window.began + share / 100, slowness[window.kind], 200, 1, 0, {}) for window in windows for share in range(0, 100, 10)
    ]
    row = latency(answers, windows, 1)
    assert row.value == pytest.approx(2)
    assert row.floor.startswith("1.50 x")
    assert row.parts["requests in rest"] == 20
    assert "alone makes 1.50 x, the rest 1.33 x" in row.as_dict()["why"]


def test_resources_touched_are_counted_from_the_engines_own_summary() -> None:
    summary = (
        "Resources:\n    + 1 created\n    ~ 2 updated\n    +-1 replaced\n    - 1 deleted\n    5 changes. 103 unchanged\n\nDuration: 6s\n"
    )
    assert resources_touched(f"Outputs:\n    gateway: 1\n\n{summary}") == 5
    assert resources_touched("Resources:\n    106 unchanged\n\n") == 0
    with pytest.raises(AssertionError):
        resources_touched("no summary\n")


def test_a_commands_wall_and_processor_time_are_measured() -> None:
    spent: list[float] = []
    busy = "import time\nwhile time.process_time() < 0.1: pass"
    here, environment = Path(__file__).parent, {"PATH": "/usr/bin:/bin"}
    took = seconds(lambda: command([sys.executable, "-I", "-c", busy], folder=here, environment=environment), spent)
    assert took >= 0.1
    assert 0.1 <= spent[0] < took + 0.1


def test_a_command_that_fails_or_hangs_stops_the_measurement() -> None:
    here, environment = Path(__file__).parent, {"PATH": "/usr/bin:/bin"}
    with pytest.raises(AssertionError, match="ended with 3:\nwhy"):
        command([sys.executable, "-I", "-c", "print('why'); raise SystemExit(3)"], folder=here, environment=environment)
    with pytest.raises(AssertionError, match=r"took more than 0\.2 s"):
        command([sys.executable, "-I", "-c", "import time; time.sleep(30)"], folder=here, environment=environment, limit_seconds=0.2)
