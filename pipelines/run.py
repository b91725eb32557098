"""Runs the list of steps for one model: what was done is not done again, and a run that was killed goes on where it was."""

from __future__ import annotations

import contextlib
import errno
import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from infra import release
from infra.errors import DeliveryError
from infra.release import Release, file_digest, record_path
from infra.signature import signature_path
from pipelines import apart, digests, memory
from pipelines.artifacts import Imaged, Recorded, Registered, Snapshot
from pipelines.failures import StepFailed
from pipelines.model import Model, read
from pipelines.register import own_uri, tracking_uri
from pipelines.snapshot import arrived
from pipelines.steps import STEPS, Step
from pipelines.store import Steps, locked
from pipelines.words import describe
from pipelines.work import Work

FIXED_SECONDS = 600.0
LARGE_BYTES = 1 << 26
"""What is larger is read and validated in a process of its own. Less is not worth its start."""
SLOWEST_BYTES_A_SECOND = 1 << 18
"""How much of it such a process handles at least; a laptop does some MiB."""
OUTSIDE = {"snapshot": ("path",), "image": ("manifest", "sbom"), "record": ("path",), "sign": ("path",)}
"""Files outside of its own folder that a step's artifact names, by field."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: a new release, or the one that is the same already."""

    record: Release
    is_new: bool
    seconds: float


def make_release(
    root: Path,
    store: Path,
    folder: Path,
    *,
    until: date,
    champion: int | None,
    force: bool = False,
    image: bool = False,
    say: Say = lambda _: None,
) -> Outcome:
    """Make a release of the model in ``folder``, or find the one that was made from the same things; with ``image``, one that has an image.

    Raises DeliveryError: ConfigError for model.yaml, GateFailed for a gate, StepFailed for a step, PlatformError when another run is at it.
    """
    started = time.monotonic()
    with _begun(root, store, folder, until, champion, say) as run:
        same = run.begin(force=force, image=image)
        if same is not None:
            run.finish(same)
            return Outcome(same, is_new=False, seconds=time.monotonic() - started)
        run.go_on(STEPS[-1].name, image=image)
        recorded: Recorded = run.artifacts["recorded"]
        return Outcome(release.load(store, run.model, recorded.release), is_new=True, seconds=time.monotonic() - started)


def make_step(
    root: Path,
    store: Path,
    folder: Path,
    through: str,
    *,
    until: date,
    champion: int | None,
    image: bool = False,
    say: Say = lambda _: None,
) -> Release | None:
    """Run the list up to and including the step named ``through``, such as for an orchestrator that runs one step at a time.

    What was done is not done again; what is missing before the step is made. Returns the release that stands by then, made now or before
    from the same things. Raises what ``make_release`` raises.
    """
    with _begun(root, store, folder, until, champion, say, preload=()) as run:
        same = run.begin(force=False, image=image)
        if same is None:
            run.go_on(through, image=image)
            recorded: Recorded | None = run.artifacts.get("recorded")
            return release.load(store, run.model, recorded.release) if recorded else None
        if through == STEPS[-1].name:
            run.finish(same)
        return same


@contextlib.contextmanager
def _begun(
    root: Path, store: Path, folder: Path, until: date, champion: int | None, say: Say, preload: Sequence[str] = apart.PRELOAD
) -> Iterator[_Run]:
    """A run that nobody else disturbs. ``preload``: packages that its steps' processes start with; a single step would not use most."""
    model = read(folder)
    _check_champion(store, model.name, champion)
    work = _work(root, store, folder, model, until, champion)
    with _disk_errors(store), locked(store, model.name):
        yield _Run(replace(work, number=_next_number(store, model.name)), say, preload=preload)


