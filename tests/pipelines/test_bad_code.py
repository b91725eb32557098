"""Model code that fails in any way makes no release, leaves nothing, and the next run goes on."""

from __future__ import annotations

import json
import time
from datetime import date
from pathlib import Path

import pytest

from infra.errors import DeliveryError
from infra.release import load
from pipelines.failures import GateFailed, StepFailed
from tests.pipelines.laboratory import Laboratory

HEAD = "from sklearn.linear_model import LogisticRegression\n\n\ndef estimator(parameters, seed):\n"
NAN = """from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer
import numpy as np


class Broken(LogisticRegression):
    def predict_proba(self, X):
        return super().predict_proba(X) * np.nan


def estimator(parameters, seed):
    return Broken()
"""


def test_code_that_raises_is_named_by_file_and_line(laboratory: Laboratory) -> None:
    (laboratory.iris / "train.py").write_text(HEAD + "    return LogisticRegression(C=parameters['c'])\n")
    with pytest.raises(StepFailed, match=r"models/iris/train\.py:5: KeyError: 'c'"):
        laboratory.release(champion="1")
    assert laboratory.numbers() == [1]
    assert len(laboratory.versions()) == 1


def test_code_that_is_no_python_is_named_by_file_and_line(laboratory: Laboratory) -> None:
    (laboratory.iris / "train.py").write_text(HEAD + "    return LogisticRegression(\n")
    with pytest.raises(StepFailed, match=r"models/iris/train\.py:5: SyntaxError: '\(' was never closed"):
        laboratory.release(champion="1")


def test_what_code_prints_stays_out_of_the_run_and_is_kept(laboratory: Laboratory, capfd: pytest.CaptureFixture[str]) -> None:
    laboratory.change("train.py", "    regression =", "    print('a secret')\n    regression =")
    assert laboratory.main("--champion", "1") == 0
    assert "a secret" not in "".join(capfd.readouterr())
    logs = list((laboratory.store / "steps" / "iris" / "train").glob("*/log.txt"))
    assert any("a secret" in log.read_text() for log in logs)
    assert load(laboratory.store, "iris", 2).reason == "new code"


def test_code_that_never_ends_is_stopped(laboratory: Laboratory) -> None:
    laboratory.change("model.yaml", "time-limit-seconds: 60", "time-limit-seconds: 4")
    (laboratory.iris / "train.py").write_text(HEAD + "    print('thinking', flush=True)\n    while True:\n        pass\n")
    started = time.monotonic()
    with pytest.raises(StepFailed, match="step 'train' did not end within 4 s and was stopped") as caught:
        laboratory.release(champion="1")
    assert time.monotonic() - started < 30
    assert "thinking" in str(caught.value)
    assert "thinking" in Path(caught.value.where).read_text(encoding="utf-8")


def test_a_trial_that_never_ends_is_stopped_and_named(laboratory: Laboratory) -> None:
    search = "search: {trials: 3, metric: accuracy, time-limit-seconds: 1, space: {C: {choices: [2.0, 3.0]}}}\n\ngates:"
    laboratory.change("model.yaml", "\ngates:", f"\n{search}")
    laboratory.change("model.yaml", "time-limit-seconds: 60", "time-limit-seconds: 2")
    laboratory.change("train.py", "    regression =", "    while parameters['C'] != 1.0:\n        pass\n    regression =")
    with pytest.raises(StepFailed, match="step 'train' did not end within 3 s and was stopped") as caught:
        laboratory.release(champion="1")
    assert 'trial 2 of 3: {"C": ' in str(caught.value)
    assert laboratory.numbers() == [1]


def test_tests_that_never_end_are_stopped(laboratory: Laboratory) -> None:
    laboratory.change("model.yaml", "test-seconds: 60", "test-seconds: 2")
    (laboratory.iris / "tests" / "test_slow.py").write_text("import time\n\n\ndef test_slow():\n    time.sleep(600)\n")
    with pytest.raises(StepFailed, match="step 'test' did not end within 2 s"):
        laboratory.release(champion="1")


