"""Run a step in a process of its own: model code that prints, never ends or breaks its process harms nothing but its own step.

The processes are forked from a server (``forkserver``) that has the heavy packages loaded, so that each costs milliseconds and the packages
load while the data is being validated.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import multiprocessing.forkserver
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, TypeVar

from pipelines.failures import GateFailed, StepFailed
from pipelines.memory import LOOK_SECONDS, Allowed, Watch

Result = TypeVar("Result")

PRELOAD = (
    "sklearn.linear_model",
    "sklearn.pipeline",
    "skops.io",
    "skl2onnx",
    "onnxruntime",
    "pyarrow.parquet",
    "pytest",
    "mlflow.sklearn",
    "mlflow.data.pandas_dataset",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "bentoml.bentos",
)

QUIET = {
    # One thread: sums are added in one order, so the same seed gives the same model; and forking with threads is not safe.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "BENTOML_DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "ORT_DISABLE_TELEMETRY": "1",
    # A tracking server that is down must be said in seconds.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}

LOG_TAIL_CHARACTERS = 400


def prepare(preload: Sequence[str] = PRELOAD) -> None:
    """Start to load packages in the background: all heavy ones, unless told otherwise. Needs to come before numpy is loaded."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    multiprocessing.set_forkserver_preload(list(preload))
    multiprocessing.forkserver.ensure_running()


def run(
    function: Callable[..., Result],
    *arguments: object,
    seconds: float,
    log: Path,
    what: str,
    memory: Allowed,
    how: Literal["forkserver", "spawn"] = "forkserver",
    kept: Path | None = None,
) -> Result:
    """Call a function in a process of its own, its prints going to ``log``.

    Raises StepFailed when it raises, dies, or takes longer than ``seconds`` or more than ``memory``, after all that it started was ended;
    StepFailed and OSError that it raises come through as they are. ``how``: spawn, for what needs none of the packages that are preloaded.
    ``kept``: where ``log`` is found after a failure, when it does not stay where it is.
    """
    kept = kept or log
    context: Any = multiprocessing.get_context(how)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, log, function, arguments))
    process.start()
    theirs.close()
    try:
        if not _answered(ours, Watch(process.pid or 0), seconds, what, memory):
            raise StepFailed(
                f"{what} did not end within {seconds:g} s and was stopped",
                where=str(kept),
                got=_tail(log) or "it printed nothing",
                act="mend the code, or give it longer in model.yaml",
            )
        try:
            answer = ours.recv()
        except EOFError:
            process.join(5)
            if process.exitcode == -signal.SIGKILL:
                raise StepFailed(
                    f"{what} was killed",
                    where=memory.of,
                    got=_tail(log) or "it printed nothing",
                    act=f"if the machine ran out of memory, allow it less, so that it is told in time: {memory.key}; then run again",
                ) from None
            raise StepFailed(
                f"{what} ended its process",
                where=str(kept),
                got=f"exit {process.exitcode}; {_tail(log) or 'it printed nothing'}",
                act="mend the code",
            ) from None
    finally:
        _end(process)
        ours.close()
    kind, content = answer
    if kind == "result":
        return content  # type: ignore[no-any-return]
    if kind == "memory":
        raise memory.exceeded(f"{what} asked for more memory than there is", content)
    raise _revive(kind, content)


def _answered(connection: Connection, watch: Watch, seconds: float, what: str, memory: Allowed) -> bool:
    """Whether the process answered, or ended, in time. Raises StepFailed when it takes too much memory."""
    deadline = time.monotonic() + seconds
    while not connection.poll(max(0.0, min(LOOK_SECONDS, deadline - time.monotonic()))):
        if time.monotonic() >= deadline:
            return False
        took = watch.mib(memory.mib)
        if took > memory.mib:
            raise memory.exceeded(f"{what} took more memory than it may and was stopped", f"{took:.0f} MiB")
    return True


def _child(connection: Connection, log: Path, function: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    os.setsid()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    has_log = False
    try:
        with log.open("ab", buffering=0) as sink:
            for stream in (1, 2):
                os.dup2(sink.fileno(), stream)
        has_log = True
        answer: tuple[str, Any] = ("result", function(*arguments))
        sys.stdout.flush()
    except BaseException as error:
        answer = _told(error)
        if has_log:
            with contextlib.suppress(OSError):
                traceback.print_exc()
    with contextlib.suppress(BrokenPipeError):  # a run that was interrupted waits for no answer
        connection.send(answer)
    connection.close()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(0)  # what is left unprinted on a full disk would fail once more


def _end_with(parent: Any) -> None:
    """When the run is killed, end this process and all that it started: nothing may go on writing."""
    parent.join()
    os.killpg(0, signal.SIGKILL)


def _end(process: Any) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.is_alive():
            process.join(0.2)
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()
    process.close()


def _told(error: BaseException) -> tuple[str, Any]:
    full = _disk_full(error)
    if full is not None:
        return "refused", (full.errno, full.strerror, full.filename)
    if isinstance(error, StepFailed):
        gate = error.gate if isinstance(error, GateFailed) else None
        what = error.what.removeprefix(f"gate '{gate}': ")
        got = None if error.got is None else error.got if isinstance(error.got, int | float | str) else repr(error.got)
        return "failed", {"gate": gate, "what": what, "where": error.where, "got": got, "allowed": error.allowed, "act": error.act}
    if isinstance(error, OSError) and error.errno:
        return "refused", (error.errno, error.strerror, error.filename)
    if isinstance(error, MemoryError):
        return "memory", f"{error or 'no more to be had'} ({place(error)})"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return "raised", {"type": type(error).__name__, "text": text, "at": place(error)}


def _revive(kind: str, content: Any) -> Exception:
    if kind == "refused":
        return OSError(*content)
    if kind == "raised":
        return StepFailed(f"{content['type']}: {content['text']}", where=content["at"], act="mend the code; nothing was registered")
    gate = content.pop("gate")
    what = content.pop("what")
    return GateFailed(gate, what, **content) if gate else StepFailed(what, **content)


def _disk_full(error: BaseException | None) -> OSError | None:
    """The refusal of a full disk that libraries wrapped into errors of their own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            return error
        if isinstance(error, shutil.Error) and os.strerror(errno.ENOSPC) in str(error):
            # A folder's copy that met a full disk: a list of texts, one for each file, without a number.
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        error = error.__cause__ or error.__context__
    return None


def place(error: BaseException) -> str:
    """File and line of the model's code that raised, or of whatever did."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    of_model = [frame for frame in frames if "/models/" in frame.filename and "site-packages" not in frame.filename]
    frame = (of_model or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _tail(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARACTERS:]
    except OSError:
        return ""