def make_again(
    root: Path, store: Path, folder: Path, *, snapshot: Snapshot, number: int, champion: int | None, say: Say = lambda _: None
) -> dict[str, Any]:
    """The artifacts of a release from a snapshot that lies in the store, up to the package; nothing is registered or recorded.

    Raises DeliveryError as ``make_release`` does.
    """
    model = read(folder)
    work = replace(_work(root, store, folder, model, date.fromisoformat(snapshot.last), champion), number=number)
    with _disk_errors(store), locked(store, model.name):
        run = _Run(work, say)
        run.artifacts["snapshot"] = snapshot
        for step in itertools.takewhile(lambda each: each.gives != "verified", STEPS[1:]):
            run.step(step)
        return run.artifacts


def find_same(store: Path, model: str, snapshot: str, code: str, environment: str, *, image: bool = False) -> Release | None:
    """The newest release that was made from the same snapshot, code (parameters are part of it) and environment; with an image if asked."""
    for number in reversed(release.numbers(store, model)):
        record = release.load(store, model, number)
        has_image = record.image is not None
        if (record.snapshot.digest, record.code, record.environment) == (snapshot, code, environment) and (has_image or not image):
            return record
    return None


def reason(store: Path, model: str, snapshot: Snapshot, code: str, environment: str, *, image: bool = False) -> str:
    """Why a release is made, compared with the newest one: ``new data``, ``new code``, ``new environment``, or asked for."""
    numbers = release.numbers(store, model)
    if not numbers:
        return "first release"
    last = release.load(store, model, numbers[-1])
    found = []
    if last.snapshot.digest != snapshot.digest:
        found.append(f"new data ({last.snapshot.rows} -> {snapshot.rows} rows, to {snapshot.last})")
    if last.code != code:
        found.append("new code")
    if last.environment != environment:
        found.append("new environment")
    if image and last.image is None:
        found.append("an image for a cluster")
    return ", ".join(found) or "asked for, nothing changed"


def plan(root: Path, store: Path, folder: Path, *, until: date, image: bool = False) -> str | None:
    """Why a model needs a run, or None when a release (with ``image``, one that has an image) was made of just that data and code.

    Takes the snapshot, nothing else. Raises DeliveryError as ``make_release`` does.
    """
    model = read(folder)
    work = _work(root, store, folder, model, until, None)
    with _disk_errors(store), locked(store, model.name):
        snapshot = _Run(work, lambda _: None, only_looks=True).step(STEPS[0])
    if find_same(store, model.name, snapshot.digest, work.code, work.environment, image=image) is not None:
        return None
    return reason(store, model.name, snapshot, work.code, work.environment, image=image)


