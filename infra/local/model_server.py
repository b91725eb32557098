"""One model on this machine: a server for each release in use, and the route that a promotion moves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.config import ModelConfig, PortsConfig
from infra.evidence import evidence
from infra.local.route import ModelRoute
from infra.local.server import ReleaseServer
from infra.release import Release
from infra.rollout import describe, describe_return


@dataclass(frozen=True, kw_only=True)
class ModelServerArgs:
    """A model's config, the records of its champion and challenger, and the file that asked for them."""

    config: ModelConfig
    champion: Release
    challenger: Release | None
    ports: PortsConfig
    config_file: str


class ModelServer(pulumi.ComponentResource):
    """Serves a model's champion, and a challenger beside it, behind the gateway."""

    def __init__(self, name: str, args: ModelServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:local:ModelServer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        records = [record for record in (args.champion, args.challenger) if record is not None]
        servers = {record.release: ReleaseServer(f"serve-{name}-{record.release}", _server(args, record), child) for record in records}
        # Created after its servers, and deleted before them.
        ordered = pulumi.ResourceOptions(parent=self, depends_on=list(servers.values()))
        urls = {str(release): server.urls for release, server in servers.items()}
        ModelRoute(f"route-{name}", {**_route(name, args), "wiring": {**_wiring(args, records), "urls": urls}}, ordered)
        self.register_outputs({})


def _server(args: ModelServerArgs, record: Release) -> dict[str, Any]:
    return {
        "model": record.model,
        "release": record.release,
        "replicas": args.config.replicas,
        "bento": record.bento.path,
        "digest": record.bento.digest,
        "ready_seconds": args.config.ready_seconds,
        "first_port": args.ports.servers,
    }


def _route(name: str, args: ModelServerArgs) -> dict[str, Any]:
    """What a reviewer reads in the diff, in the alphabetical order of the engine: the number, its evidence, the plan."""
    policy = args.config.policy()
    challenger = args.config.challenger
    return {
        "model": name,
        "champion": args.champion.release,
        "challenger": challenger.release if challenger else None,
        "share": challenger.share if challenger else 0,
        "shadow": challenger.shadow if challenger else False,
        "evidence": {"champion": evidence(args.champion), **({"challenger": evidence(args.challenger)} if args.challenger else {})},
        "plan": {"rollout": describe(policy), "going-back": describe_return(policy)},
        "policy": {**dataclasses.asdict(policy), "steps": list(policy.steps)},
    }


def _wiring(args: ModelServerArgs, records: list[Release]) -> dict[str, Any]:
    """What the route's provider needs and no reviewer looks for."""
    return {
        "digests": {str(record.release): record.digest for record in records},
        "golden": {str(record.release): f"{record.bento.path}/release/golden.jsonl" for record in records},
        "dashboard_port": args.ports.dashboard,
        "gateway_port": args.ports.gateway,
        "config_file": args.config_file,
    }
