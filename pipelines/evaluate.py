"""Step 6, evaluate: metrics on the holdout, held against thresholds and against the champion on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.release import load as load_record
from pipelines import detail, kinds, rows
from pipelines.artifacts import Comparison, Evaluation, Interval, Snapshot, Trained
from pipelines.bootstrap import Answers, difference, interval, judge
from pipelines.failures import GateFailed
from pipelines.model import LOWER_IS_BETTER, METRICS, Gates
from pipelines.runtime import open_release
from pipelines.snapshot import find
from pipelines.train import load
from pipelines.work import Work

if TYPE_CHECKING:
    import pandas

PART_ROWS = 1 << 18


def evaluate(work: Work, snapshot: Snapshot, trained: Trained) -> Evaluation:
    """Judge the new model on rows that neither it nor the champion was trained on.

    Raises GateFailed (``evaluation``) that names the metric, its value and the threshold; or the verdict, the interval and the margin.
    """
    model = work.model
    labels = list(model.output.labels)
    path = work.file(snapshot.path)
    holdout = rows.read(path, [*model.inputs, model.output.column, rows.BATCH, rows.ROW], held_out=True)
    if holdout.empty:
        raise _failed(work, "the holdout has no rows", got=0, allowed="at least 1 row", act="wait for more data, or raise 'holdout'")
    _check_leak(work, "the new model", path, holdout)
    predict = kinds.of(model).outputs.predict(load(work.file(trained.model), model.training.trusted_types))
    challenger = _answers(work, predict, labels, holdout)
    metrics: dict[str, Interval] = {metric: interval(metric, challenger, model.training.seed) for metric in METRICS[model.output.type]}
    check_thresholds(work, metrics)
    comparison, other, since = _compare(work, challenger, holdout) if work.champion is not None else (None, None, None)
    seen = detail.Holdout(frame=holdout, inputs=list(model.inputs), since=since, seed=model.training.seed)
    detail.write(work.output / "detail.json", detail.of(seen, model, challenger, other))
    because = _decide(work, comparison)
    return Evaluation(metrics=metrics, comparison=comparison, allowed_because=because, detail=work.name("detail.json"))


def check_thresholds(work: Work, metrics: dict[str, Interval]) -> None:
    """Hold each metric against model.yaml's ``minimum`` and ``maximum``. Raises GateFailed."""
    gates: Gates = work.model.gates
    for metric, minimum in gates.minimum.items():
        if not metrics[metric].value >= minimum:
            raise _failed(work, f"{metric} is too low", got=_shown(metrics[metric], minimum), allowed=f"{metric} >= {minimum}")
    for metric, maximum in gates.maximum.items():
        if not metrics[metric].value <= maximum:
            raise _failed(work, f"{metric} is too high", got=_shown(metrics[metric], maximum), allowed=f"{metric} <= {maximum}")


def _compare(work: Work, challenger: Answers, holdout: pandas.DataFrame) -> tuple[Comparison, Answers, str]:
    """The comparison, what the champion answered, and the date of the last batch that it learned from."""
    champion = work.champion or 0
    record = load_record(work.store, work.model.name, champion)
    # Without what the champion was trained on, nobody can tell whether it has seen the holdout.
    other = ", or compare with another release: python -m pipelines release … --champion N"
    digest = record.snapshot.digest
    learned = find(work.store, work.model.name, digest, whose=f"champion {champion}", tracking=work.tracking, otherwise=other)
    _check_leak(work, f"champion {champion}", learned, holdout)
    predict, labels = open_release(work.file(record.bento.path) / "release")
    if not set(labels) <= set(work.model.output.labels):
        raise _failed(work, f"champion {champion} knows other labels", got=labels, allowed=str(work.model.output.labels))
    theirs = _answers(work, predict, labels, holdout)
    gate = work.model.gates.comparison
    found = difference(gate.metric, challenger, theirs, work.model.training.seed)
    verdict = judge(gate.metric, found, margin=gate.margin, rows=len(holdout), minimum_rows=gate.minimum_rows)
    compared = Comparison(champion=champion, metric=gate.metric, difference=found, margin=gate.margin, rows=len(holdout), verdict=verdict)
    return compared, theirs, record.snapshot.last


def _decide(work: Work, comparison: Comparison | None) -> str | None:
    gate = work.model.gates.comparison
    if comparison is None or comparison.verdict == "pass":
        return None
    if comparison.verdict == "not enough evidence" and gate.insufficient_evidence == "allow":
        return gate.allowed_because
    worse = comparison.verdict == "fail"
    bound = comparison.margin if comparison.metric in LOWER_IS_BETTER else -comparison.margin
    raise _failed(
        work,
        f"against champion {comparison.champion}: {comparison.verdict}",
        got=f"difference in {comparison.metric} {_shown(comparison.difference, bound)} on {comparison.rows} rows",
        allowed=f"the whole interval {_kept(comparison)}, on at least {gate.minimum_rows} rows",
        act="keep the champion and improve the model"
        if worse
        else "wait for more data; or say why this is enough in model.yaml: gates.comparison.insufficient-evidence: allow",
    )


def _check_leak(work: Work, whose: str, learned: Path, holdout: pandas.DataFrame) -> None:
    """Refuse a holdout of which a row was to be learned from in a snapshot."""
    judged, leaked = set(holdout[rows.ROW]), set[str]()
    for part in rows.parts(learned, PART_ROWS, [rows.ROW, rows.HOLDOUT]):
        leaked |= judged & set(rows.part(part, held_out=False)[rows.ROW])
    if leaked:
        raise _failed(
            work,
            f"{whose} was trained on rows of the holdout",
            got=f"{len(leaked)} rows, such as {min(leaked)}",
            allowed="no row in both",
            act="put 'holdout' in model.yaml back to what it was for that release, or lower it",
        )


def _answers(work: Work, predict: Any, labels: list[str], holdout: pandas.DataFrame) -> Answers:
    import numpy

    model = work.model
    outputs = kinds.of(model).outputs
    given = numpy.asarray(predict(kinds.features(holdout, model)), dtype="float64")
    wrong = outputs.wrong(given, len(holdout), labels)
    if wrong is not None:
        what, got, allowed = wrong
        raise _failed(work, what, got=got, allowed=allowed)
    return outputs.judged(model.output, holdout[model.output.column], given, labels)


def _kept(comparison: Comparison) -> str:
    return f"below {comparison.margin:g}" if comparison.metric in LOWER_IS_BETTER else f"above -{comparison.margin:g}"


def _failed(work: Work, what: str, *, got: object, allowed: str, act: str = "improve the model or its data") -> GateFailed:
    return GateFailed("evaluation", what, where=f"models/{work.folder.name}/model.yaml: gates", got=got, allowed=allowed, act=act)


def _shown(found: Interval, threshold: float) -> str:
    """Value and interval, to as many decimals as tell each of them from the threshold that it misses."""
    numbers = (found.value, found.low, found.high)
    apart = [abs(each - threshold) for each in numbers if each != threshold]
    digits = next((digits for digits in (3, 4, 5) if all(each >= 0.5 * 10**-digits for each in apart)), 6)
    value, low, high = (f"{each:.{digits}f}" for each in numbers)
    return f"{value} [{low}, {high}]"
