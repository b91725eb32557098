"""``up``, ``preview``, ``promote``, ``down``, ``recover``, ``logs``: what a person does with a stack, on the command line."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from infra.config import KubernetesConfig, StackConfig, load
from infra.errors import ConfigError, DeliveryError, PlatformError
from infra.release import numbers
from pipelines.kubeconfig import ensure_kubeconfig

ROOT = Path(__file__).resolve().parent.parent


def up(arguments: list[str]) -> int:
    """Bring a stack in line with its file and say where everything is."""
    from pipelines import promote

    stack = _stack("up", arguments)
    return _run(lambda: (promote.up(ROOT, stack), print(farewell(stack, load(ROOT, stack)))))


def preview(arguments: list[str]) -> int:
    """Show what ``up`` would change."""
    from pipelines import offline, promote

    parser = _parser("preview", "Show what up would change.")
    parser.add_argument("--offline", action="store_true", help="ask no account, cluster or network: everything is shown as new")
    parser.add_argument("--policy", action="store_true", help="hold it against the rules of policy/ where that is not done anyway")
    read = parser.parse_args(arguments)
    asks = True if read.policy else None
    return _run(lambda: (offline if read.offline else promote).preview(ROOT, read.stack, is_policed=asks))


def scan(arguments: list[str]) -> int:
    """Show what a stack declares to checkov, kube-score and parliament."""
    from pipelines import offline

    stack = _stack("scan", arguments)
    return _run(lambda: offline.scan(ROOT, stack))


def down(arguments: list[str]) -> int:
    """End what a stack runs."""
    from pipelines import promote

    stack = _stack("down", arguments)
    return _run(lambda: promote.down(ROOT, stack))


def recover(arguments: list[str]) -> int:
    """Clear what a killed update left behind; safe to run always."""
    from pipelines.engine import Engine
    from pipelines.recover import recover as clear

    stack = _stack("recover", arguments)
    return _run(lambda: print("\n".join(clear(Engine(ROOT, stack))) or "nothing to recover"))


def promote(arguments: list[str]) -> int:
    """Promote one model by its number."""
    from pipelines import promote as driver

    parser = _parser(
        "promote", "Edit a model's number, preview, bring the stack up; put the old number back where the release does not pass."
    )
    parser.add_argument("model")
    parser.add_argument("release", type=int, metavar="RELEASE", help="the number of the release that shall be champion")
    parser.add_argument("--commit", action="store_true", help="make the edit a Git commit, and the way back too")
    read = parser.parse_args(arguments)
    return _run(lambda: driver.promote(ROOT, read.stack, read.model, read.release, commit=read.commit))


def logs(arguments: list[str]) -> int:
    """Print the end of each process' log, or follow them."""
    parser = _parser("logs", "The end of each process' log.")
    parser.add_argument("model", nargs="?", help="only this model's servers")
    parser.add_argument("--follow", action="store_true", help="go on as they grow; Ctrl-C ends it")
    read = parser.parse_args(arguments)
    return _run(lambda: _logs(read.stack, read.model, follow=read.follow))


def farewell(stack: str, config: StackConfig) -> str:
    """What a person needs after ``up``: addresses, a request that works, what to do next."""
    suffix = "" if stack == "local" else f" STACK={stack}"
    url, option = _gateway(config)
    lines = ["", f"  gateway    {url}"]
    if config.target == "local":
        lines += [
            f"  MLflow     http://127.0.0.1:{config.ports.mlflow}",
            f"  dashboard  http://127.0.0.1:{config.ports.dashboard}/dashboard/",
        ]
    if config.kubernetes is not None and config.kubernetes.tracking is not None:
        tracking = config.kubernetes.tracking
        lines.append(f"  MLflow     {tracking.url}/" + (f"   (account in {tracking.account})" if tracking.account else ""))
    served = [(name, model.champion) for name, model in config.models.items() if model.champion is not None]
    store = config.store(ROOT)
    for name, champion in served[:1]:
        body = _example(store, name, champion)
        if body:
            lines += ["", "Ask it:", f"  curl -i {option}{url}/{name}/predict -H 'content-type: application/json' -d {shlex.quote(body)}"]
        newest = (numbers(store, name) or [champion])[-1]
        following = (
            f"  make promote MODEL={name} RELEASE={newest}{suffix}   # release {newest} is made and not served yet"
            if newest != champion
            else f"  make release MODEL={name}{suffix}              # train, test and package what has arrived since"
        )
        lines += ["", "Next:", following, f"  make status{suffix}                          # what serves, since when, on what evidence"]
    return "\n".join(lines)


def _gateway(config: StackConfig) -> tuple[str, str]:
    """The gateway's address for users, and what curl has to be told to trust it."""
    if config.kubernetes is None:
        return f"http://127.0.0.1:{config.ports.gateway}", ""
    gateway = config.kubernetes.gateway
    return gateway.url, f"--cacert {gateway.ca} " if gateway.ca else ""


def _example(store: Path, model: str, release: int) -> str:
    golden = store / "bentos" / model / str(release) / "src" / "release" / "golden.jsonl"
    try:
        with golden.open(encoding="utf-8") as file:
            requests = [json.loads(line)["request"] for line in file]
            # The first lines are corners of the schema; the last single row is like those that users send.
            return json.dumps([request for request in requests if len(request["rows"]) == 1][-1])
    except (OSError, ValueError, LookupError):
        return ""


def _logs(stack: str, model: str | None, *, follow: bool) -> None:
    config = load(ROOT, stack)
    if model is not None and model not in config.models:
        raise ConfigError("there is no such model in this stack", where="MODEL", got=model, allowed=", ".join(config.models))
    if config.kubernetes is not None:
        ensure_kubeconfig(ROOT, config)
        sys.stdout.flush()
        command = _pod_logs(config.kubernetes, model, follow=follow)
        os.execvp(command[0], command)
    folder = ROOT / ".local" / "logs"
    files = sorted(folder.glob(f"serve-{model}-*.log" if model else "*.log"))
    if not files:
        print(f"no logs in {folder.relative_to(ROOT)}: nothing was started yet (make up)")
        return
    sys.stdout.flush()
    command = ["tail", "-n", "20", *(["-F"] if follow else ["-v"]), *map(str, files)]
    os.execvp(command[0], command)


def _pod_logs(cluster: KubernetesConfig, model: str | None, *, follow: bool) -> list[str]:
    """The command that prints the end of the logs of a stack's pods."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise PlatformError("kubectl is not on PATH", act="install it, or use make logs, which brings its own")
    where = [f"--kubeconfig={ROOT / cluster.kubeconfig}"] if cluster.kubeconfig else []
    where += [f"--context={cluster.context}"] if cluster.context else []
    selector = "app.kubernetes.io/part-of=mldelivery" + (f",app.kubernetes.io/name={model}" if model else "")
    options = ["--prefix", "--tail=20", "--ignore-errors", "--max-log-requests=100", *(["--follow"] if follow else [])]
    return [kubectl, *where, f"--namespace={cluster.namespace}", "logs", f"--selector={selector}", *options]


def _run(act: Callable[[], object]) -> int:
    try:
        act()
    except DeliveryError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _stack(command: str, arguments: list[str]) -> str:
    return str(_parser(command, "").parse_args(arguments).stack)


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m pipelines {command}", description=description or None)
    parser.add_argument("--stack", default="local", help="the stack (default: local)")
    return parser
