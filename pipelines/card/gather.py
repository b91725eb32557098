"""Gathers what a card says from the artifacts of a run, the champion's record, snapshot and model, and the stacks' files."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra import rollout
from infra.config import load as load_stack
from infra.errors import ConfigError
from infra.release import Release
from infra.release import load as load_record
from pipelines import distances, kinds, rows
from pipelines.artifacts import (
    Evaluation,
    Imaged,
    Interface,
    Packaged,
    Registered,
    Snapshot,
    Tested,
    Trained,
    Validation,
    Verified,
)
from pipelines.card import wording
from pipelines.card.content import Card, Change, Column, Data, Fact, Gate, Golden, Metric, Rollout, Stack, Stage
from pipelines.commit import of_folder
from pipelines.detail import noticed, shown
from pipelines.detail import read as read_detail
from pipelines.gates import MEANINGS
from pipelines.model import LOWER_IS_BETTER, Gates
from pipelines.record import VALIDATION_SUFFIX
from pipelines.runtime import open_release
from pipelines.snapshot import path_of
from pipelines.store import now
from pipelines.work import Work

if TYPE_CHECKING:
    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]

BINS = 6
"""Few bins: with n rows, sampling alone gives a distance of about (bins - 1) / n."""
EXAMPLES = 5


def gather(
    work: Work,
    snapshot: Snapshot,
    interface: Interface,
    validation: Validation,
    trained: Trained,
    tested: Tested,
    evaluation: Evaluation,
    packaged: Packaged,
    verified: Verified,
    imaged: Imaged,
    registered: Registered,
) -> Card:
    """Everything, in the order in which a reviewer asks for it."""
    model = work.model
    champion = None if work.champion is None else load_record(work.store, model.name, work.champion)
    detail = read_detail(work.file(evaluation.detail))
    data = None if champion is None else compare_data(work, snapshot, champion)
    golden = None if champion is None else compare_golden(work, snapshot, packaged, champion)
    metrics = [
        Metric(
            name=name,
            release=found,
            champion=detail.champion.get(name),
            difference=detail.differences.get(name),
            threshold=_threshold(model.gates, name),
            is_lower_better=name in LOWER_IS_BETTER,
        )
        for name, found in evaluation.metrics.items()
    ]
    verdict, tone = wording.verdict(model.name, work.number, metrics, evaluation.comparison, detail.rows, evaluation.allowed_because)
    return Card(
        model=model.name,
        kind=model.kind,
        description=model.description,
        owner=model.owner,
        release=work.number,
        champion=work.champion,
        made=now(),
        reason=work.reason,
        verdict=verdict,
        tone=tone,
        notes=wording.notes(metrics, detail, data, golden, packaged.fallback_because),
        metrics=metrics,
        comparison=evaluation.comparison,
        detail=detail,
        unit=model.output.unit,
        rows=snapshot.rows,
        holdout_rows=snapshot.holdout_rows,
        first=snapshot.first,
        last=snapshot.last,
        data=data,
        golden=golden,
        golden_count=packaged.golden_count,
        gates=_gates(work, interface, validation, tested, evaluation, packaged, verified),
        rollouts=_rollouts(work),
        lineage=_lineage(work, snapshot, trained, packaged, imaged, registered),
    )


def compare_data(work: Work, snapshot: Snapshot, champion: Release) -> Data | None:
    """The snapshot beside the champion's, column by column; None when that one is not in the store any more."""
    path = work.file(path_of(work.model.name, champion.snapshot.digest))
    if not path.is_file():
        return None
    before, after = (_compared(work, file) for file in (path, work.file(snapshot.path)))
    had, has = set(before[rows.ROW]), set(after[rows.ROW])
    return Data(
        rows=len(after),
        rows_before=len(before),
        new_rows=int((~after[rows.ROW].isin(had)).sum()),
        gone_rows=int((~before[rows.ROW].isin(has)).sum()),
        columns=_columns(work, before, after),
    )


