"""Which providers a run of the engine gets: the official plugin where it is installed or can be fetched, else the stand-in, attached."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from toolchain import ROOT
from toolchain.process import cache_dir, say

VARIABLE = "PULUMI_DEBUG_PROVIDERS"
ENDPOINT = "AWS_ENDPOINT_URL"
HOST = "get.pulumi.com"
REACH_SECONDS = 3.0
FETCH_SECONDS = 300.0
FORGET_SECONDS = 24 * 3600.0


class ProviderError(Exception):
    """The stand-ins could not be started; the text says why."""


@dataclass(frozen=True)
class Plugin:
    """An official plugin that this repository has a stand-in for; ``name`` is the engine's, ``title`` the people's."""

    name: str
    title: str

    @property
    def file(self) -> str:
        """The plugin's program."""
        return f"pulumi-resource-{self.name}"

    @property
    def version(self) -> str:
        """The version that programs of this environment ask for."""
        return metadata.version(f"pulumi-{self.name}")


PLUGINS = {plugin.name: plugin for plugin in (Plugin("kubernetes", "Kubernetes"), Plugin("aws", "AWS"))}


def official(plugin: Plugin, environment: Mapping[str, str], version: str) -> str | None:
    """Where the official plugin is installed, in a version that serves programs of ``version``; None if it is not."""
    home = Path(environment.get("PULUMI_HOME") or "~/.pulumi").expanduser()
    for folder in sorted((home / "plugins").glob(f"resource-{plugin.name}-v*")):
        if (folder / plugin.file).is_file() and _serves(folder.name.rpartition("-v")[2], version):
            return str(folder)
    return shutil.which(plugin.file, path=environment.get("PATH", os.defpath))


def _serves(have: str, wanted: str) -> bool:
    pairs = [re.match(r"(\d+)\.(\d+)\.(\d+)", text) for text in (have, wanted)]
    if pairs[0] is None or pairs[1] is None:
        return False
    numbers = [tuple(int(part) for part in pair.groups()) for pair in pairs if pair]
    return numbers[0] >= numbers[1] and numbers[0][0] == numbers[1][0]


def fetch(plugin: Plugin, environment: Mapping[str, str]) -> bool:
    """Let the engine install the official plugin, if its host can be reached at all; whether it is there now.

    A machine that can't reach it is not asked again for a day.
    """
    refused = cache_dir(environment) / "provider-plugins-out-of-reach"
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
    say(f"fetching the {plugin.title} plugin {plugin.version} for Pulumi")
    command = ["pulumi", "plugin", "install", "resource", plugin.name, f"v{plugin.version}"]
    try:
        done = subprocess.run(
            command, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, timeout=FETCH_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and official(plugin, environment, plugin.version) is not None


def needed(environment: Mapping[str, str], names: Sequence[str], *, is_offline: bool = False) -> list[str]:
    """Of these plugins, the ones whose stand-in must be attached; says in one line each which provider is used, and why."""
    found = []
    for name in names:
        source, is_stand_in = _source(PLUGINS[name], environment, is_offline=is_offline)
        say(f"{PLUGINS[name].title} provider: {source}")
        if is_stand_in:
            found.append(name)
    return found


def _source(plugin: Plugin, environment: Mapping[str, str], *, is_offline: bool) -> tuple[str, bool]:
    """What provider is used, in words, and whether it is the stand-in."""
    stand_in = f"this repository's stand-in for the official plugin {plugin.version}"
    if f"{plugin.name}:" in environment.get(VARIABLE, ""):
        return f"the one that {VARIABLE} names", False
    if is_offline:
        return f"{stand_in}, offline: no plugin, no account, no cluster and no network are used", True
    installed = official(plugin, environment, plugin.version)
    if installed is not None:
        return f"the official plugin, {installed}", False
    if fetch(plugin, environment):
        return f"the official plugin {plugin.version}, just fetched", False
    scope = ""
    if plugin.name == "aws":
        scope = f"; its calls go to {environment[ENDPOINT]}" if environment.get(ENDPOINT) else "; it previews and never calls AWS"
    return f"{stand_in}, which is not installed and out of reach{scope}", True


def start(
    environment: Mapping[str, str], names: Sequence[str], *, is_offline: bool = False
) -> tuple[subprocess.Popen[str], dict[str, int]]:
    """Start stand-ins in one process that ends with this one; the process, and the port of each."""
    paths = [str(ROOT), *filter(None, [environment.get("PYTHONPATH", "")])]
    options = ["--parent", str(os.getpid()), *(["--offline"] if is_offline else [])]
    process = subprocess.Popen(
        [sys.executable, "-m", "toolchain.providers.serve", *options, *names],
        env={**environment, "PYTHONPATH": os.pathsep.join(paths), "GRPC_ENABLE_FORK_SUPPORT": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        # Out of the terminal's group: Ctrl-C is for the engine.
        start_new_session=True,
    )
    ports = process.stdout.readline().split() if process.stdout else []
    if process.stdout:
        process.stdout.close()
    if len(ports) != len(names) or not all(port.isdigit() for port in ports):
        process.kill()
        process.wait()
        raise ProviderError(f"the stand-in of {' and '.join(PLUGINS[name].title for name in names)} did not start: see the lines above")
    return process, {name: int(port) for name, port in zip(names, ports, strict=True)}


def variable(environment: Mapping[str, str], ports: Mapping[str, int]) -> str:
    """The value of `VARIABLE` that adds stand-ins to what is attached already."""
    return ",".join([*filter(None, [environment.get(VARIABLE, "")]), *(f"{name}:{port}" for name, port in ports.items())])


@contextmanager
def attached(environment: Mapping[str, str], *names: str, is_offline: bool = False) -> Iterator[dict[str, str]]:
    """The environment in which the engine finds these providers, for the length of the block."""
    missing = needed(environment, names, is_offline=is_offline)
    if not missing:
        yield dict(environment)
        return
    process, ports = start(environment, missing, is_offline=is_offline)
    try:
        yield {**environment, VARIABLE: variable(environment, ports)}
    finally:
        process.terminate()
        process.wait()
