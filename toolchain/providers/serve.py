"""``python -m toolchain.providers.serve --parent PID PLUGIN...``: the stand-ins' process; prints their ports."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2_grpc

from toolchain.providers.attach import PLUGINS
from toolchain.providers.service import OPTIONS

# Waiting for an object takes a thread: as many as the engine can have under way.
THREADS = 256


def servicer(name: str, *, is_offline: bool) -> provider_pb2_grpc.ResourceProviderServicer:
    """The stand-in of a plugin."""
    version = PLUGINS[name].version
    if name == "kubernetes":
        from toolchain.kubernetes_provider.provider import Provider as Kubernetes

        return Kubernetes(version, is_offline=is_offline)
    from toolchain.aws_provider.provider import Provider as Aws

    return Aws(version, is_offline=is_offline)


def start(name: str, *, is_offline: bool) -> tuple[grpc.Server, int]:
    """A stand-in that listens on a free port of the loopback interface."""
    server = grpc.server(ThreadPoolExecutor(THREADS), options=OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer(name, is_offline=is_offline), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def wait_for_end(parent: int) -> None:
    """Return when the process ``parent`` has ended, at once where the system can tell."""
    if hasattr(os, "pidfd_open"):
        import select

        try:
            handle = os.pidfd_open(parent)
        except OSError:
            return
        select.select([handle], [], [])
        return
    while os.getppid() == parent:
        time.sleep(0.1)


def main() -> None:
    """Serve until the parent is gone."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.providers.serve")
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("plugins", nargs="+", choices=PLUGINS)
    read = parser.parse_args()
    # A terminal's Ctrl-C is the engine's: it cancels, writes its state, and needs this process until its end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Kept until the end: a server that nobody holds stops.
    started = [start(name, is_offline=read.offline) for name in read.plugins]
    print(*(port for _, port in started), flush=True)
    # Whoever reads the ports would else wait for the end of this stream.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    watcher = threading.Thread(target=wait_for_end, args=(read.parent,), daemon=True)
    watcher.start()
    watcher.join()
    os._exit(0)


if __name__ == "__main__":
    main()
