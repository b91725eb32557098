"""Names and labels of a model's objects in a cluster: every module that writes or looks for one asks here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["champion", "challenger"]

PART_OF = "mldelivery"
PLATFORM_NAMESPACE = "mldelivery-platform"
"""Where the charts of the platform go, if the stack installs them."""
NAME = "app.kubernetes.io/name"
ROLE = "mldelivery/role"
RELEASE = "mldelivery/release"
JOB = "mldelivery/job"
"""On pods of replay and probe Jobs, which serve nothing."""

CONTAINER = "server"
SERVER_PORT = 3000
SERVICE_ACCOUNT = "model-server"

HTTP_PORT = 80
"""What users' requests go to. The gateway counts by Service and port, hence a port for each kind of request."""
PROBE_PORT = 81
"""What the rollout's own probes go to."""
MARK_PORT = 82
"""What the one request that marks a stage's beginning goes to."""


@dataclass(frozen=True)
class Names:
    """Names of the objects of a model in one role; a challenger's carry its role."""

    model: str
    role: Role = "champion"

    @property
    def rollout(self) -> str:
        """The Rollout, its PodDisruptionBudget and its HorizontalPodAutoscaler; what all others are named after."""
        return self.model if self.role == "champion" else f"{self.model}-{self.role}"

    @property
    def stable(self) -> str:
        """Service of the pods that answer users: Argo's stable, and active with blue-green."""
        return f"{self.rollout}-stable"

    @property
    def canary(self) -> str:
        """Service of the pods under test: Argo's canary, and preview with blue-green."""
        return f"{self.rollout}-canary"

    @property
    def golden(self) -> str:
        """AnalysisTemplate of the golden replay."""
        return f"{self.rollout}-golden"

    @property
    def traffic(self) -> str:
        """AnalysisTemplate that judges a watched stage."""
        return f"{self.rollout}-traffic"

    @property
    def internal(self) -> str:
        """IngressRoute of a rollout's own requests: probes, and marks."""
        return f"{self.rollout}-internal"

    @property
    def probe(self) -> str:
        """TraefikService of the golden requests that a rollout sends through the gateway."""
        return f"{self.rollout}-probe"

    @property
    def mark(self) -> str:
        """TraefikService of the request that marks a stage's beginning."""
        return f"{self.rollout}-mark"

    @property
    def weights(self) -> str:
        """TraefikService whose weights Argo Rollouts moves."""
        return f"{self.rollout}-rollout"


def selector(names: Names) -> dict[str, str]:
    """Labels that choose a Rollout's pods; they never change, as a Rollout's selector can't."""
    return {NAME: names.model, ROLE: names.role}


def labels(model: str) -> dict[str, str]:
    """Labels of everything that belongs to a model."""
    return {NAME: model, "app.kubernetes.io/part-of": PART_OF, "app.kubernetes.io/managed-by": "pulumi"}


def pod_labels(names: Names, release: int) -> dict[str, str]:
    """Labels of a release's pods."""
    return {**selector(names), "app.kubernetes.io/part-of": PART_OF, RELEASE: str(release)}


def job_labels(model: str, kind: str) -> dict[str, str]:
    """Labels of the pods of a replay or probe Job. They match no Service's selector."""
    return {"app.kubernetes.io/part-of": PART_OF, JOB: kind, "mldelivery/model": model}


def image(registry: str, repository: str) -> str:
    """Where a cluster pulls a record's image from: ``repository@sha256:…`` below the registry of its stack."""
    return f"{registry.rstrip('/')}/{repository.lstrip('/')}"
