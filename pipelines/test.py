"""Step 5, test: the model's own tests, against the training code and the model that it gave."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from pipelines.artifacts import Snapshot, Tested, Trained
from pipelines.failures import GateFailed
from pipelines.work import Work

MODEL_VARIABLE = "MLDELIVERY_MODEL"
"""Environment variable that tells the model's tests which saved model to test."""

SNAPSHOT_VARIABLE = "MLDELIVERY_SNAPSHOT"


def run_tests(work: Work, snapshot: Snapshot, trained: Trained) -> Tested:
    """Run ``models/<model>/tests`` with pytest. Raises GateFailed (``training-tests``): the first failure, or no test."""
    import pytest

    tests = work.folder / "tests"
    seen = _Seen()
    options = ["--import-mode=importlib", "-p", "no:cacheprovider", "-q", "-c", os.devnull, f"--rootdir={work.folder}"]
    told = {MODEL_VARIABLE: str(work.file(trained.model).absolute()), SNAPSHOT_VARIABLE: str(work.file(snapshot.path).absolute())}
    with _environment(told):
        code = pytest.main([*options, str(tests)], plugins=[seen]) if tests.is_dir() else pytest.ExitCode.NO_TESTS_COLLECTED
    if code != pytest.ExitCode.OK or not seen.passed:
        raise GateFailed(
            "training-tests",
            seen.first or ("there are no tests" if not seen.passed else f"pytest ended with {code}"),
            where=f"models/{work.folder.name}/tests",
            got=f"{seen.failed} failed, {seen.passed} passed",
            allowed="at least one test, and all pass",
            act=f"mend the model or the test; all output: {work.trace('log.txt')}",
        )
    return Tested(passed=seen.passed)


@contextlib.contextmanager
def _environment(told: dict[str, str]) -> Iterator[None]:
    """Variables for the length of a block: whoever runs a model's tests later in this process must not meet this model."""
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Seen:
    """Counts what pytest reports, and keeps the first failure in a person's words."""

    def __init__(self) -> None:
        self.passed, self.failed, self.first = 0, 0, ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self._fail(report)
        elif report.when == "call" and report.passed:
            self.passed += 1

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self._fail(report)

    def _fail(self, report: Any) -> None:
        self.failed += 1
        crash = getattr(report.longrepr, "reprcrash", None)
        text = crash.message if crash else str(report.longrepr).strip().splitlines()[-1]
        self.first = self.first or f"{report.nodeid.rpartition('/')[2]}: {text.splitlines()[0]}"
