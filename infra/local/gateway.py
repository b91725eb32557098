"""Traefik on loopback: its start, one file for each model's route, and what it counted."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from infra.errors import PlatformError
from infra.local import place
from infra.local.place import HOST
from infra.local.process import ServiceArgs
from infra.rollout import Sample, judged_quantile
from infra.route import Route, document, leaf, probe_leaf

DYNAMIC = place.GATEWAY / "routes"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Upper bounds of the latency histogram, seconds; a percentile is exact at these and interpolated between."""


def service(*, gateway_port: int, dashboard_port: int) -> ServiceArgs:
    """The gateway as a supervised service: requests on one port; dashboard, API and metrics on another."""
    static = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "WARN"},
        "entryPoints": {
            "web": {
                "address": f"{HOST}:{gateway_port}",
                "transport": {"respondingTimeouts": {"readTimeout": "30s"}, "lifeCycle": {"graceTimeOut": "5s"}},
            },
            "traefik": {"address": f"{HOST}:{dashboard_port}"},
        },
        "api": {"dashboard": True, "insecure": True, "disableDashboardAd": True},
        "ping": {},
        "providers": {"providersThrottleDuration": "50ms", "file": {"directory": "gateway/routes", "watch": True}},
        "metrics": {"prometheus": {"addServicesLabels": True, "addEntryPointsLabels": False, "buckets": list(BUCKETS)}},
    }
    return ServiceArgs(
        argv=["traefik", "--configFile=gateway/traefik.yaml"],
        port=dashboard_port,
        port_key="gateway/dashboard",
        also_listens_on=[gateway_port],
        ready_path="/ping",
        ready_seconds=15,
        # The provider refuses to start without its folder, hence a file in it from the first day.
        files={"gateway/traefik.yaml": yaml.safe_dump(static, sort_keys=True), "gateway/routes/empty.yaml": "{}\n"},
    )


def write(route: Route) -> str:
    """Write a model's file; returns the version that the gateway's API will name once it has loaded it (empty for no route)."""
    text, version = render(route)
    path = DYNAMIC / f"{route.model}.yaml"
    if not version:
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_text(encoding="utf-8") != text:
        place.write_whole(path, text)
    return version


def prepare_way_back(route: Route) -> None:
    """Write a route beside the one that serves, so that going back to it needs no space on the disk. Raises PlatformError."""
    text, version = render(route)
    if version:
        place.write_whole(_way_back(route.model), text)


def take_way_back(model: str) -> None:
    """Let the route that was prepared serve; without one, there is none to serve by."""
    try:
        _way_back(model).replace(DYNAMIC / f"{model}.yaml")
    except FileNotFoundError:
        (DYNAMIC / f"{model}.yaml").unlink(missing_ok=True)


def forget_way_back(model: str) -> None:
    """Remove what was prepared."""
    _way_back(model).unlink(missing_ok=True)


def _way_back(model: str) -> Path:
    return place.GATEWAY / "way-back" / f"{model}.yaml"


def render(route: Route) -> tuple[str, str]:
    """A model's file and its version. The version names the middleware that every router uses: it is loaded with them or not at all."""
    plain = document(route)
    if not plain:
        return "", ""
    version = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]
    renamed = json.dumps(plain).replace(f'"{route.model}-strip"', f'"{route.model}-strip-{version}"')
    return yaml.safe_dump(json.loads(renamed), sort_keys=True), version


def apply(route: Route, *, dashboard_port: int, wait_seconds: float = 10) -> None:
    """Write a model's route and wait until the gateway serves by it. Raises PlatformError where it does not within ``wait_seconds``."""
    version = write(route)
    address = f"/api/http/middlewares/{route.model}-strip-{version}@file" if version else f"/api/http/routers/{route.model}@file"
    wanted = 200 if version else 404
    deadline = time.monotonic() + wait_seconds
    while time.monotonic() < deadline:
        try:
            if _get(dashboard_port, address)[0] == wanted:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.01)
    raise PlatformError(
        f"the gateway did not take over the route within {wait_seconds:g} s",
        where=str(DYNAMIC / f"{route.model}.yaml"),
        act=f"read {place.LOGS / 'gateway.log'}, then run the same command again",
    )


