"""What serves, since when, on what evidence, and how the last return came about: from config, records, state and the gateway."""

from __future__ import annotations

import argparse
import http.client
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.config import KubernetesConfig, ModelConfig, StackConfig, file_name, load
from infra.errors import DeliveryError
from infra.local import gateway
from infra.local.process import is_ready
from infra.release import load as load_record
from infra.release import numbers


def main(arguments: list[str]) -> int:
    """``python -m pipelines status``."""
    parser = argparse.ArgumentParser(prog="python -m pipelines status", description="What serves, since when, on what evidence.")
    parser.add_argument("--stack", default="local", help="the stack (default: local)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    read = parser.parse_args(arguments)
    try:
        found = status(Path(__file__).resolve().parent.parent, read.stack)
    except DeliveryError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(found) if read.json else render(found))
    return 0


def status(root: Path, stack: str) -> dict[str, Any]:
    """The stack as plain values, ready for ``--json``. Never fails for what is down: it says so. Raises ConfigError for a wrong file."""
    config = load(root, stack)
    store = config.store(root)
    views, gateway_state = _views(config, store)
    return {
        "stack": stack,
        "target": config.target,
        "gateway": gateway_state,
        "models": [_model(store, name, model, stack, views[name]) for name, model in config.models.items()],
    }


def render(found: dict[str, Any]) -> str:
    """The same as a table for a person."""
    header = ("model", "champion", "since", "challenger", "traffic", "health", "gates", "latest", "last return")
    rows = [header]
    for model in found["models"]:
        champion = model["champion"]
        rows.append(
            (
                model["model"],
                "none" if champion is None else str(champion),
                _age(model["since"]),
                model["challenger"] or "-",
                ", ".join(f"{release} {percent} %" for release, percent in model["traffic"].items()) or "-",
                model["health"],
                model["gates"],
                str(model["latest"] or "-"),
                _last_return(model["last_return"]),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    table = "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    notes = [f"{model['model']}: {note}" for model in found["models"] for note in model["notes"]]
    return "\n".join(
        [f"stack {found['stack']} ({found['target']}), gateway {found['gateway']}", "", table, *(["", *notes] if notes else [])]
    )


def _views(config: StackConfig, store: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """How each model stands where it runs, and whether the gateway is there."""
    if config.kubernetes is not None:
        return _cluster_views(config, config.kubernetes)
    return {name: _local_view(store, name, config) for name in config.models}, _reachable(config)


def _local_view(store: Path, name: str, config: StackConfig) -> dict[str, Any]:
    account, traffic = _account(store, name), _traffic(name, config)
    kept = {key: account.get(key) for key in ("serving", "since", "last_return")}
    return {**kept, "traffic": traffic, "health": _health(store, name, traffic)}


def _cluster_views(config: StackConfig, kubernetes: KubernetesConfig) -> tuple[dict[str, dict[str, Any]], str]:
    from infra.kubernetes.api import ROOT, connect
    from infra.kubernetes.view import view
    from pipelines.kubeconfig import ensure_kubeconfig

    try:
        ensure_kubeconfig(ROOT, config)
        cluster = connect(kubernetes.kubeconfig, kubernetes.context)
        return {name: view(cluster, kubernetes.namespace, name) for name in config.models}, kubernetes.gateway.url
    except DeliveryError as error:
        unknown: dict[str, Any] = {"serving": None, "since": None, "last_return": None, "traffic": {}, "health": "unknown"}
        return dict.fromkeys(config.models, unknown), f"unknown: {error.what}"


def _model(store: Path, name: str, model: ModelConfig, stack: str, view: dict[str, Any]) -> dict[str, Any]:
    known = numbers(store, name)
    notes = []
    serving = view["serving"]
    if model.champion is not None and serving != model.champion and serving is not None:
        notes.append(f"{file_name(stack)} says {model.champion}, {serving} answers: run `make preview`")
    return {
        "model": name,
        "champion": model.champion,
        "serving": serving,
        "since": view["since"],
        "challenger": _challenger(model),
        "traffic": view["traffic"],
        "health": view["health"],
        "gates": _gates(store, name, model.champion),
        "latest": known[-1] if known else None,
        "last_return": view["last_return"],
        "notes": notes,
    }


def _account(store: Path, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads((store / "rollouts" / f"{name}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _challenger(model: ModelConfig) -> str | None:
    beside = model.challenger
    if beside is None:
        return None
    return f"{beside.release} (shadow)" if beside.shadow else f"{beside.release} ({beside.share} %)"


def _traffic(name: str, config: StackConfig) -> dict[str, int]:
    """Percent by release, as the gateway itself reports it; empty where it does not answer."""
    try:
        found = gateway.shares(name, dashboard_port=config.ports.dashboard)
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    return {leaf.removeprefix(f"{name}-"): percent for leaf, percent in found.items()}


def _health(store: Path, name: str, traffic: dict[str, int]) -> str:
    """Whether every server that gets traffic says it is ready."""
    if not traffic:
        return "no route"
    down = []
    for release in traffic:
        for file in sorted((store / "supervisor" / "programs").glob(f"serve-{name}-{release}-*.conf")):
            words = file.read_text(encoding="utf-8").split()
            if not is_ready(int(words[words.index("--port") + 1]), "/readyz"):
                down.append(file.stem)
    return "down: " + ", ".join(down) if down else "ready"


def _gates(store: Path, name: str, champion: int | None) -> str:
    if champion is None:
        return "-"
    try:
        record = load_record(store, name, champion)
    except DeliveryError as error:
        return error.what
    return ", ".join(record.failed_gates) + " not passed" if record.failed_gates else f"{len(record.gates)} passed"


def _reachable(config: StackConfig) -> str:
    if config.target != "local":
        return "-"
    return f"http://127.0.0.1:{config.ports.gateway}" if is_ready(config.ports.dashboard, "/ping") else "down (make up)"


def _age(since: str | None) -> str:
    if not since:
        return "-"
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _last_return(found: dict[str, Any] | None) -> str:
    return f"{found['from']} -> {found['to']} {_age(found['at'])} ago: {found['reason'].splitlines()[0]}" if found else "-"