def test_code_that_ends_its_process_is_said(laboratory: Laboratory) -> None:
    (laboratory.iris / "train.py").write_text("import os\n\n\ndef estimator(parameters, seed):\n    os._exit(7)\n")
    with pytest.raises(StepFailed, match="step 'train' ended its process") as caught:
        laboratory.release(champion="1")
    assert "exit 7" in str(caught.value)
    assert Path(caught.value.where).is_file()


def test_a_class_of_ones_own_is_not_loaded_unless_it_is_trusted(laboratory: Laboratory) -> None:
    (laboratory.iris / "train.py").write_text(NAN)
    with pytest.raises(StepFailed, match="nobody has said to trust"):
        laboratory.release(champion="1")


def test_a_model_that_learned_nothing_fails_its_gate(laboratory: Laboratory) -> None:
    laboratory.change("model.yaml", "C: 1.0", "C: 0.00001")
    (laboratory.iris / "tests" / "test_iris.py").write_text("def test_something():\n    assert True\n")
    with pytest.raises(GateFailed) as caught:
        laboratory.release(champion="1")
    assert caught.value.gate == "evaluation"
    assert laboratory.numbers() == [1]


def test_the_models_own_tests_stop_it_before_evaluation(laboratory: Laboratory, capfd: pytest.CaptureFixture[str]) -> None:
    laboratory.change("model.yaml", "C: 1.0", "C: 0.00001")
    assert laboratory.main("--champion", "1", "--json") == 1
    out, err = capfd.readouterr()
    assert json.loads(out)["gate"] == "training-tests"
    assert json.loads(out)["step"] == "test"
    assert "test_knows_the_typical_flower" in err
    assert "evaluate" not in err


def test_a_champion_that_nobody_can_compare_with_is_refused(laboratory: Laboratory) -> None:
    with pytest.raises(DeliveryError, match="release 7 of iris does not exist"):
        laboratory.release(champion="7")
    bento = laboratory.store / load(laboratory.store, "iris", 1).bento.path
    bento.rename(bento.with_name("elsewhere"))
    with pytest.raises(StepFailed, match="the package of champion 1 is not here"):
        laboratory.release(champion="1")
    bento.with_name("elsewhere").rename(bento)
    for snapshot in (laboratory.store / "snapshots" / "iris").glob("*.parquet"):
        snapshot.unlink()
    laboratory.change("model.yaml", "C: 1.0", "C: 2.0")
    with pytest.raises(StepFailed, match="the snapshot that champion 1 was made from is gone or altered"):
        laboratory.release(champion="1", until=date(2026, 10, 20))


def test_a_package_whose_server_does_not_start_fails_the_service_gate(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.verify.READY_SECONDS", 5.0)
    from pipelines import verify
    from pipelines.artifacts import Packaged
    from pipelines.model import read
    from pipelines.work import Work

    record = load(laboratory.store, "iris", 1)
    bento = laboratory.store / "bentos" / "iris" / "1"
    (laboratory.store / "output").mkdir()
    work = Work(
        root=laboratory.folders.parent,
        store=laboratory.store,
        folder=laboratory.iris,
        model=read(laboratory.iris),
        until=date(2026, 10, 31),
        champion=None,
        number=1,
        reason="",
        code="",
        environment="",
        tracking="",
        output=laboratory.store / "output",
        place="steps/iris/verify/x",
    )
    packaged = Packaged(
        bento="bentos/iris/1",
        digest=record.bento.digest,
        runtime="onnx",
        fallback_because=None,
        difference=0,
        golden_count=40,
        golden_digest="",
    )
    assert verify.verify(work, packaged).matched == 41
    golden = bento / "src" / "release" / "golden.jsonl"
    whole = golden.read_text()
    golden.write_text(whole + whole.splitlines()[0].replace('"label": "', '"label": "x') + "\n")
    with pytest.raises(GateFailed, match="1 of 42 answers differ") as caught:
        verify.verify(work, packaged)
    assert caught.value.gate == "service"
    (bento / "src" / "release" / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(GateFailed, match="ended by itself") as caught:
        verify.verify(work, packaged)
    assert caught.value.gate == "service"
    assert "model.onnx" in str(caught.value)