def _compared(work: Work, path: Path) -> pandas.DataFrame:
    """Of a snapshot, the columns that are compared, as far as it has them."""
    wanted = (rows.ROW, *work.model.inputs, work.model.output.column)
    return rows.read(path, [name for name in wanted if name in rows.names(path)])


def _columns(work: Work, before: pandas.DataFrame, after: pandas.DataFrame) -> list[Column]:
    model, kind = work.model, kinds.of(work.model)
    names = [name for name in model.inputs if name in before.columns and name in after.columns]
    was, now_is = kind.inputs.measured(before, names), kind.inputs.measured(after, names)
    found = []
    for name in names:
        measure = kind.inputs.measure(name)
        unit = model.inputs[name].unit if measure == name else "characters"
        found.append(_of_numbers(measure, unit, was[measure], now_is[measure]))
    truth = model.output.column
    if truth in before.columns and truth in after.columns:
        both = before[truth], after[truth]
        found.append(_of_labels(truth, model.output.labels, *both) if model.output.labels else _of_numbers(truth, model.output.unit, *both))
    return found


def _of_numbers(name: str, unit: str, before: pandas.Series[Any], after: pandas.Series[Any]) -> Column:
    import numpy

    was, now_is = (series.dropna().to_numpy(dtype="float64") for series in (before, after))
    known = numpy.unique(numpy.concatenate([was, now_is]))
    few = len(known) <= BINS
    inner = (known[1:] + known[:-1]) / 2 if few else numpy.unique(numpy.quantile(was, numpy.linspace(0, 1, BINS + 1)[1:-1]))
    edges = numpy.concatenate([[-numpy.inf], inner, [numpy.inf]])
    counts, counts_now = (numpy.histogram(values, edges)[0] for values in (was, now_is))
    spread = float(numpy.sqrt((was.var() + now_is.var()) / 2))
    return _column(
        name,
        unit,
        counts,
        counts_now,
        bins=[f"{float(each):.4g}" for each in known] if few else _names(inner),
        ends=tuple(f"{float(each):.4g}" for each in (now_is.min(), now_is.max(), was.min(), was.max())),
        missing=(int(after.isna().sum()), int(before.isna().sum())),
        shift=float(now_is.mean() - was.mean()) / spread if spread else None,
    )


def _of_labels(name: str, labels: list[str], before: pandas.Series[Any], after: pandas.Series[Any]) -> Column:
    import numpy

    was, now_is = before.value_counts(), after.value_counts()
    known = [*labels, *sorted({str(each) for each in (*was.index, *now_is.index)} - set(labels))]
    counts, counts_now = (numpy.array([int(seen.get(label, 0)) for label in known]) for seen in (was, now_is))
    kinds_seen = str(int((counts_now > 0).sum())), str(int((counts > 0).sum()))
    return _column(
        name,
        "classes",
        counts,
        counts_now,
        bins=known,
        ends=(kinds_seen[0], "", kinds_seen[1], ""),
        missing=(int(after.isna().sum()), int(before.isna().sum())),
        shift=None,
    )


def _column(
    name: str,
    unit: str,
    before: Array,
    after: Array,
    *,
    bins: list[str],
    ends: tuple[str, ...],
    missing: tuple[int, int],
    shift: float | None,
) -> Column:
    distance = distances.psi(before, after)
    return Column(
        name=name,
        unit=unit,
        low=ends[0],
        high=ends[1],
        low_before=ends[2],
        high_before=ends[3],
        missing=missing[0],
        missing_before=missing[1],
        shift=shift,
        psi=distance,
        kl=distances.kl(before, after),
        chance=distances.chance(before, after),
        effect=distances.effect(distance),
        bins=bins,
        before=[float(each) for each in before / before.sum()],
        after=[float(each) for each in after / after.sum()],
    )


def _names(inner: Array) -> list[str]:
    edges = [f"{float(edge):.4g}" for edge in inner]
    if not edges:
        return ["all"]
    return [f"below {edges[0]}", *(f"{low} to {high}" for low, high in itertools.pairwise(edges)), f"from {edges[-1]}"]


