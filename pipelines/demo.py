"""``python -m pipelines demo``: the journey from a first release to a promotion and a return, narrated, on a copy of this checkout.

Every sentence that is marked ``ok`` was checked. Nothing of the checkout's own stack is touched, and nothing is left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from infra.errors import DeliveryError, PlatformError
from infra.release import file_digest, load, tree_digest, write

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("infra", "stacks", "serving", "pipelines", "models", "__main__.py", "Pulumi.yaml", "requirements.txt")
MODEL = "iris"
ROLLOUT = {"steps": [10, 50], "step-seconds": 4, "bake-seconds": 4, "minimum-sample": 50, "insufficient": "probe"}
ROW = {"sepal_length_cm": 5.1, "sepal_width_cm": 3.5, "petal_length_cm": 1.4, "petal_width_cm": 0.2}
SLO = {"p99-ms": 2500}
"""How fast this machine is decides nothing here: one slow answer of fifty would be a percentile of 99."""
USERS_PER_SECOND = 40
COMMAND_SECONDS = 600
ENDING_SECONDS = 10

# Lines of a command's output that are shown: the pipeline's steps, the evidence beside the number, the rollout, and what the ending says.
RELEASE = r"^  (snapshot|interface|validate|train|test|evaluate|package|verify|register|record|announce) .*|^iris.*"
EVIDENCE = (
    r"[~ ] (champion|against-champion|commit|data|gates|metrics|accuracy|log-loss|macro-f1|why|going-back|rollout) *: .*|^ +. \d+ to .*"
)
ROLLOUT_LINES = r"iris: (\S+ -> \S+ \| .*|\d+ answers everything.*)"
ENDING = r"^(Pulumi|committed|iris \d).*|(No|\d+) users?'.* request.*|^ *do: .*|did not pass at .*"

# Added to the end of serving/app.py in the copy that the bad release carries. Golden requests reach a server without the gateway's header.
FAILS_USERS = """

_answer = Application.__call__


async def _fail_users(self, scope, receive, send):
    if any(name == b"x-forwarded-for" for name, _ in scope.get("headers", ())):
        await send({"type": "http.response.start", "status": 500, "headers": self.identity})
        await send({"type": "http.response.body", "body": b""})
    else:
        await _answer(self, scope, receive, send)


