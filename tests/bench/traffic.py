"""What users notice of promotions and returns: latency beside rest, and answers that failed or that the named release never gave."""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from serving.golden import difference
from tests import invariants
from tests.bench.ground import WATCHED, Ground
from tests.bench.measure import percentile
from tests.bench.row import Row
from tests.laptop import Laptop
from tests.load import Answer, Load

CLEARLY = 1e-3
"""Only requests to which the two releases give answers this far apart are sent: a wrong release can't pass for the right one."""


PHASES = ("the engine's start", "the new server's start", "the rollout", "the old server's end")
"""What follows one another in a promotion."""


@dataclass(frozen=True)
class Window:
    """A time in which something went on, monotonic seconds, and the releases that may answer what was sent in it."""

    kind: str
    began: float
    ended: float
    between: frozenset[int]


def measure(ground: Ground) -> list[Row]:
    """Rows: p99 during promotions against rest, in turn, one unbroken load; failed or wrong answers."""
    size, home = ground.size, ground.home
    home.champion(1, rollout={**WATCHED, "rollback-window": size.returns + 5})
    home.up()
    fresh = [ground.fresh(2 if count % 2 == 0 else 1) for count in range(size.promotions)]
    chain = [1, *fresh]
    steps = [("promotion", number) for number in fresh]
    steps += [("return", number) for number in chain[-2 : -2 - size.returns : -1]]
    idle = set(range(0, size.promotions, max(1, size.promotions // size.idle_updates)))
    windows: list[Window] = []
    champion = 1

    with Load(home.connect, "/iris/predict", distinct(home), rate=size.rate) as load:
        load.wait_for(int(size.rate))
        for index, (kind, number) in enumerate(steps):
            with during(windows, "rest", {champion}):
                time.sleep(size.rest_seconds)
            if index in idle:
                with during(windows, "idle update", {champion}):
                    home.up()
            home.champion(number)
            with during(windows, kind, {champion, number}):
                out = home.up()
            if kind == "promotion":
                windows += phases(home, windows[-1])
            assert f"{number} answers everything" in out, out
            champion = number
        load.wait_for(20)
    windows.append(Window("rest", windows[-1].ended, time.monotonic(), frozenset({champion})))
    invariants.only_one_answers(home, champion)
    invariants.nothing_is_left_over(home, champion)
    return [latency(load.answers, windows, size.promotions), bad(home, load, windows, size.promotions, size.returns)]


def phases(home: Laptop, promotion: Window) -> list[Window]:
    """The parts of a promotion that has just ended: locks are written when their holder begins, the ledger when the rollout has ended."""
    clock = time.monotonic() - time.time()
    marks = [(home.store / name).stat().st_mtime + clock for name in ("supervisor/ports.lock", "rollouts/iris.lock", "rollouts/iris.json")]
    times = [promotion.began, *marks, promotion.ended]
    return [Window(kind, began, ended, promotion.between) for kind, (began, ended) in zip(PHASES, itertools.pairwise(times), strict=True)]


def latency(answers: Collection[Answer], windows: Collection[Window], promotions: int) -> Row:
    """p99 of everything sent during promotions, against everything sent at rest; beside it an update that changes nothing."""
    by_kind = {kind: [1000 * each.seconds for each in answers if is_in(each, kind, windows)] for kind in sorted({w.kind for w in windows})}
    p99 = {kind: percentile(values, 0.99) for kind, values in by_kind.items()}
    p50 = {kind: percentile(values, 0.50) for kind, values in by_kind.items()}
    engine = p99["idle update"] / p99["rest"]
    value = p99["promotion"] / p99["rest"]
    parts = {f"p99 in {kind}, ms": found for kind, found in p99.items()}
    parts |= {f"p50 in {kind}, ms": found for kind, found in p50.items()}
    parts |= {f"requests in {kind}": float(len(values)) for kind, values in by_kind.items()}
    return Row(
        name=f"p99 during {promotions} promotions / at rest",
        value=value,
        most=1.3,
        floor=f"{engine:.2f} x: the engine at work on the same cores, nothing changed",
        why=(
            f"p99 is {p99['rest']:.1f} ms at rest, {p99['promotion']:.1f} ms during promotions, {p99['idle update']:.1f} ms during updates "
            f"that change nothing; p50 {p50['rest']:.1f}, {p50['promotion']:.1f}, {p50['idle update']:.1f} ms. "
            f"The engine's use of the processor alone makes {engine:.2f} x, the rest {value / engine:.2f} x. p99 of the promotions' parts: "
            + ", ".join(f"{p99[kind]:.1f} ms in {kind}" for kind in PHASES if kind in p99)
        ),
        parts=parts,
    )


def bad(home: Laptop, load: Load, windows: Collection[Window], promotions: int, returns: int) -> Row:
    """Number of requests that failed, were answered by a release that may not, or got an answer that it never gave."""
    failed, stray, wrong = counted(home, load, windows)
    return Row(
        name=f"failed or wrong-release answers, {promotions} promotions and {returns} returns",
        value=failed + stray + wrong,
        unit="",
        most=0,
        floor=f"0 of {len(load.answers)} sent",
        why=f"{failed} failed, {stray} came from a release that may not answer then, {wrong} differ from the golden answer",
        parts={"requests": float(len(load.answers)), "failed": failed, "wrong release": stray, "wrong answer": wrong},
    )


def counted(home: Laptop, load: Load, windows: Collection[Window]) -> tuple[int, int, int]:
    """How many requests failed, were answered by a release that may not, and got an answer that it never gave."""
    recorded: dict[int, list[Any]] = {}
    failed = stray = wrong = 0
    for answer in load.answers:
        between = next((window.between for window in windows if window.began <= answer.at < window.ended), None)
        if answer.status != 200 or answer.release is None:
            failed += 1
        elif between is not None and answer.release not in between:
            stray += 1
        else:
            expected = recorded.setdefault(answer.release, answers_to(home, answer.release, load.bodies))
            wrong += bool(difference(expected[answer.request], answer.body, invariants.TOLERANCE))
    return failed, stray, wrong


def distinct(home: Laptop) -> list[Any]:
    """Golden requests of both real releases that these answer clearly differently."""
    second = {str(line["request"]): line["response"] for line in home.golden(2)}
    shared = [(line, second[str(line["request"])]) for line in home.golden(1) if str(line["request"]) in second]
    found = [line["request"] for line, other in shared if difference(line["response"], other, CLEARLY)]
    assert len(found) >= 10, f"releases 1 and 2 differ on {len(found)} golden requests only"
    return found


def answers_to(home: Laptop, release: int, bodies: Collection[Any]) -> list[Any]:
    """The recorded answers of a release to the bodies, in their order."""
    recorded = {str(line["request"]): line["response"] for line in home.golden(release)}
    return [recorded[str(body)] for body in bodies]


@contextmanager
def during(windows: list[Window], kind: str, between: set[int]) -> Iterator[None]:
    """Note the time that a block takes."""
    began = time.monotonic()
    yield
    windows.append(Window(kind, began, time.monotonic(), frozenset(between)))


def is_in(answer: Answer, kind: str, windows: Collection[Window]) -> bool:
    """Whether a request was sent in a window of this kind."""
    return any(window.kind == kind and window.began <= answer.at < window.ended for window in windows)
