"""What a server counts, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics, generate_latest

from serving.release_file import ReleaseFile

SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0)
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
STATUSES = (200, 400, 404, 405, 408, 413, 415, 422, 500, 503)


class Metrics:
    """Counters of one server. Children of labelled metrics are bound beforehand, since the look-up costs more than the count."""

    def __init__(self, release: ReleaseFile, counted: Sequence[str]) -> None:
        """``counted``: the names under which predictions are counted."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        fixed = {"model": release.model, "release": str(release.release)}
        requests = Counter(
            "serving_requests",
            "Answers to /predict by status; probe: asked by a rollout.",
            [*fixed, "status", "probe"],
            registry=self._registry,
        )
        predictions = Counter(
            "serving_predictions", "Predicted rows by label ('value' of a regression).", [*fixed, "label"], registry=self._registry
        )
        dropped = Counter("serving_request_log_dropped", "Requests that the request log lost.", [*fixed], registry=self._registry)
        seconds = Histogram(
            "serving_request_seconds", "Time from a request's head to its answer.", [*fixed], buckets=SECONDS, registry=self._registry
        )
        self.count_answer: dict[tuple[int, bool], Callable[[], None]] = {
            (status, probe): requests.labels(**fixed, status=str(status), probe=str(probe).lower()).inc
            for status in STATUSES
            for probe in (False, True)
        }
        self.count_prediction: dict[str, Callable[[int], None]] = {label: predictions.labels(**fixed, label=label).inc for label in counted}
        self.count_dropped: Callable[[int], None] = dropped.labels(**fixed).inc
        self.observe_seconds: Callable[[float], None] = seconds.labels(**fixed).observe

    def text(self) -> bytes:
        """The exposition that ``GET /metrics`` answers."""
        return generate_latest(self._registry)
