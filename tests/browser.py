"""A real Chromium without a window, for tests that look at a page: spoken to over a pipe, in its own protocol."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchain.chromium import prepare

OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in containers, where Chromium refuses its own sandbox
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
)
SECONDS = 60.0


@dataclass
class Browser:
    """A running Chromium. ``requests`` are the addresses that its pages asked for, in order."""

    commands: int
    answers: int
    requests: list[str] = field(default_factory=list)
    _session: str = ""
    _last: int = 0
    _buffer: bytes = b""
    _loaded: bool = False

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Run one command of the protocol to its answer; events that come before it are noted."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._last:
                assert "error" not in found, (method, found["error"])
                result: dict[str, Any] = found["result"]
                return result

    def open(self, path: Path, *, width: int = 1280, height: int = 900, dark: bool = False, scripts: bool = False) -> None:
        """Show a file in a window of a size, in light or dark, by default with scripts disabled, and wait until it has loaded."""
        if not self._session:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self.call("Page.enable")
            self.call("Network.enable")
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self._loaded = False
        self.requests.clear()
        self.call("Page.navigate", url=path.absolute().as_uri())
        while not self._loaded:
            self._next()

    def evaluate(self, expression: str) -> Any:
        """What an expression of the test is on the page; the page's own scripts stay disabled."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def text(self) -> str:
        """What a person can read."""
        return str(self.evaluate("document.body.innerText"))

    def names(self) -> dict[str, list[str]]:
        """What a screen reader says: names by role."""
        found: dict[str, list[str]] = {}
        for node in self.call("Accessibility.getFullAXTree")["nodes"]:
            if not node.get("ignored"):
                found.setdefault(node["role"]["value"], []).append(str(node.get("name", {}).get("value", "")))
        return found

    def screenshot(self, path: Path) -> None:
        """The whole page as a picture."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        path.write_bytes(base64.b64decode(data))

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self.answers], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"Chromium said nothing for {SECONDS:g} s"
            piece = os.read(self.answers, 1 << 16)
            assert piece, "Chromium has ended"
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        if found.get("method") == "Network.requestWillBeSent":
            self.requests.append(found["params"]["request"]["url"])
        self._loaded = self._loaded or found.get("method") == "Page.loadEventFired"
        return found


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium for the length of a block; installed first where it is missing and can be."""
    binary = prepare()
    reads, commands = os.pipe()
    answers, writes = os.pipe()

    def connect() -> None:
        # Chromium reads commands from 3 and answers on 4; high numbers first, so that neither is closed by the other's move.
        high = [fcntl.fcntl(each, fcntl.F_DUPFD, 50) for each in (reads, writes)]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [binary, *OPTIONS, f"--user-data-dir={profile}"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=(3, 4),
            preexec_fn=connect,
            start_new_session=True,
        )
        os.close(reads)
        os.close(writes)
        try:
            yield Browser(commands, answers)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()
            os.close(commands)
            os.close(answers)