def compare_golden(work: Work, snapshot: Snapshot, packaged: Packaged, champion: Release) -> Golden | None:
    """The release's golden requests, put to the champion: how many it answers otherwise, by how much, and the furthest of them."""
    model, kind = work.model, kinds.of(work.model)
    path = work.file(packaged.bento) / "src" / "release" / "golden.jsonl"
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    single = [line for line in lines if len(line["request"]["rows"]) == 1]
    cells = [[line["request"]["rows"][0][name] for name in model.inputs] for line in single]
    given = kind.outputs.of_predictions([line["response"]["predictions"][0] for line in single])
    predict, labels = open_release(work.file(champion.bento.path) / "release")
    theirs = _in_order(predict(kind.inputs.of_rows(cells)), labels, model.output.labels)
    seen = kind.inputs.to_rows(kinds.features(rows.read(work.file(snapshot.path), list(model.inputs), held_out=True), model))
    apart = abs(given - theirs).max(axis=1)
    if model.output.labels:
        is_other = given.argmax(axis=1) != theirs.argmax(axis=1)
        what = "another label"
    else:
        bound = noticed(model)
        is_other = apart > bound
        what = f"more than {bound:.3g}{' ' + model.output.unit if model.output.unit else ''} away"
    # What users may send comes before the ends of what is allowed.
    order = sorted(range(len(single)), key=lambda at: (not is_other[at], cells[at] not in seen, -apart[at]))[:EXAMPLES]
    mine = kind.outputs.predictions(model.output, given)
    yours = kind.outputs.predictions(model.output, theirs)
    return Golden(
        asked=len(single),
        otherwise=int(is_other.sum()),
        otherwise_at_corners=sum(bool(other) and row not in seen for other, row in zip(is_other, cells, strict=True)),
        what=what,
        median=_median(apart),
        largest=float(apart.max()),
        examples=[
            Change(
                inputs={name: shown(cell) for name, cell in zip(model.inputs, cells[at], strict=True)},
                release=_answer(mine[at]),
                champion=_answer(yours[at]),
                distance=float(apart[at]),
                is_corner=cells[at] not in seen,
            )
            for at in order
            if is_other[at] or apart[at] > model.tolerance
        ],
    )


def _in_order(answers: Array, labels: list[str], wanted: list[str]) -> Array:
    """A champion's probabilities in the order of model.yaml; a label that it does not know has none."""
    import numpy

    if not wanted:
        return numpy.asarray(answers, dtype="float64")
    ordered = numpy.zeros((len(answers), len(wanted)))
    ordered[:, [wanted.index(label) for label in labels]] = answers
    return ordered


def _median(values: Array) -> float:
    import numpy

    return float(numpy.median(values))


def _answer(prediction: dict[str, Any]) -> str:
    if "label" in prediction:
        return f"{prediction['label']} ({max(prediction['probabilities'].values()):.3f})"
    return wording.number(prediction["value"])


def _threshold(gates: Gates, name: str) -> str:
    bounds = (("at least", gates.minimum), ("at most", gates.maximum))
    return ", ".join(f"{words} {value:g}" for words, bound in bounds for metric, value in bound.items() if metric == name)


def _gates(
    work: Work, interface: Interface, validation: Validation, tested: Tested, evaluation: Evaluation, packaged: Packaged, verified: Verified
) -> list[Gate]:
    compared = evaluation.comparison
    thresholds = len(work.model.gates.minimum) + len(work.model.gates.maximum)
    against = "no champion to compare with" if compared is None else f"against champion {compared.champion}: {compared.verdict}"
    if evaluation.allowed_because:
        against += f", let through because: {evaluation.allowed_because}"
    apart = packaged.fallback_because or f"at most {wording.tiny(packaged.difference)} apart"
    found = {
        "data": f"{validation.expectations} expectations fulfilled",
        "interface": f"compared with champion {interface.compared_with}" if interface.compared_with else "no champion yet",
        "training-tests": f"{tested.passed} tests",
        "evaluation": f"{thresholds} {'threshold' if thresholds == 1 else 'thresholds'} kept; {against}",
        "oracle": f"served by {packaged.runtime}: {apart}",
        "golden": f"{packaged.golden_count} requests",
        "service": f"{verified.matched} answers as recorded",
    }
    links = {"data": f"{work.number}{VALIDATION_SUFFIX}"}
    return [
        Gate(name=name, verdict="pass", meaning=meaning, found=found[name], link=links.get(name, "")) for name, meaning in MEANINGS.items()
    ]


