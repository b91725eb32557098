"""Which provider a run of the engine gets: the official plugin where it is installed or can be fetched, else the stand-in, attached."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from toolchain import ROOT
from toolchain.process import cache_dir, say

PLUGIN = "pulumi-resource-kubernetes"
VARIABLE = "PULUMI_DEBUG_PROVIDERS"
HOST = "get.pulumi.com"
REACH_SECONDS = 3.0
FETCH_SECONDS = 300.0
FORGET_SECONDS = 24 * 3600.0
START_SECONDS = 30.0


class ProviderError(Exception):
    """The stand-in could not be started; the text says why."""


def official(environment: Mapping[str, str], version: str) -> str | None:
    """Where the official plugin is installed, in a version that serves programs of ``version``; None if it is not."""
    home = Path(environment.get("PULUMI_HOME") or "~/.pulumi").expanduser()
    for folder in sorted((home / "plugins").glob("resource-kubernetes-v*")):
        if (folder / PLUGIN).is_file() and _serves(folder.name.rpartition("-v")[2], version):
            return str(folder)
    return shutil.which(PLUGIN, path=environment.get("PATH", os.defpath))


def _serves(have: str, wanted: str) -> bool:
    pairs = [re.match(r"(\d+)\.(\d+)\.(\d+)", text) for text in (have, wanted)]
    if pairs[0] is None or pairs[1] is None:
        return False
    numbers = [tuple(int(part) for part in pair.groups()) for pair in pairs if pair]
    return numbers[0] >= numbers[1] and numbers[0][0] == numbers[1][0]


def fetch(environment: Mapping[str, str], version: str) -> bool:
    """Let the engine install the official plugin, if its host can be reached at all; whether it is there now.

    A machine that can't reach it is not asked again for a day.
    """
    refused = cache_dir(environment) / "kubernetes-plugin-out-of-reach"
    try:
        if time.time() - refused.stat().st_mtime < FORGET_SECONDS:
            return False
    except OSError:
        pass
    try:
        socket.create_connection((HOST, 443), timeout=REACH_SECONDS).close()
    except OSError:
        refused.parent.mkdir(parents=True, exist_ok=True)
        refused.touch()
        return False
    say(f"fetching the Kubernetes plugin {version} for Pulumi")
    command = ["pulumi", "plugin", "install", "resource", "kubernetes", f"v{version}"]
    try:
        done = subprocess.run(
            command, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, timeout=FETCH_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and official(environment, version) is not None


def is_needed(environment: Mapping[str, str]) -> bool:
    """Whether the stand-in must be attached; says in one line which provider is used, and why."""
    version = metadata.version("pulumi-kubernetes")
    if "kubernetes:" in environment.get(VARIABLE, ""):
        say(f"Kubernetes provider: the one that {VARIABLE} names")
        return False
    found = official(environment, version)
    if found is not None:
        say(f"Kubernetes provider: the official plugin, {found}")
        return False
    if fetch(environment, version):
        say(f"Kubernetes provider: the official plugin {version}, just fetched")
        return False
    say(f"Kubernetes provider: this repository's stand-in for the official plugin {version}, which is not installed and out of reach")
    return True


def start(environment: Mapping[str, str]) -> tuple[subprocess.Popen[str], int]:
    """Start the stand-in as a process that ends with this one; the process and its port."""
    paths = [str(ROOT), *filter(None, [environment.get("PYTHONPATH", "")])]
    process = subprocess.Popen(
        [sys.executable, "-m", "toolchain.kubernetes_provider.serve", "--parent", str(os.getpid())],
        env={**environment, "PYTHONPATH": os.pathsep.join(paths), "GRPC_ENABLE_FORK_SUPPORT": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        # Out of the terminal's group: Ctrl-C is for the engine.
        start_new_session=True,
    )
    line = process.stdout.readline().strip() if process.stdout else ""
    if process.stdout:
        process.stdout.close()
    if not line.isdigit():
        process.kill()
        process.wait()
        raise ProviderError("the stand-in Kubernetes provider did not start: see the lines above")
    return process, int(line)


def variable(environment: Mapping[str, str], port: int) -> str:
    """The value of `VARIABLE` that adds the stand-in to what is attached already."""
    return ",".join([*filter(None, [environment.get(VARIABLE, "")]), f"kubernetes:{port}"])


@contextmanager
def attached(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment in which the engine finds a Kubernetes provider, for the length of the block."""
    if not is_needed(environment):
        yield dict(environment)
        return
    process, port = start(environment)
    try:
        yield {**environment, VARIABLE: variable(environment, port)}
    finally:
        process.terminate()
        process.wait()
