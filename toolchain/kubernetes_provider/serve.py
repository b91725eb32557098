"""``python -m toolchain.kubernetes_provider.serve --parent PID``: the provider's process. Prints its port; ends when that process does."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2_grpc

from toolchain.kubernetes_provider.provider import OPTIONS, Provider

# Waiting for an object takes a thread: as many as the engine can have under way.
THREADS = 256


def start(version: str) -> tuple[grpc.Server, int]:
    """A provider that listens on a free port of the loopback interface."""
    server = grpc.server(ThreadPoolExecutor(THREADS), options=OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(version), server)
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
    parser = argparse.ArgumentParser(prog="python -m toolchain.kubernetes_provider.serve")
    parser.add_argument("--parent", type=int, required=True)
    parent = parser.parse_args().parent
    # A terminal's Ctrl-C is the engine's: it cancels, writes its state, and needs this process until its end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _, port = start(metadata.version("pulumi-kubernetes"))
    print(port, flush=True)
    # Whoever reads the port would else wait for the end of this stream.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    watcher = threading.Thread(target=wait_for_end, args=(parent,), daemon=True)
    watcher.start()
    watcher.join()
    os._exit(0)


if __name__ == "__main__":
    main()