class _Run:
    """One run: the artifacts so far, and how to get the next one."""

    def __init__(self, work: Work, say: Say, *, only_looks: bool = False, preload: Sequence[str] = apart.PRELOAD) -> None:
        self.artifacts: dict[str, Any] = {}
        self.model = work.model.name
        self._work, self._say, self._only_looks, self._preload = work, say, only_looks, preload
        self._steps = Steps(work.store, work.model.name)
        self._steps.sweep()

    def begin(self, *, force: bool, image: bool) -> Release | None:
        """Take the snapshot; the release that was made from the same things before, unless ``force``. None: go on."""
        work = self._work
        self.finish_signing()
        snapshot = self.step(STEPS[0])
        same = None if force else find_same(work.store, self.model, snapshot.digest, work.code, work.environment, image=image)
        if same is None:
            why = reason(work.store, self.model, snapshot, work.code, work.environment, image=image)
            self._say(f"{self.model}: release {work.number}, {why}")
            self._work = replace(work, reason=why)
        return same

    def go_on(self, through: str, *, image: bool) -> None:
        """Run the steps after the snapshot, up to and including the one named."""
        names = [step.name for step in STEPS]
        for step in STEPS[1 : names.index(through) + 1]:
            if step.gives == "imaged" and not image:
                self.artifacts["imaged"] = Imaged()
            elif step is STEPS[-1]:
                self.announce()
            else:
                self.step(step)

    def step(self, step: Step) -> Any:
        """The step's artifact: found whole from before, or made now."""
        key = self._key(step)
        found = None if _is_live(step, self._work) else self._steps.find(step.name, key)
        if found is not None:
            artifact = msgspec.convert(found.artifact, step.result_type())
            self._say(f"  {step.name:<10} {describe(artifact)} (done before)")
        else:
            started = time.monotonic()
            artifact = self._make(step, key)
            self._say(f"  {step.name:<10} {describe(artifact)} ({time.monotonic() - started:.1f} s)")
        self.artifacts[step.gives] = artifact
        return artifact

    def announce(self) -> None:
        """Tell the registry; when it does not answer the release stands all the same, and the next run tells it."""
        try:
            self.step(STEPS[-1])
        except StepFailed as error:
            self._say(f"  {STEPS[-1].name:<10} not yet, the next run does it: {error}")

    def finish_signing(self) -> None:
        """Sign the newest release where the run that recorded it was killed before it could."""
        newest = max(release.numbers(self._work.store, self._work.model.name), default=0)
        if newest == 0 or signature_path(self._work.store, self._work.model.name, newest).is_file():
            return
        record = release.load(self._work.store, self._work.model.name, newest)
        # Only what this store's own run wrote: a record from elsewhere, or an image added to it, is signed by hand, or not at all.
        if record.added is None and any(made.get("digest") == record.digest for made in self._steps.made("record")):
            self.artifacts["recorded"] = self._recorded(record)
            self.step(next(step for step in STEPS if step.gives == "signed"))

    def finish(self, record: Release) -> None:
        """Do what a killed run left to do after its record stood."""
        if record.tracking is None:
            return
        self.artifacts["registered"] = Registered(run=record.tracking.run, version=record.tracking.version)
        self.artifacts["recorded"] = self._recorded(record)
        if self._steps.find(STEPS[-1].name, self._key(STEPS[-1])) is None:
            self.announce()

    def _recorded(self, record: Release) -> Recorded:
        path = record_path(self._work.store, record.model, record.release).relative_to(self._work.store)
        return Recorded(release=record.release, path=path.as_posix(), digest=record.digest)

    def _key(self, step: Step) -> str:
        work = self._work
        settings: dict[str, Callable[[], object]] = {
            "batches": lambda: [*_source(work), [(name, each.type) for name, each in work.model.inputs.items()], work.model.holdout],
            "code": lambda: work.code,
            "environment": lambda: work.environment,
            "champion": lambda: work.champion and release.load(work.store, work.model.name, work.champion).digest,
            "number": lambda: work.number,
            "reason": lambda: work.reason,
            "stacks": lambda: {path.name: file_digest(path) for path in sorted(work.root.glob("Pulumi.*.yaml"))},
            "tracking": lambda: "the store's own" if work.tracking == own_uri(work.store) else work.tracking,
        }
        inputs = {name: asdict(self.artifacts[name]) for name in step.needs()}
        return digests.of_value([step.name, step.version, [settings[name]() for name in step.settings], inputs])

    def _make(self, step: Step, key: str) -> Any:
        if not self._only_looks:
            apart.prepare(self._preload)
        with self._steps.opened(step.name, key) as output:
            work = replace(self._work, output=output, place=self._steps.place(step.name, key))
            arguments = [work, *(self.artifacts[name] for name in step.needs())]
            started = time.monotonic()
            try:
                artifact = self._call(step, work, arguments)
            except DeliveryError as error:
                _leave_trace(work)
                error.add_note(step.name)
                raise
            except OSError as error:
                error.add_note(step.name)
                raise
            outside = tuple(getattr(artifact, field) for field in OUTSIDE.get(step.name, ()))
            self._steps.keep(step.name, key, output, asdict(artifact), time.monotonic() - started, outside)
            return artifact

    def _call(self, step: Step, work: Work, arguments: list[Any]) -> Any:
        if step.apart == "never":
            return step.load()(*arguments)
        size, of = self._given()
        if step.apart == "when large" and size <= LARGE_BYTES:
            return step.load()(*arguments)
        model: Model = work.model
        training = model.training.time_limit_seconds + (model.search.time_limit_seconds if model.search else 0)
        seconds = {"training": training, "tests": model.gates.test_seconds, "fixed": FIXED_SECONDS}[step.limit]
        if step.apart == "when large":
            seconds += size / SLOWEST_BYTES_A_SECOND
        return apart.run(
            step.load(),
            *arguments,
            seconds=seconds,
            log=work.output / "log.txt",
            kept=work.trace("log.txt"),
            what=f"step '{step.name}'",
            memory=memory.allowed(model, work.folder, of=of),
            # What is preloaded for the other steps is loading still, and of no use to these.
            how="spawn" if step.apart == "when large" else "forkserver",
        )

    def _given(self) -> tuple[int, str]:
        """What a step works on: its size in bytes, and in words."""
        snapshot: Snapshot | None = self.artifacts.get("snapshot")
        if snapshot is not None:
            size = self._work.file(snapshot.path).stat().st_size
            return size, f"a snapshot of {snapshot.rows} rows, {size / memory.MIB:.1f} MiB as Parquet ({snapshot.path})"
        if self._work.model.data.source == "python":
            return 0, f"the rows that data.py yields until {self._work.until}"
        batches = arrived(self._work.folder, self._work.model, self._work.until)
        size = sum(path.stat().st_size for path in batches)
        return size, f"batches of {size / memory.MIB:.1f} MiB ({batches[0].name} to {batches[-1].name})"


