"""One model in a cluster: a Rollout for its champion, one for a challenger beside it, and the route to both."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from infra.config import KubernetesConfig, ModelConfig
from infra.evidence import evidence
from infra.kubernetes import analysis, gateway, manifests
from infra.kubernetes.guard import RolloutGuard
from infra.kubernetes.labels import Names, Role, image
from infra.kubernetes.objects import create
from infra.kubernetes.watcher import RolloutWatch
from infra.release import Release
from infra.rollout import describe, describe_return


@dataclass(frozen=True, kw_only=True)
class ModelServerArgs:
    """A model's config, the records of its champion and challenger, the cluster, and the file that asked for them.

    ``kubeconfig`` is the content of a kubeconfig that is not known yet; without it the cluster's config names a file. ``below`` says, by
    role, what the stack below has seen of the release.
    """

    config: ModelConfig
    champion: Release
    challenger: Release | None
    kubernetes: KubernetesConfig
    config_file: str
    provider: pulumi.ProviderResource
    kubeconfig: pulumi.Input[str] | None = None
    below: Mapping[str, str] = field(default_factory=dict)


class ModelServer(pulumi.ComponentResource):
    """Serves a model's champion, and a challenger beside it, behind the cluster's gateway.

    A guard and what a rollout needs come before the Rollout, its watch after it. Users are let in last, when the watch has seen the release
    answer as recorded. Nothing that serves is ever replaced. Its routes name the ``Middlewares`` of its namespace, on which it depends.
    """

    def __init__(self, name: str, args: ModelServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:kubernetes:ModelServer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self, provider=args.provider)
        entrance = gateway.Entrance(
            model=name,
            namespace=args.kubernetes.namespace,
            gateway=args.kubernetes.gateway,
            strategy=args.config.rollout.strategy,
        )
        # The weights are Argo's from the first rollout on.
        inner = create(gateway.inner(entrance), child, ignored=("spec.weighted.services",))
        inside: list[pulumi.Resource] = []
        for manifest in gateway.internal_routes(entrance):
            inside.append(create(manifest, _after(child, inside)))
        watched = [_Rolled(f"{name}-champion", _rolled(args, "champion", args.champion), _after(child, [inner, *inside])).watch]
        if args.challenger is not None:
            watched.append(_Rolled(f"{name}-challenger", _rolled(args, "challenger", args.challenger), child).watch)
        below: list[pulumi.Resource] = [inner, *inside, *watched]
        for manifest in [*gateway.outer_services(entrance, args.config.challenger), gateway.user_route(entrance)]:
            below.append(create(manifest, _after(child, below)))
        self.register_outputs({})


@dataclass(frozen=True, kw_only=True)
class _RolledArgs:
    workload: manifests.Workload
    watch: analysis.Watch
    guarded: dict[str, Any]
    watched: dict[str, Any]


class _Rolled(pulumi.ComponentResource):
    """One role of a model: what is checked before, what Argo Rollouts works with, the Rollout, and the watch that ends when it has."""

    def __init__(self, name: str, args: _RolledArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:kubernetes:RolledRelease", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        workload = args.workload
        guard = RolloutGuard(f"guard-{workload.names.rollout}", args.guarded, child)
        # Argo Rollouts writes the hash of the pods that each Service means into its selector.
        before: list[pulumi.Resource] = [guard]
        before += [create(service, _after(child, [guard]), ignored=("spec.selector",)) for service in manifests.services(workload)]
        before += [create(template, _after(child, [guard])) for template in _templates(args.watch)]
        # With an autoscaler the number of pods is its alone, after the first. Left out, it would be one pod until the autoscaler's turn.
        scaled = ("spec.replicas",) if workload.autoscale is not None else ()
        rollout = create(manifests.rollout(workload), _after(child, before), ignored=scaled)
        create(manifests.disruption_budget(workload), _after(child, [guard]))
        if workload.autoscale is not None:
            create(manifests.autoscaler(workload, workload.autoscale), _after(child, [rollout]))
        self.watch = RolloutWatch(f"rollout-{workload.names.rollout}", args.watched, _after(child, [rollout]))
        self.register_outputs({})


def _templates(watch: analysis.Watch) -> list[manifests.Manifest]:
    golden = analysis.golden(watch.names, watch.namespace, node_seconds=watch.node_seconds)
    if watch.names.role == "challenger":
        return [golden]
    return [golden, analysis.traffic(watch)]


def _rolled(args: ModelServerArgs, role: Role, record: Release) -> _RolledArgs:
    cluster, config = args.kubernetes, args.config
    names = Names(record.model, role)
    policy = config.policy()
    if role == "challenger":
        # It has no users of its own to step through: verified on the preview, then beside the champion at once.
        policy = dataclasses.replace(policy, strategy="blue-green", steps=())
    workload = manifests.Workload(
        names=names,
        namespace=cluster.namespace,
        release=record.release,
        image=image(cluster.registry, record.image or ""),
        replicas=config.replicas,
        resources=config.resources,
        ready_seconds=config.ready_seconds,
        policy=policy,
        autoscale=config.autoscale,
        scrape_seconds=cluster.scrape_seconds,
        node_seconds=cluster.node_seconds,
    )
    watch = analysis.Watch(
        names=names,
        namespace=cluster.namespace,
        policy=policy,
        prometheus=cluster.prometheus,
        internal_url=cluster.gateway.internal_url,
        scrape_seconds=cluster.scrape_seconds,
        node_seconds=cluster.node_seconds,
    )
    kubeconfig = args.kubeconfig if args.kubeconfig is not None else cluster.kubeconfig
    where = {"kubeconfig": kubeconfig, "context": cluster.context, "namespace": cluster.namespace}
    platform = {"platform": cluster.platform}
    rolled = {"model": record.model, "role": role, "champion": record.release, "image": workload.image}
    return _RolledArgs(
        workload=workload,
        watch=watch,
        guarded={**where, **platform, **rolled, "digest": record.digest, "rollback_window": policy.rollback_window},
        watched={
            **_shown(args, role, record),
            "wiring": {
                **where,
                **rolled,
                "digest": record.digest,
                "config_file": args.config_file,
                "replicas": config.replicas,
                "ready_seconds": config.ready_seconds,
                "node_seconds": cluster.node_seconds,
            },
        },
    )


def _shown(args: ModelServerArgs, role: Role, record: Release) -> dict[str, Any]:
    """What a reviewer reads in the diff: the same keys and words as on a laptop (``infra.local.model_server``)."""
    policy = args.config.policy()
    shown = {
        "model": record.model,
        "champion": record.release,
        "evidence": {role: {**evidence(record), **({"below": args.below[role]} if role in args.below else {})}},
        "policy": {**dataclasses.asdict(policy), "steps": list(policy.steps)},
    }
    if role == "challenger":
        return {**shown, "role": role}
    beside = args.config.challenger
    return {
        **shown,
        "challenger": beside.release if beside else None,
        "share": beside.share if beside else 0,
        "shadow": beside.shadow if beside else False,
        "plan": {"rollout": describe(policy), "going-back": describe_return(policy, first="pods ready")},
    }


def _after(opts: pulumi.ResourceOptions, resources: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(resources)))