def remove(model: str) -> None:
    """Take a model's route away."""
    (DYNAMIC / f"{model}.yaml").unlink(missing_ok=True)


def is_current(route: Route) -> bool:
    """Whether the file of a model's route says exactly this."""
    path = DYNAMIC / f"{route.model}.yaml"
    return path.is_file() and path.read_text(encoding="utf-8") == render(route)[0]


@dataclass(frozen=True)
class Counts:
    """Counters of one leaf: requests and 5xx answers, and the cumulative latency histogram (count by upper bound in seconds).

    What the client got wrong (4xx, and 499 where it left) is in none of them: it says nothing about a release.
    """

    requests: int = 0
    errors: int = 0
    buckets: Mapping[float, float] = field(default_factory=dict)

    def since(self, before: Counts) -> Counts:
        """What was counted since an earlier reading; a counter that went back was reset by a restart and counts from zero."""
        if self.requests < before.requests:
            return self
        return Counts(
            self.requests - before.requests,
            self.errors - before.errors,
            {bound: count - before.buckets.get(bound, 0) for bound, count in self.buckets.items()},
        )


def counts(model: str, release: int, *, dashboard_port: int) -> tuple[Counts, Counts]:
    """What the gateway has counted for a release so far: users' requests, and probes. Raises OSError where it does not answer."""
    status, text = _get(dashboard_port, "/metrics")
    if status != 200:
        raise OSError(f"the gateway's metrics answered {status}")
    return _counts(text, leaf(model, release)), _counts(text, probe_leaf(model, release))


def sample(users: Counts, probes: Counts) -> Sample:
    """Counts of a stage as the policy's sample."""
    merged = {bound: users.buckets.get(bound, 0) + probes.buckets.get(bound, 0) for bound in {*users.buckets, *probes.buckets}}
    p99 = quantile(merged, judged_quantile(max(merged.values(), default=0)))
    return Sample(users.requests, users.errors, probes.requests, probes.errors, 1000 * p99 if p99 else None)


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """Quantile in seconds of a cumulative histogram, interpolated linearly inside its bucket as PromQL's ``histogram_quantile`` does.

    In the last, open bucket the answer is its lower bound; None for an empty histogram.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0
    if not total:
        return None
    rank = share * total
    below, lower = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (rank - below) / max(buckets[bound] - below, 1e-12)
        below, lower = buckets[bound], bound
    return lower


def shares(model: str, *, dashboard_port: int) -> dict[str, int]:
    """Percent of a model's live traffic by leaf, as the gateway itself reports its services. Raises OSError where it does not answer."""

    def spread(name: str, percent: float) -> Iterator[tuple[str, float]]:
        status, text = _get(dashboard_port, f"/api/http/services/{name}@file")
        found = json.loads(text) if status == 200 else {}
        if "weighted" in found:
            members = found["weighted"]["services"]
            total = sum(member.get("weight", 1) for member in members)
            for member in members:
                yield from spread(member["name"].removesuffix("@file"), percent * member.get("weight", 1) / total)
        elif "mirroring" in found:
            yield from spread(found["mirroring"]["service"].removesuffix("@file"), percent)
        elif found:
            yield name, percent

    result: dict[str, int] = {}
    for name, percent in spread(model, 100):
        result[name] = result.get(name, 0) + round(percent)
    return result


def _counts(text: str, service: str) -> Counts:
    from prometheus_client.parser import text_string_to_metric_families

    label = f'service="{service}@file"'
    lines = [line for line in text.splitlines() if line.startswith("traefik_service_request") and label in line]
    requests = errors = 0
    buckets: dict[float, float] = {}
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for found in family.samples:
            code = found.labels.get("code", "")
            if code.startswith("4"):
                continue
            if found.name == "traefik_service_requests_total":
                requests += int(found.value)
                errors += int(found.value) if code.startswith("5") else 0
            elif found.name == "traefik_service_request_duration_seconds_bucket":
                bound = float(found.labels["le"])
                buckets[bound] = buckets.get(bound, 0) + found.value
    return Counts(requests, errors, buckets)


def _get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
