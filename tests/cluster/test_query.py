"""What Prometheus makes of the gateway's counters, against what a laptop makes of the same: Debian's promtool and the real query."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.kubernetes import analysis
from infra.local.gateway import Counts, sample
from tests.unit.infra.kubernetes_models import model, watch
from toolchain.cluster.node import Node

USERS = 'service="mldelivery-iris-canary-80@kubernetescrd"'
PROBES = 'service="mldelivery-iris-canary-81@kubernetescrd"'
MARK = 'service="mldelivery-iris-stable-82@kubernetescrd"'
RIGHT, WRONG = ', code="200"', ', code="500"'


def counter(name: str, labels: str, before: int, since: int) -> dict[str, str]:
    """A counter that goes up by ``since`` ten seconds after the stage's mark, which comes at 5 s."""
    return {"series": f"traefik_service_{name}{{{labels}}}", "values": f"{before}x14 {before + since}x30"}


def answers(which: str, *, fast: int, slow: int, code: str = RIGHT, before: int = 7) -> list[dict[str, str]]:
    """Answers within 100 ms, and answers that took up to a second. Before the stage there were some already, all slow."""
    total = fast + slow
    bounds = {"0.1": (0, fast), "1": (before, total), "+Inf": (before, total)}
    return [
        counter("requests_total", which + code, before, total),
        counter("request_duration_seconds_count", which + code, before, total),
        *(counter("request_duration_seconds_bucket", f'{which}{code}, le="{bound}"', *count) for bound, count in bounds.items()),
    ]


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
def test_the_query_measures_what_a_laptop_measures(
    cluster: Node, tmp_path: Path, users: tuple[int, int], errors: int, probes: tuple[int, int]
) -> None:
    assert cluster is not None, "its packages bring promtool"
    by_hand = sample(counts(*users, errors), counts(*probes, 0))
    expected = [by_hand.requests, by_hand.errors, by_hand.probes, by_hand.probe_errors, by_hand.p99_ms or 0]
    query = analysis.query(watch(model())).replace("{{args.range}}", "60s").replace("{{args.resolution}}", "1s")
    document = {
        "evaluation_interval": "1s",
        "tests": [
            {
                "interval": "1s",
                "input_series": [
                    {"series": f"traefik_service_requests_total{{{MARK}{RIGHT}}}", "values": "3x4 4x40"},
                    {"series": "traefik_config_last_reload_success", "values": "1x60"},
                    *answers(USERS, fast=users[0], slow=users[1]),
                    *answers(USERS, fast=errors, slow=0, code=WRONG),
                    *answers(PROBES, fast=probes[0], slow=probes[1]),
                ],
                "promql_expr_test": [
                    {
                        # Two ways of counting differ in the last of sixteen digits.
                        "expr": f"round({query}, 0.001)",
                        "eval_time": "30s",
                        "exp_samples": [{"labels": f'{{n="{index}"}}', "value": round(value, 3)} for index, value in enumerate(expected)],
                    }
                ],
            }
        ],
    }
    (tmp_path / "query.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    done = subprocess.run(["promtool", "test", "rules", str(tmp_path / "query.yaml")], text=True, capture_output=True, check=False)
    assert done.returncode == 0, "\n".join(line for line in done.stderr.splitlines() if "expr:" not in line)


def counts(fast: int, slow: int, errors: int) -> Counts:
    """The same answers as a laptop's gateway counts them, errors fast."""
    total = fast + slow + errors
    histogram: dict[float, Any] = {0.1: float(fast + errors), 1.0: float(total), float("inf"): float(total)}
    return Counts(total, errors, histogram)
