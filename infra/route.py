"""The tree of services through which a model's requests go: one pure function, rendered for Traefik's file provider and for a cluster.

::

    iris                    mirroring, only with a shadow      -> iris-live, copy to iris-5
    iris-live               challenger's share                 -> iris-rollout 90, iris-5 10
    iris-rollout            what a rollout moves               -> iris-1 80, iris-2 20
    iris-1, iris-2, iris-5  one leaf for each release          -> its servers

Layers with a single member are left out, so that a model at rest is one leaf. Gateway metrics are counted by leaf, hence by release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PROBE_HEADER = "X-Probe"
"""Marks a request of the rollout itself; its value is a token of that rollout, so that no user can choose a release by it."""

MAX_BODY_BYTES = 1_048_576
"""What is copied for a shadow at most; servers refuse larger bodies anyway."""

RETRY: dict[str, Any] = {
    # Reaches another replica, or the same one restarted by its supervisor, when a server dies: over about 5 s, as the gateway lets its
    # waits grow to twice the first one only. A POST may be sent again, to predict changes nothing. 502 is a lost connection, 503 what
    # a restarted server says until it has loaded its model.
    "retry": {"attempts": 12, "initialInterval": "300ms", "status": ["502", "503"], "retryNonIdempotentMethod": True},
}
"""The gateway's retries, on every target."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """What answers a model's requests: weights of a rollout (percent by release), a challenger's share in percent, a shadow.

    ``urls`` gives the addresses of each release's servers. ``probe`` is the release under test and its token, while a rollout runs.
    ``counted`` is a release that gets nothing, but whose leaf stays so that the gateway does not forget its counters.
    """

    model: str
    weights: Mapping[int, int]
    urls: Mapping[int, Sequence[str]]
    challenger: int | None = None
    share: int = 0
    shadow: int | None = None
    probe: tuple[int, str] | None = None
    counted: int | None = None


def leaf(model: str, release: int) -> str:
    """Name of the service of one release's servers; also its ``service`` label in the gateway's metrics."""
    return f"{model}-{release}"


def live_name(model: str) -> str:
    """Name of the service that parts champion and challenger."""
    return f"{model}-live"


def probe_leaf(model: str, release: int) -> str:
    """Name of the service that probes go to: the same servers, counted apart."""
    return f"{model}-{release}-probe"


def services(route: Route) -> dict[str, dict[str, Any]]:
    """The tree by name, the root under the model's own name; the value of each is Traefik's own notation.

    Raises ValueError where weights do not sum to 100 or a release has no servers.
    """
    if sum(route.weights.values()) != 100:
        raise ValueError(f"weights of {route.model} sum to {sum(route.weights.values())}: {dict(route.weights)}")
    used = [*route.weights, *(release for release in (route.challenger, route.shadow, route.counted) if release is not None)]
    tree: dict[str, dict[str, Any]] = {leaf(route.model, release): _servers(route, release) for release in used}
    top = _weighted(tree, f"{route.model}-rollout", {leaf(route.model, release): weight for release, weight in route.weights.items()})
    if route.challenger is not None:
        top = _weighted(tree, live_name(route.model), {top: 100 - route.share, leaf(route.model, route.challenger): route.share})
    if route.shadow is not None:
        tree[route.model] = {
            "mirroring": {
                "service": top,
                "mirrors": [{"name": leaf(route.model, route.shadow), "percent": 100}],
                "maxBodySize": MAX_BODY_BYTES,
            }
        }
    else:
        # A weighted service of one member: the root keeps its name and kind whatever the tree below it.
        tree[route.model] = {"weighted": {"services": [{"name": top, "weight": 100}]}}
    if route.probe is not None:
        tree[probe_leaf(route.model, route.probe[0])] = _servers(route, route.probe[0])
    return tree


def document(route: Route) -> dict[str, Any]:
    """The whole of a model's file for Traefik's file provider: routers, middlewares and the tree. No weights means no route yet."""
    strip = f"{route.model}-strip"
    routers: dict[str, Any] = {}
    tree = services(route) if route.weights else {}
    if route.weights:
        routers[route.model] = _router(route.model, "", route.model, [strip, f"{route.model}-retry"])
    if route.probe is not None:
        release, token = route.probe
        name = probe_leaf(route.model, release)
        tree.setdefault(name, _servers(route, release))
        routers[name] = _router(route.model, f" && Header(`{PROBE_HEADER}`, `{token}`)", name, [strip])
    if not routers:
        return {}
    middlewares = {
        strip: {"stripPrefix": {"prefixes": [f"/{route.model}"]}},
        f"{route.model}-retry": RETRY,
    }
    return {"http": {"routers": routers, "services": tree, "middlewares": middlewares}}


def _router(model: str, condition: str, service: str, middlewares: list[str]) -> dict[str, Any]:
    # Only the prediction is public; health, metrics and the rest stay behind the gateway.
    return {"rule": f"Path(`/{model}/predict`){condition}", "service": service, "entryPoints": ["web"], "middlewares": middlewares}


def _servers(route: Route, release: int) -> dict[str, Any]:
    urls = route.urls.get(release)
    if not urls:
        raise ValueError(f"release {release} of {route.model} has no servers")
    return {"loadBalancer": {"servers": [{"url": url} for url in urls], "passHostHeader": True}}


def _weighted(tree: dict[str, dict[str, Any]], name: str, members: Mapping[str, int]) -> str:
    alive = {member: weight for member, weight in members.items() if weight}
    if len(alive) == 1:
        return next(iter(alive))
    tree[name] = {"weighted": {"services": [{"name": member, "weight": weight} for member, weight in alive.items()]}}
    return name