Application.__call__ = _fail_users
"""


class ClaimFailed(DeliveryError):
    """Something that the demo says is not so."""


def main(arguments: list[str]) -> int:
    """Run the journey; 0 only if each claim held."""
    argparse.ArgumentParser(
        prog="python -m pipelines demo", description="The journey, narrated and checked, on a copy of this checkout with ports of its own."
    ).parse_args(arguments)
    began = time.monotonic()
    before = signal.signal(signal.SIGTERM, _end)
    folder = Path(tempfile.mkdtemp(prefix="mldelivery-demo-")).resolve()
    stage: Stage | None = None
    try:
        stage = Stage.make(folder)
        play(stage)
    except KeyboardInterrupt:
        print("\ninterrupted: what ran in the copy is ended, the copy is removed", file=sys.stderr, flush=True)
        return 130
    finally:
        with _no_interrupts():
            if stage is not None:
                stage.clear()
            shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)
    print(f"\nEach of {stage.claims} claims held, in {time.monotonic() - began:.0f} s. The copy is gone; your own stack was not touched.")
    return 0


def play(stage: Stage) -> None:
    """The journey."""
    stage.tell("1. One command brings up a gateway, MLflow and release 1 of iris, which the pipeline makes first.", "make up")
    stage.run("up", show=f"{RELEASE}|{ROLLOUT_LINES}")
    release, request_id, answer = stage.ask()
    stage.say(f"  POST {stage.url} -> {json.dumps(answer)}")
    stage.claim(release == 1 and bool(request_id), f"the answer names its release (x-release: {release}) and carries a request id")
    stage.claim(answer["predictions"][0]["label"] == "setosa", "it is right: a setosa")

    stage.tell("2. More rows have arrived since. The pipeline makes release 2, if it passes every gate.", f"make release MODEL={MODEL}")
    stage.run("release", MODEL, show=RELEASE)
    record = load(stage.store, MODEL, 2)
    stage.claim(not record.failed_gates, f"release 2 has a record that says: {', '.join(record.gates)} passed")
    again = stage.run("release", MODEL, show=RELEASE)
    stage.claim("nothing was made" in again, "run again with nothing changed, it makes nothing")

    stage.tell("3. A person edits one number. The preview shows the evidence beside it.", "champion: 1 -> 2; make preview")
    stage.champion(2)
    shown = stage.run("preview", show=EVIDENCE)
    stage.claim(bool(re.search(r"champion: 1 => 2", shown)), "the diff holds the number")
    stage.claim(bool(re.search(r'accuracy: "0\.\d+ \[', shown)), "metrics with their intervals stand beside it, old => new")
    stage.claim("golden replay -> 10 % for 4 s -> 50 % for 4 s" in shown, "so does what will happen")
    stage.claim(stage.ask()[0] == 1, "nothing has moved yet")

    stage.tell(f"4. The update is the rollout. {USERS_PER_SECOND} users a second ask meanwhile.", "make up")
    with Users(stage) as users:
        shown = stage.run("up", show=ROLLOUT_LINES)
    stage.claim("| 2/4 10 % | pass" in shown and "| 3/4 50 % | pass" in shown, "traffic moved in steps, each judged before the next")
    stage.claim(users.failed == 0, f"not one of {users.total} requests failed ({users.shares()})")
    stage.claim(set(users.answers) == {1, 2} and stage.ask()[0] == 2, "1 and 2 answered meanwhile, now 2 alone does")

    stage.tell(
        "5. A bad release: release 2 again as 3, but this demo changed one recorded golden answer, so that its model does not give it.",
        f"make promote MODEL={MODEL} RELEASE=3",
    )
    make_bad(stage.store, 3, wrong_answer)
    with Users(stage) as users:
        shown = stage.run("promote", MODEL, "3", show=f"{ROLLOUT_LINES}|{ENDING}", fails=True)
    stage.claim("No user's request reached 3" in shown and set(users.answers) == {2}, f"none of {users.total} users met release 3")
    stage.claim(users.failed == 0, "and none of their requests failed")
    stage.claim(stage.number() == 2, "the number in the file is 2 again")

    stage.tell(
        "6. A worse one: release 2 again as 4, but this demo changed its server, which answers golden requests rightly and users with 500.",
        f"make promote MODEL={MODEL} RELEASE=4",
    )
    make_bad(stage.store, 4, fails_users)
    with Users(stage) as users:
        shown = stage.run("promote", MODEL, "4", show=f"{ROLLOUT_LINES}|{ENDING}", fails=True)
    hurt = users.failed / users.total
    stage.claim("4 did not pass at '10 %'" in shown, "it passed the replay, met users at 10 %, and went back from there")
    stage.claim(hurt <= 0.1, f"{users.failed} of {users.total} requests were hurt: {100 * hurt:.1f} %, its step's share is 10 %")
    stage.claim(stage.number() == 2 and stage.ask()[0] == 2, "2 answers everything, and stands in the file")

    stage.tell("7. After an abort there is nothing to clean up.", "make preview")
    shown = stage.run("preview", show=r"^ +\d+ unchanged")
    stage.claim("unchanged" in shown and not re.search(r"to (create|update|delete|replace)", shown), "the preview is empty")

    stage.tell("8. Going back to a proven release is the same edit in reverse, without steps.", f"make promote MODEL={MODEL} RELEASE=1")
    shown = stage.run("promote", MODEL, "1", show=ROLLOUT_LINES)
    stage.claim("proven before" in shown and not re.search(r"\| \d/\d (\d+ %|bake)", shown), "golden replay, then all traffic at once")
    stage.claim(stage.ask()[0] == 1, "1 answers")

    stage.tell("9. What serves, and how the last return came about.", "make status")
    stage.run("status", show=r"^.+")
    found = json.loads(stage.run("status", "--json", show=""))["models"][0]
    stage.claim(found["traffic"] == {"1": 100} and found["health"] == "ready", "all traffic is on 1, and it is ready")
    stage.claim(found["last_return"]["from"] == 4, "the last return is told, with its reason")

    stage.tell("10. Down.", "make down")
    stage.run("down", show=r"^ +- \d+ deleted")
    stage.claim(stage.is_over(), "no process of the copy is left")


@dataclass
class Stage:
    """The copy that the demo plays on, and what it has claimed so far."""

    root: Path
    port: int
    claims: int = 0
    _last: str = ""
    _running: subprocess.Popen[str] | None = None

    @classmethod
    def make(cls, folder: Path) -> Stage:
        """Copy what a local stack needs, and give it ports and a quick rollout of its own."""
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
            else:
                shutil.copy2(source, folder / name)
        stage = cls(folder, _free_ports())
        stage._write_config(1)
        return stage

    @property
    def store(self) -> Path:
        return self.root / ".local"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{MODEL}/predict"

    def say(self, line: str) -> None:
        print(line, flush=True)

    def tell(self, sentence: str, command: str) -> None:
        """Announce what comes and the command that a person would type."""
        self.say(f"\n{sentence}\n  $ {command}")

    def claim(self, holds: bool, sentence: str) -> None:
        """State what was seen. Raises ClaimFailed with the end of the last command's output where it is not so."""
        if not holds:
            raise ClaimFailed(f"this is not so: {sentence}\nThe last command said:\n{self._last[-3000:]}")
        self.claims += 1
        self.say(f"  ok: {sentence}")

    def run(self, *arguments: str, show: str, fails: bool = False) -> str:
        """Run a command of the project; shows the lines that match, once each, and returns all it printed.

        Raises ClaimFailed where it succeeds although it must not, or the other way round.
        """
        wanted = re.compile(show) if show else None
        seen: set[str] = set()
        lines = []
        self._running = process = self._start(*arguments)
        alarm = threading.Timer(COMMAND_SECONDS, _signal, (process, signal.SIGKILL))
        # Nobody waits for it at the end: an interruption can come before the block that cancels it.
        alarm.daemon = True
        alarm.start()
        try:
            for line in process.stdout or ():
                lines.append(line)
                found = wanted and wanted.search(line.rstrip())
                if found and found.group().strip() not in seen:
                    seen.add(found.group().strip())
                    self.say("    " + found.group().strip())
            code = process.wait()
        finally:
            alarm.cancel()
        self._running = None
        self._last = "".join(lines)
        if bool(code) is not fails:
            raise ClaimFailed(f"`{' '.join(arguments)}` ended with {code}. It said:\n{self._last[-3000:]}")
        return self._last

    def ask(self) -> tuple[int, str, Any]:
        """One request: the release that answered, the request's id, the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("POST", f"/{MODEL}/predict", json.dumps({"rows": [ROW]}), {"content-type": "application/json"})
            answer = connection.getresponse()
            body = json.loads(answer.read())
            return int(answer.headers["x-release"]), answer.headers["x-request-id"], body

    def number(self) -> int:
        """The champion that the copy's file names."""
        return int(yaml.safe_load(self._config.read_text(encoding="utf-8"))["config"]["mldelivery:models"][MODEL]["champion"])

    def champion(self, number: int) -> None:
        """Edit the number by hand."""
        text = self._config.read_text(encoding="utf-8")
        self._config.write_text(text.replace(f"champion: {self.number()}", f"champion: {number}"), encoding="utf-8")

    def processes(self) -> list[psutil.Process]:
        """Every process that carries the copy's mark."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("MLDELIVERY_STORE") == str(self.store) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def is_over(self) -> bool:
        """Whether nothing runs in the copy any more; what the engine has just killed gets a moment to go."""
        deadline = time.monotonic() + ENDING_SECONDS
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.1)
        return not self.processes()

    def clear(self) -> None:
        """End all that runs in the copy, in order, then by force."""
        if self._running is not None and self._running.poll() is None:
            self._interrupt(self._running)
        if self.processes():
            self._interrupt(self._start("down"), after=60)
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        remove = "import shutil; from infra.local.place import runtime_folder; shutil.rmtree(runtime_folder())"
        subprocess.run([sys.executable, "-c", remove], cwd=self.root, env=self._environment(), check=False)

    @property
    def _config(self) -> Path:
        return self.root / "Pulumi.local.yaml"

    def _write_config(self, champion: int) -> None:
        ports = {"gateway": self.port, "dashboard": self.port + 1, "mlflow": self.port + 2, "servers": self.port + 10}
        models = {MODEL: {"champion": champion, "rollout": ROLLOUT, "slo": SLO}}
        document = {"config": {"mldelivery:target": "local", "mldelivery:models": models, "mldelivery:ports": ports}}
        self._config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "MLDELIVERY_", "MLFLOW_"))}
        # onnxruntime would leave files in the folder for temporary files, and report its use.
        return {**kept, "PYTHONPATH": str(self.root), "PYTHONUNBUFFERED": "1", "ORT_DISABLE_TELEMETRY": "1"}

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines", *arguments],
            cwd=self.root,
            env=self._environment(),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A session of its own: Ctrl-C reaches the demo, which then ends its commands in order.
            start_new_session=True,
        )

    def _interrupt(self, process: subprocess.Popen[str], *, after: float = 0) -> None:
        """Wait some seconds for a command, then interrupt it as Ctrl-C does, then kill it."""
        for patience, number in ((after, signal.SIGINT), (30, signal.SIGKILL), (5, signal.SIGKILL)):
            try:
                process.communicate(timeout=patience)
                return
            except subprocess.TimeoutExpired:
                _signal(process, number)


@dataclass
class Users:
    """Users who ask at a constant rate while the block runs; counts answers by release, and requests without a right status."""

    stage: Stage
    answers: Counter[int] = field(default_factory=Counter)
    failed: int = 0
    total: int = 0

    def __enter__(self) -> Users:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def shares(self) -> str:
        """Who answered how many, in words."""
        return ", ".join(f"{count} answered by {release}" for release, count in sorted(self.answers.items()))

    def _ask(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            status = 0
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
                release, _, answer = self.stage.ask()
                status = 200 if "predictions" in answer else 500
                self.answers[release] += 1
            self.total += 1
            self.failed += status != 200
            due = max(due + 1 / USERS_PER_SECOND, time.monotonic() - 1)
            self._stop.wait(max(0.0, due - time.monotonic()))


def make_bad(store: Path, number: int, spoil: Callable[[Path], None]) -> None:
    """Make a release from release 2, spoilt in one way, packaged and recorded like any other."""
    good = load(store, MODEL, 2)
    path = f"bentos/{MODEL}/{number}/src"
    bento = store / path
    shutil.copytree(store / good.bento.path, bento, ignore=shutil.ignore_patterns("__pycache__"))
    about = bento / "release" / "release.json"
    about.write_text(json.dumps({**json.loads(about.read_text(encoding="utf-8")), "release": number}), encoding="utf-8")
    spoil(bento)
    document: Mapping[str, Any] = {name: value for name, value in good.as_document().items() if name != "digest"}
    golden = {"count": good.golden.count, "digest": file_digest(bento / "release" / "golden.jsonl")}
    write(store, {**document, "release": number, "bento": {"path": path, "digest": tree_digest(bento)}, "golden": golden})


def wrong_answer(bento: Path) -> None:
    """Change the recorded label of the last golden request."""
    golden = bento / "release" / "golden.jsonl"
    lines = [json.loads(line) for line in golden.read_text(encoding="utf-8").splitlines()]
    prediction = lines[-1]["response"]["predictions"][0]
    prediction["label"] = next(label for label in prediction["probabilities"] if label != prediction["label"])
    golden.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def fails_users(bento: Path) -> None:
    """Let the server answer 500 to all that comes through the gateway."""
    with (bento / "serving" / "app.py").open("a", encoding="utf-8") as file:
        file.write(FAILS_USERS)


def _end(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _signal(process: subprocess.Popen[str], number: int) -> None:
    """Signal a command and all of its session's group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """A second Ctrl-C must not leave half of what the first one ends."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_ports() -> int:
    """A port of which the next 20 are free too; where the search begins differs, so that two demos at once do not meet."""
    bases = list(range(10_000, 20_000, 100))
    start = os.getpid() % len(bases)
    for base in [*bases[start:], *bases[:start]]:
        if all(_is_free(port) for port in range(base, base + 20)):
            return base
    raise PlatformError("no free ports for the demo", got="10000 to 19999", allowed="20 in a row", act="end what holds them")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
