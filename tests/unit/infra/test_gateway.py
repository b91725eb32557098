"""Counters read from the gateway's own words, and percentiles as PromQL computes them."""

from __future__ import annotations

import pytest

from infra.local.gateway import Counts, _counts, quantile, render, sample
from infra.route import Route

METRICS = """\
# HELP traefik_service_requests_total How many HTTP requests processed on a service.
# TYPE traefik_service_requests_total counter
traefik_service_requests_total{code="200",method="POST",protocol="http",service="iris-1@file"} 90
traefik_service_requests_total{code="422",method="POST",protocol="http",service="iris-1@file"} 500
traefik_service_requests_total{code="499",method="POST",protocol="http",service="iris-1@file"} 7
traefik_service_requests_total{code="500",method="POST",protocol="http",service="iris-1@file"} 8
traefik_service_requests_total{code="502",method="POST",protocol="http",service="iris-1@file"} 2
traefik_service_requests_total{code="200",method="POST",protocol="http",service="iris-11@file"} 1000
traefik_service_requests_total{code="200",method="POST",protocol="http",service="iris-1-probe@file"} 1000
# TYPE traefik_service_request_duration_seconds histogram
traefik_service_request_duration_seconds_bucket{code="200",method="POST",protocol="http",service="iris-1@file",le="0.001"} 45
traefik_service_request_duration_seconds_bucket{code="200",method="POST",protocol="http",service="iris-1@file",le="0.01"} 90
traefik_service_request_duration_seconds_bucket{code="200",method="POST",protocol="http",service="iris-1@file",le="+Inf"} 90
traefik_service_request_duration_seconds_bucket{code="422",method="POST",protocol="http",service="iris-1@file",le="0.001"} 500
"""


def test_what_clients_got_wrong_is_not_counted_and_neither_are_other_services() -> None:
    counted = _counts(METRICS, "iris-1")
    assert (counted.requests, counted.errors) == (100, 10)
    assert counted.buckets == {0.001: 45, 0.01: 90, float("inf"): 90}


def test_a_service_that_nobody_asked_yet_counts_zero() -> None:
    assert _counts(METRICS, "iris-3") == Counts()


def test_a_window_is_the_difference_of_two_readings() -> None:
    now, before = Counts(100, 10, {1.0: 90.0}), Counts(40, 4, {1.0: 30.0})
    assert now.since(before) == Counts(60, 6, {1.0: 60.0})


def test_counters_that_went_back_were_reset_by_a_restart() -> None:
    now = Counts(5, 1, {1.0: 5.0})
    assert now.since(Counts(100, 10, {1.0: 90.0})) == now


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({}, 0.99, None),
        ({1.0: 0.0, float("inf"): 0.0}, 0.99, None),
        ({0.1: 50.0, 0.2: 100.0, float("inf"): 100.0}, 0.5, 0.1),
        ({0.1: 50.0, 0.2: 100.0, float("inf"): 100.0}, 0.75, 0.15),
        ({0.1: 50.0, float("inf"): 100.0}, 0.99, 0.1),
    ],
)
def test_quantiles(buckets: dict[float, float], share: float, expected: float | None) -> None:
    assert quantile(buckets, share) == (None if expected is None else pytest.approx(expected))


def histogram(fast: int, slow: int) -> dict[float, float]:
    """Answers within 0.1 s, and answers that took up to 1 s."""
    return {0.1: float(fast), 1.0: float(fast + slow), float("inf"): float(fast + slow)}


@pytest.mark.parametrize("total", range(2, 400))
def test_one_slow_answer_decides_nothing_and_two_of_a_hundred_do(total: int) -> None:
    for slow in range(min(total, 7)):
        found = sample(Counts(total, 0, histogram(total - slow, slow)), Counts(0, 0, {}))
        by_percentile = quantile(histogram(total - slow, slow), 0.99)
        assert by_percentile is not None
        # From a hundred on it is the percentile as anyone would count it; below, that would be the slowest.
        is_slow = by_percentile > 0.1 if total >= 100 else slow > 1
        assert (found.p99_ms is not None and found.p99_ms > 100) == is_slow, (total, slow)


def test_users_and_probes_stay_apart_in_a_sample() -> None:
    found = sample(Counts(10, 1, {0.1: 10.0, float("inf"): 10.0}), Counts(40, 2, {0.1: 40.0, float("inf"): 40.0}))
    assert (found.requests, found.errors, found.probes, found.probe_errors, found.total) == (10, 1, 40, 2, 50)
    assert found.p99_ms == pytest.approx(97), "the slowest but one of fifty, within a bucket of 100 ms"


def test_each_change_of_a_route_has_a_version_of_its_own() -> None:
    urls = {1: ["http://127.0.0.1:8101"], 2: ["http://127.0.0.1:8102"]}
    versions = {render(Route(model="iris", weights=weights, urls=urls))[1] for weights in ({1: 100}, {1: 90, 2: 10}, {2: 100})}
    assert len(versions) == 3
    text, version = render(Route(model="iris", weights={1: 100}, urls=urls))
    assert text.count(f"iris-strip-{version}") == 2
