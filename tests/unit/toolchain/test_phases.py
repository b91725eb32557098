"""What a phase's result is, and what the last lines of `make test` say."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import phases
from toolchain.phases import Outcome, judge

REPORT = '<testsuites><testsuite tests="5" failures="1" errors="1" skipped="1"/></testsuites>'
GOOD = '<testsuites><testsuite tests="5" failures="0" errors="0" skipped="2"/></testsuites>'


def test_totals_come_from_pytests_own_report() -> None:
    outcome = judge("unit", 1, REPORT, 2.0)
    assert (outcome.passed, outcome.failed, outcome.skipped, outcome.verdict) == (2, 2, 1, "FAILED")
    assert judge("unit", 0, GOOD, 2.0) == Outcome("unit", "passed", 3, 0, 2, 2.0)


def test_a_phase_that_collects_nothing_has_failed() -> None:
    outcome = judge("e2e", phases.NO_TESTS, '<testsuites><testsuite tests="0" failures="0" errors="0" skipped="0"/></testsuites>', 0.1)
    assert not outcome.is_good
    assert outcome.failed == 1


def test_a_pytest_that_dies_without_a_report_has_failed() -> None:
    outcome = judge("e2e", -9, "", 0.1)
    assert (outcome.failed, outcome.is_good) == (1, False)


def test_an_interrupted_phase_is_neither() -> None:
    assert judge("e2e", 2, GOOD, 0.1).verdict == "INTERRUPTED"


def test_the_summary_ends_with_the_totals() -> None:
    lines = phases.summary([Outcome("unit", "passed", 3, 0, 1, 1.0), judge("contracts", 1, REPORT, 2.0)]).splitlines()
    assert lines[-1] == "5 passed, 2 failed, 2 skipped"
    assert "FAILED" in lines[1]


def test_a_phase_is_found_by_its_folders(tmp_path: Path) -> None:
    for folder in ("tests/unit", "models/iris/tests", "models/wine/tests"):
        (tmp_path / folder).mkdir(parents=True)
    assert phases.folders(tmp_path, "unit") == ["tests/unit", "models/iris/tests", "models/wine/tests"]
    assert phases.folders(tmp_path, "faults") == []
    assert phases.run_phase(tmp_path, "faults").is_good


def test_a_real_phase_runs_and_counts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tests" / "e2e").mkdir(parents=True)
    (tmp_path / "tests" / "e2e" / "test_x.py").write_text("def test_a(): pass\ndef test_b(): assert False\n")
    outcome = phases.run_phase(tmp_path, "e2e")
    assert (outcome.passed, outcome.failed, outcome.is_good) == (1, 1, False)
    assert "phase e2e: tests/e2e" in capfd.readouterr().out


def test_an_empty_folder_of_tests_has_failed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tests" / "e2e").mkdir(parents=True)
    assert phases.run_phase(tmp_path, "e2e").verdict == "FAILED: no test was collected"
    assert "FAILED" in capfd.readouterr().out


def test_the_next_phase_runs_after_a_failed_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    def run(_root: Path, phase: str) -> Outcome:
        seen.append(phase)
        return Outcome(phase, "FAILED" if phase == "unit" else "passed", 1, phase == "unit", 0, 1.0)

    monkeypatch.setattr(phases, "run_phase", run)
    assert phases.main([]) == 1
    assert seen == list(phases.PHASES)
    assert phases.main(["contracts"]) == 0
    assert capsys.readouterr().out.endswith("1 passed, 0 failed, 0 skipped\n")


def test_a_run_without_a_test_is_not_green(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "run_phase", lambda _root, phase: Outcome(phase, "no such folder"))
    assert phases.main([]) == 1


def test_an_unknown_phase_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert phases.main(["e2e", "nonsense"]) == 2
    assert "allowed: unit, contracts" in capsys.readouterr().err
