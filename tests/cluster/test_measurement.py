"""The query that measures a stage, asked of Prometheus itself over counters as the gateway would have shown them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.kubernetes import analysis
from infra.local.gateway import Counts, sample
from tests.unit.infra.kubernetes_models import model, watch

REQUESTS = "traefik_service_requests_total"
BUCKETS = "traefik_service_request_duration_seconds_bucket"
Series = dict[str, str]


def series(metric: str, service: str, values: str, *, code: int = 200, instance: str = "a", le: str = "") -> Series:
    """One counter, a value a second: ``5x3`` is four times 5, ``5+2x3`` is 5, 7, 9, 11, and ``_`` is nothing."""
    bound = f',le="{le}"' if le else ""
    labels = f'service="mldelivery-{service}@kubernetescrd",code="{code}",instance="{instance}"{bound}'
    return {"series": f"{metric}{{{labels}}}", "values": values}


ALIVE = {"series": 'traefik_config_last_reload_success{instance="a"}', "values": "7x100"}
# The stage begins at second 21. Before, another release has had 100 requests at the same place.
MARK = series(REQUESTS, "iris-stable-82", "5x20 6x60")
USERS = series(REQUESTS, "iris-canary-80", "100x20 100+10x60")


def measure(folder: Path, at: int, given: list[Series], expected: list[float]) -> str:
    """What promtool says where the query gives something else; empty where it does not."""
    query = analysis.query(watch(model())).replace("{{args.range}}", "90s").replace("{{args.resolution}}", "1s")
    samples = [{"labels": f'{{n="{index}"}}', "value": round(value, 3)} for index, value in enumerate(expected)]
    test = {
        "interval": "1s",
        "input_series": given,
        # Two ways of counting may differ in the last of sixteen digits.
        "promql_expr_test": [{"expr": f"round({query}, 0.001)", "eval_time": f"{at}s", "exp_samples": samples}],
    }
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "1s", "tests": [test]}, width=100_000), encoding="utf-8")
    promtool = shutil.which("promtool")
    assert promtool is not None, "Prometheus is one of the cluster's packages: make cluster"
    done = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    said = done.stdout + done.stderr
    return "\n".join(line for line in said.splitlines() if "exp:" in line or "got:" in line) or said


CASES: dict[str, tuple[int, list[Series], list[float]]] = {
    "only what came since the mark counts": (24, [ALIVE, MARK, USERS], [30, 0, 0, 0, 0]),
    "the first error of a release counts, though its series was not there before": (
        34,
        [ALIVE, MARK, USERS, series(REQUESTS, "iris-canary-80", "_x25 1+1x30", code=500)],
        [140, 10, 0, 0, 0],
    ),
    "what the client got wrong does not": (
        24,
        [ALIVE, MARK, USERS, series(REQUESTS, "iris-canary-80", "0+7x60", code=422)],
        [30, 0, 0, 0, 0],
    ),
    "probes are counted apart": (34, [ALIVE, MARK, series(REQUESTS, "iris-canary-81", "30x30 60x30")], [0, 0, 30, 0, 0]),
    "the very first mark of a model": (24, [ALIVE, series(REQUESTS, "iris-stable-82", "_x21 1x40"), USERS], [30, 0, 0, 0, 0]),
    "without a mark there is no data": (24, [ALIVE, USERS], []),
    "without a mark in reach there is none": (15, [ALIVE, series(REQUESTS, "iris-stable-82", "5x60"), USERS], []),
    "without the gateway there is none": (24, [], []),
    "a Prometheus that was not there at the mark knows nothing": (24, [MARK | {"values": "6x60"}, USERS], []),
    "two gateways are added up, wherever the mark went": (
        25,
        [
            ALIVE,
            MARK,
            USERS,
            series(REQUESTS, "iris-stable-82", "7x60", instance="b"),
            series(REQUESTS, "iris-canary-80", "200x20 200+5x60", instance="b"),
        ],
        [60, 0, 0, 0, 0],
    ),
    "a gateway that restarted counts from zero": (
        30,
        [ALIVE, MARK, series(REQUESTS, "iris-canary-80", "100x20 110x5 1+1x20")],
        [4, 0, 0, 0, 0],
    ),
    "latency is that of the stage": (
        24,
        [
            ALIVE,
            MARK,
            series(BUCKETS, "iris-canary-80", "900x20 900x60", le="0.1"),
            series(BUCKETS, "iris-canary-80", "900x20 900+4x60", le="0.5"),
            series(BUCKETS, "iris-canary-80", "900x20 900+4x60", le="+Inf"),
        ],
        # Of twelve answers that took from 100 to 500 ms, the slowest but one.
        [0, 0, 0, 0, 450],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_stage_is_measured(case: str, tmp_path: Path) -> None:
    assert measure(tmp_path, *CASES[case]) == ""


def answers(place: str, *, fast: int, slow: int, code: int = 200) -> list[Series]:
    """Answers since second 30, within 100 ms and up to a second. Before the stage there were seven already, all slow."""
    total = fast + slow
    counts = {"0.1": (0, fast), "1": (7, total), "+Inf": (7, total)}
    buckets = [series(BUCKETS, place, f"{before}x29 {before + since}x40", code=code, le=le) for le, (before, since) in counts.items()]
    return [series(REQUESTS, place, f"7x29 {7 + total}x40", code=code), *buckets]


def counted(fast: int, slow: int, errors: int = 0) -> Counts:
    """The same as a laptop's gateway counts it; errors come fast."""
    total = fast + slow + errors
    return Counts(total, errors, {0.1: float(fast + errors), 1.0: float(total), float("inf"): float(total)})


@pytest.mark.parametrize(
    ("users", "errors", "probes"),
    [
        ((49, 1), 0, (0, 0)),
        ((48, 2), 0, (0, 0)),
        ((10, 1), 0, (40, 0)),
        ((10, 1), 2, (40, 1)),
        ((99, 1), 0, (0, 0)),
        ((98, 2), 0, (0, 0)),
        ((197, 3), 0, (300, 0)),
        ((0, 40), 0, (0, 0)),
        ((1, 0), 0, (0, 0)),
        ((0, 0), 0, (0, 0)),
        ((0, 0), 3, (0, 0)),
    ],
)
def test_it_is_what_a_laptop_measures(tmp_path: Path, users: tuple[int, int], errors: int, probes: tuple[int, int]) -> None:
    by_hand = sample(counted(*users, errors), counted(*probes))
    expected = [by_hand.requests, by_hand.errors, by_hand.probes, by_hand.probe_errors, by_hand.p99_ms or 0]
    given = [ALIVE, MARK, *answers("iris-canary-80", fast=users[0], slow=users[1])]
    given += answers("iris-canary-80", fast=errors, slow=0, code=500)
    given += answers("iris-canary-81", fast=probes[0], slow=probes[1])
    assert measure(tmp_path, 40, given, expected) == ""


def test_a_wrong_expectation_is_found(tmp_path: Path) -> None:
    assert "got:" in measure(tmp_path, 24, [ALIVE, MARK, USERS], [31, 0, 0, 0, 0])
