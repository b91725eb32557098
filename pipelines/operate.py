"""``up``, ``preview``, ``promote``, ``down``, ``recover``, ``logs``: what a person does with a stack, on the command line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from infra.config import StackConfig, load
from infra.errors import ConfigError, DeliveryError
from infra.release import numbers

ROOT = Path(__file__).resolve().parent.parent


def up(arguments: list[str]) -> int:
    """Bring a stack in line with its file and say where everything is."""
    from pipelines import promote

    stack = _stack("up", arguments)
    return _run(lambda: (promote.up(ROOT, stack), print(farewell(load(ROOT, stack)))))


def preview(arguments: list[str]) -> int:
    """Show what ``up`` would change."""
    from pipelines import promote

    stack = _stack("preview", arguments)
    return _run(lambda: promote.preview(ROOT, stack))


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


def farewell(config: StackConfig) -> str:
    """What a person needs after ``up``: addresses, a request that works, what to do next."""
    if config.target != "local":
        return ""
    ports = config.ports
    lines = [
        "",
        f"  gateway    http://127.0.0.1:{ports.gateway}",
        f"  MLflow     http://127.0.0.1:{ports.mlflow}",
        f"  dashboard  http://127.0.0.1:{ports.dashboard}/dashboard/",
    ]
    served = [(name, model.champion) for name, model in config.models.items() if model.champion is not None]
    for name, champion in served[:1]:
        body = _example(name, champion)
        if body:
            url = f"http://127.0.0.1:{ports.gateway}/{name}/predict"
            lines += ["", "Ask it:", f"  curl -i {url} -H 'content-type: application/json' -d '{body}'"]
        newest = (numbers(ROOT / ".local", name) or [champion])[-1]
        following = (
            f"  make promote MODEL={name} RELEASE={newest}   # release {newest} is made and not served yet"
            if newest != champion
            else f"  make release MODEL={name}              # train, test and package what has arrived since"
        )
        lines += ["", "Next:", following, "  make status                          # what serves, since when, on what evidence"]
    return "\n".join(lines)


def _example(model: str, release: int) -> str:
    golden = ROOT / ".local" / "bentos" / model / str(release) / "src" / "release" / "golden.jsonl"
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
    folder = ROOT / ".local" / "logs"
    files = sorted(folder.glob(f"serve-{model}-*.log" if model else "*.log"))
    if not files:
        print(f"no logs in {folder.relative_to(ROOT)}: nothing was started yet (make up)")
        return
    sys.stdout.flush()
    command = ["tail", "-n", "20", *(["-F"] if follow else ["-v"]), *map(str, files)]
    os.execvp(command[0], command)


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