def _rollouts(work: Work) -> list[Rollout]:
    """Each stack whose file has the model; one whose file cannot be read is left out, since it cannot take anything over either."""
    found: dict[rollout.Policy, list[Stack]] = {}
    for path in sorted(work.root.glob("Pulumi.*.yaml")):
        name = path.name.split(".")[1]
        try:
            config = load_stack(work.root, name)
        except ConfigError:
            continue
        model = config.models.get(work.model.name)
        if model is not None:
            found.setdefault(model.policy(), []).append(Stack(name=name, target=config.target, champion=model.champion))
    return [_rollout(policy, stacks) for policy, stacks in found.items()]


def _rollout(policy: rollout.Policy, stacks: list[Stack]) -> Rollout:
    slo = policy.slo
    return Rollout(
        stacks=stacks,
        strategy=policy.strategy,
        stages=[
            Stage(name=str(each), percent=each.percent, seconds=each.seconds)
            for each in rollout.begin(policy, old=1, new=2, is_proven=False).stages
        ],
        slo=f"5xx at most {100 * slo.error_rate:g} %, p99 at most {slo.p99_ms:g} ms, judged on at least {policy.minimum_sample} requests",
        plan=rollout.describe(policy),
        way_back=rollout.describe_return(policy),
    )


def _lineage(work: Work, snapshot: Snapshot, trained: Trained, packaged: Packaged, imaged: Imaged, registered: Registered) -> list[Fact]:
    commit = of_folder(work.root, work.folder)
    parameters = {**trained.parameters, "seed": work.model.training.seed}
    dirty = " with uncommitted changes" if commit["dirty"] else ""
    found = [
        Fact(name="Commit", value=commit["sha"] + dirty, is_code=True),
        Fact(name="Code", value=work.code, is_code=True),
        Fact(name="Snapshot", value=snapshot.digest, is_code=True),
        Fact(name="Taken from", value=_source(work, snapshot)),
        Fact(name="Rows", value=f"{snapshot.rows}, of batches {snapshot.first} to {snapshot.last}; {trained.rows} to learn from"),
        Fact(name="Environment", value=work.environment, is_code=True),
        Fact(name="Python", value=".".join(map(str, sys.version_info[:3]))),
        Fact(name="Parameters", value=", ".join(f"{name} {value}" for name, value in parameters.items())),
        *([Fact(name="Search", value=wording.search(trained.search))] if trained.search else []),
        Fact(name="MLflow", value=f"version {registered.version}, run {registered.run}"),
        Fact(name="Trained model", value=trained.digest, is_code=True),
        Fact(name="Bento", value=packaged.digest, is_code=True),
        Fact(name="Runtime", value=packaged.runtime + (f": {packaged.fallback_because}" if packaged.fallback_because else "")),
        Fact(name="Golden requests", value=packaged.golden_digest, is_code=True),
    ]
    return found + ([Fact(name="Image", value=imaged.image, is_code=True)] if imaged.image else [])


def _source(work: Work, snapshot: Snapshot) -> str:
    """Where the rows came from; the file beside an older snapshot does not say what was asked."""
    path = work.file(snapshot.path).with_suffix(".json")
    about = json.loads(path.read_bytes()) if path.is_file() else {}
    return ", ".join(about[key] for key in ("source", "query", "taken-at") if key in about) or "not noted"
