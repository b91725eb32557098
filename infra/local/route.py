"""A model's route as a resource: its update *is* the rollout, and its inputs carry the evidence that a preview shows beside the number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from infra.driver import attend, engine_process
from infra.local import gateway, ledger, place
from infra.local.walker import WARM, Change, walk
from infra.rollout import Policy, Slo
from infra.route import Route

_MOVES = ("champion", "challenger", "share", "shadow", "wiring")
"""Inputs whose change moves traffic; a change of any other (evidence, policy) is only written down."""


class RouteProvider(ResourceProvider):
    """Moves a model's traffic. Inputs: see ``ModelRoute``."""

    serialize_as_secret_always = False

    def configure(self, _req: Any) -> None:
        attend(engine_process(), WARM)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        if any(olds.get(key) != value for key, value in news.items()):
            return DiffResult(changes=True)
        # The file may say something else: a killed rollout leaves its weights.
        return DiffResult(changes=not gateway.is_current(_final_route(news)))

    def create(self, props: dict[str, Any]) -> CreateResult:
        walk(_change(props, old=None))
        return CreateResult(props["model"], props)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        moves = any(olds.get(key) != news.get(key) for key in _MOVES)
        if moves or not gateway.is_current(_final_route(news)):
            # The old champion's servers still run: the engine deletes them only after this update has succeeded.
            known = {**olds["wiring"]["urls"], **news["wiring"]["urls"]}
            walk(_change({**news, "wiring": {**news["wiring"], "urls": known}}, old=int(olds["champion"])))
        return UpdateResult(news)

    def delete(self, id_: str, _props: dict[str, Any]) -> None:
        gateway.remove(id_)
        ledger.record_removed(id_)


class ModelRoute(Resource, module="mldelivery", name="Route"):
    """The route of one model.

    Props: model, champion, challenger, share, shadow, evidence, plan, policy, and ``wiring``: digests, golden files and urls by release,
    ports, the file that a message names.
    """

    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(RouteProvider(), name, props, opts)


def _final_route(props: dict[str, Any]) -> Route:
    return Route(
        model=props["model"],
        weights={int(props["champion"]): 100},
        urls={int(release): urls for release, urls in props["wiring"]["urls"].items()},
        challenger=_number(props.get("challenger")) if props.get("share") else None,
        share=int(props.get("share") or 0),
        shadow=_number(props.get("challenger")) if props.get("shadow") else None,
    )


def _change(props: dict[str, Any], *, old: int | None) -> Change:
    champion = int(props["champion"])
    wiring = props["wiring"]
    policy = dict(props["policy"])
    slo = policy.pop("slo")
    for key in ("minimum_sample", "rollback_window"):
        policy[key] = int(policy[key])
    return Change(
        route=_final_route(props),
        old=old,
        new=champion,
        digest=wiring["digests"][str(champion)],
        golden={int(release): place.STORE / Path(path) for release, path in wiring["golden"].items()},
        policy=Policy(**{**policy, "steps": tuple(int(step) for step in policy["steps"])}, slo=Slo(**slo)),
        dashboard_port=int(wiring["dashboard_port"]),
        gateway_port=int(wiring["gateway_port"]),
        config_file=wiring["config_file"],
    )


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
