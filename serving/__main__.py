"""``python -m serving --port 8101``: serve the release in ``release/`` of the working directory, in one process.

Exit code 0 after SIGTERM or SIGINT; 1 with one line on stderr when the release or the port can't be had.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn

from serving.app import Application
from serving.protocol import protocol_of
from serving.release_file import CannotServe

# Longer than the 90 s that a gateway keeps idle connections by default: if this side closed first, a request could meet a closing one.
KEEP_ALIVE_SECONDS = 120
SHUTDOWN_SECONDS = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m serving", description="Serve the release in ./release (see serving/release_file.py).")
    parser.add_argument("--port", type=_port, required=True, help="0 takes any free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--request-log", type=Path, help="file for one JSON line a prediction")
    options = parser.parse_args()
    _on_stop(_exit_quietly)
    try:
        application = Application(Path("release"), options.request_log)
        try:
            asyncio.run(_serve(application, _listen(options.host, options.port)))
        finally:
            application.close()
    except CannotServe as error:
        print(f"serving: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(application: Application, listener: socket.socket) -> None:
    config = uvicorn.Config(
        application,
        http=protocol_of(application.identity),
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = uvicorn.Server(config)
    host, port = listener.getsockname()[:2]
    # uvicorn has handlers of its own while it serves, and raises the signal again when it has shut down, which must not kill us then.
    _on_stop(server.handle_exit)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        # In a thread, so that /livez answers while the fallback imports scikit-learn for seconds.
        await asyncio.to_thread(application.load_model)
    except CannotServe:
        server.should_exit = True
        await serving
        raise
    if not server.should_exit:
        release = application.release
        print(f"{release.model} release {release.release} is ready on http://{host}:{port}", flush=True)
    await serving


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise CannotServe(
            f"port {port} on {host} cannot be had: {error.strerror}; stop what listens there or choose another with --port"
        ) from None
    return listener


def _port(text: str) -> int:
    # The system's resolver takes 99999 for 34463.
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _on_stop(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _exit_quietly(*_: object) -> NoReturn:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