def _work(root: Path, store: Path, folder: Path, model: Model, until: date, champion: int | None) -> Work:
    return Work(
        root=root,
        store=store,
        folder=folder,
        model=model,
        until=until,
        champion=champion,
        number=0,
        reason="",
        code=digests.of_code(folder, model.data.batches),
        environment=digests.of_environment(root),
        tracking=tracking_uri(store),
    )


def _source(work: Work) -> list[Any]:
    if work.model.data.source == "python":
        return ["python", str(work.until)]
    return [(path.name, file_digest(path)) for path in arrived(work.folder, work.model, work.until)]


def _is_live(step: Step, work: Work) -> bool:
    """Whether a step must look again: nobody can tell from outside what code would yield now."""
    return step.gives == "snapshot" and work.model.data.source == "python"


def _next_number(store: Path, model: str) -> int:
    return max(release.numbers(store, model), default=0) + 1


def _check_champion(store: Path, model: str, champion: int | None) -> None:
    """Refuse a champion that cannot be compared with before any work is done."""
    if champion is not None:
        record = release.load(store, model, champion, where=f"champion of {model}")
        package = store / record.bento.path
        if not package.is_dir():
            raise StepFailed(
                f"the package of champion {champion} is not here, and nothing else can tell what it takes and answers",
                where=str(package),
                allowed=f"the folder that was packaged for it, {record.bento.digest}",
                act=f"copy it from where release {champion} was made, or compare with another: python -m pipelines release … --champion N",
            )


@contextlib.contextmanager
def _disk_errors(store: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error that names step, file and the next act."""
    try:
        yield
    except OSError as error:
        step = ", ".join(getattr(error, "__notes__", [])) or "start"
        act = "free some space" if error.errno == errno.ENOSPC else "make the store writable"
        raise StepFailed(
            f"step '{step}' cannot write: {error.strerror or error}",
            where=str(error.filename or store),
            act=f"{act}, then run the same command again: it goes on from this step, nothing was half-written",
        ) from error


def _leave_trace(work: Work) -> None:
    """Keep what a failed step printed or reported, under the name of the step; the newest failure only."""
    kept = work.trace("")
    with contextlib.suppress(OSError):
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for path in work.output.iterdir():
            if path.suffix in {".txt", ".log", ".json", ".html"}:
                shutil.copy2(path, kept / path.name)
