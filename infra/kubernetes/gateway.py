"""A model's route as Traefik's Kubernetes objects, from the same tree of services as on a laptop (``infra.route``).

::

    IngressRoute iris          users: TLS, size cap, retries           -> TraefikService iris
    TraefikService iris        challenger's share, shadow (Pulumi's)   -> iris-rollout, Service iris-challenger-stable
    TraefikService iris-rollout weights of a canary (Argo's)           -> Services iris-stable, iris-canary
    IngressRoute iris-internal the rollout's golden requests           -> TraefikService iris-probe -> Service iris-canary, counted apart
                               one request at a stage's beginning      -> TraefikService iris-mark -> Service iris-stable, counted apart

What is done to requests on their way is the same for all models, and stands once in their namespace (``middlewares``).

With blue-green the champion is Service iris-stable itself, whose selector Argo Rollouts switches: a preview that has no pods yet must not
be part of what users reach. What Argo Rollouts moves is written once and then left alone; what Pulumi owns never names a release, so that a
promotion does not touch it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from infra.config import ChallengerConfig, ClusterGatewayConfig
from infra.kubernetes.labels import HTTP_PORT, MARK_PORT, PART_OF, PROBE_PORT, Names, labels
from infra.rollout import Strategy
from infra.route import MAX_BODY_BYTES, RETRY, Route, leaf, services

Manifest = dict[str, Any]

TRAEFIK = "traefik.io/v1alpha1"

MIDDLEWARES: dict[str, Manifest] = {
    # It takes the place of the servers' own cap, before it.
    "body": {"buffering": {"maxRequestBodyBytes": MAX_BODY_BYTES}},
    "predict": {"replacePath": {"path": "/predict"}},
    "retry": RETRY,
    "livez": {"replacePath": {"path": "/livez"}},
}
"""What the gateway does to requests on their way, by name."""


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """How a model is reached: its namespace, and the gateway's entry points and host."""

    model: str
    namespace: str
    gateway: ClusterGatewayConfig
    strategy: Strategy = "canary"


def inner(entrance: Entrance) -> Manifest:
    """TraefikService whose weights a rollout moves; everything goes to the stable pods until Argo Rollouts says otherwise."""
    names = Names(entrance.model)
    members = [
        {"name": service, "kind": "Service", "port": HTTP_PORT, "weight": weight}
        for service, weight in ((names.stable, 100), (names.canary, 0))
    ]
    return _object(entrance, "TraefikService", names.weights, {"weighted": {"services": members}})


def middlewares(namespace: str) -> list[Manifest]:
    """``MIDDLEWARES`` as the objects that the routes of all models of a namespace name."""
    metadata = {"namespace": namespace, "labels": {"app.kubernetes.io/part-of": PART_OF}}
    return [
        {"apiVersion": TRAEFIK, "kind": "Middleware", "metadata": {"name": name, **metadata}, "spec": spec}
        for name, spec in MIDDLEWARES.items()
    ]


def internal_routes(entrance: Entrance) -> list[Manifest]:
    """The rollout's own ways in, by an entry point that only pods of the cluster reach; what is named comes first."""
    names = Names(entrance.model)
    prefix = f"/{entrance.namespace}/{entrance.model}"
    ways = (
        (names.probe, f"Path(`{prefix}/predict`)", names.canary, PROBE_PORT, ["predict"]),
        (names.mark, f"Path(`{prefix}/mark`)", names.stable, MARK_PORT, ["livez", "retry"]),
    )
    found: list[Manifest] = []
    rules: list[Manifest] = []
    for name, match, service, port, chain in ways:
        # Straight to a Service, the gateway would count under a name of its own making instead of the Service's and port's.
        members = [{"name": service, "kind": "Service", "port": port, "weight": 100}]
        found.append(_object(entrance, "TraefikService", name, {"weighted": {"services": members}}))
        rules.append(_rule(match, {"name": name, "kind": "TraefikService"}, chain))
    spec = {"entryPoints": [entrance.gateway.internal_entry_point], "routes": rules}
    return [*found, _object(entrance, "IngressRoute", names.internal, spec)]


def outer_services(entrance: Entrance, challenger: ChallengerConfig | None) -> list[Manifest]:
    """TraefikServices of the champion against its challenger, inner ones first."""
    champion = 1 if challenger is None or challenger.release != 1 else 2
    tree = services(_route(entrance, champion=champion, challenger=challenger))
    names = Names(entrance.model)
    moved = {"name": names.weights, "kind": "TraefikService"}
    switched = {"name": names.stable, "kind": "Service", "port": HTTP_PORT}
    leaves: dict[str, Manifest] = {leaf(entrance.model, champion): moved if entrance.strategy == "canary" else switched}
    if challenger is not None:
        beside = Names(entrance.model, "challenger")
        leaves[leaf(entrance.model, challenger.release)] = {"name": beside.stable, "kind": "Service", "port": HTTP_PORT}
    above = {name: node for name, node in tree.items() if name not in leaves}

    def member(name: str) -> Manifest:
        return dict(leaves.get(name) or {"name": name, "kind": "TraefikService"})

    def rendered(node: Manifest) -> Manifest:
        if "mirroring" in node:
            shadow = node["mirroring"]
            copies = [{**member(mirror["name"]), "percent": mirror["percent"]} for mirror in shadow["mirrors"]]
            return {"mirroring": {**member(shadow["service"]), "mirrors": copies, "maxBodySize": shadow["maxBodySize"]}}
        return {"weighted": {"services": [{**member(each["name"]), "weight": each["weight"]} for each in node["weighted"]["services"]]}}

    # The tree lists what is below first: a service exists before the one that names it.
    return [_object(entrance, "TraefikService", name, rendered(node)) for name, node in above.items()]


def user_route(entrance: Entrance) -> Manifest:
    """The one way in for users: the prediction alone, over TLS, on the gateway's own host."""
    model, gateway = entrance.model, entrance.gateway
    host = urlsplit(gateway.url).hostname
    match = f"Host(`{host}`) && Path(`/{model}/predict`)"
    rule = _rule(match, {"name": model, "kind": "TraefikService"}, ["body", "predict", "retry"])
    tls = {"secretName": gateway.tls_secret} if gateway.tls_secret else {}
    is_plain = urlsplit(gateway.url).scheme == "http"
    spec = {"entryPoints": [gateway.entry_point], "routes": [rule], **({} if is_plain else {"tls": tls})}
    return _object(entrance, "IngressRoute", model, spec)


def _route(entrance: Entrance, *, champion: int, challenger: ChallengerConfig | None) -> Route:
    """The model at rest, as ``infra.route`` draws it. Addresses are Services here, whose pods the cluster knows."""
    return Route(
        model=entrance.model,
        weights={champion: 100},
        urls={release: ["http://service"] for release in {champion, *([challenger.release] if challenger else [])}},
        challenger=challenger.release if challenger and challenger.share else None,
        share=challenger.share if challenger else 0,
        shadow=challenger.release if challenger and challenger.shadow else None,
    )


def _rule(match: str, service: Manifest, chain: list[str]) -> Manifest:
    return {"kind": "Rule", "match": match, "services": [service], "middlewares": [{"name": name} for name in chain]}


def _object(entrance: Entrance, kind: str, name: str, spec: Manifest) -> Manifest:
    metadata = {"name": name, "namespace": entrance.namespace, "labels": labels(entrance.model)}
    return {"apiVersion": TRAEFIK, "kind": kind, "metadata": metadata, "spec": spec}
