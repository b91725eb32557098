"""A search over parameters: trials drawn by seed, each judged by cross-validation on the rows to learn from, never on the holdout.

What can end differently on a slower machine, such as a search cut short, would make another release of the same things: so a search that
does not end in its time fails, and gives nothing. Source of the draws and of the folds: scikit-learn's ParameterSampler and GroupKFold.
"""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import asdict, dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from pipelines import apart, kinds, rows
from pipelines.artifacts import Searched
from pipelines.bootstrap import Answers, measure
from pipelines.failures import StepFailed
from pipelines.model import LOWER_IS_BETTER, Model, Parameters, Range, Search
from pipelines.train import fit, with_parameters
from pipelines.work import Work

if TYPE_CHECKING:
    import pandas

FILE = "trials.json"
DIGITS = 6
"""A number drawn has so many significant digits: the record says in full what the model was trained with."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One set of parameters, and what it has in the metric over all rows to learn from. ``started`` is in seconds since 1970."""

    number: int
    parameters: Parameters
    value: float
    started: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """The best trial, and what is said of the search."""

    best: Trial
    searched: Searched


def search(work: Work, frame: pandas.DataFrame) -> Found:
    """Try the parameters that model.yaml's ``search`` asks for, and leave every trial in ``trials.json``. Of equal trials the first wins.

    ``frame``: the rows to learn from. Raises StepFailed that names the trial and its parameters when its model raises or gives no answers
    that can be judged, when the time is up, or when there are fewer rows than folds.
    """
    from sklearn.model_selection import GroupKFold

    model, asked = work.model, _asked(work.model)
    distinct = frame[rows.ROW].nunique()
    if distinct < asked.folds:
        raise _failed(work, "folds", "there are fewer rows to learn from than folds", got=distinct, allowed=f"at least {asked.folds}")
    # Rows of the same inputs stay together: else a trial would be judged on what it has seen.
    folds = list(GroupKFold(asked.folds, shuffle=True, random_state=_seed(model)).split(frame, groups=frame[rows.ROW]))
    wanted = draw(model)
    deadline = time.monotonic() + asked.time_limit_seconds
    trials: list[Trial] = []
    for number, parameters in enumerate(wanted, 1):
        # The step's log, whose end is shown when a trial never ends.
        print(f"trial {number} of {len(wanted)}: {shown(parameters)}", flush=True)
        began, started = time.monotonic(), time.time()
        judged: list[Answers] = []
        for learn, judge in folds:
            if time.monotonic() > deadline:
                raise _too_slow(work, asked, len(trials), len(wanted), parameters)
            judged.append(_answers(work, parameters, frame.iloc[learn], frame.iloc[judge], trial=f"trial {number} of {len(wanted)}"))
        value = _value(asked.metric, judged)
        print(f"  {asked.metric} {value:.6g}", flush=True)
        trials.append(Trial(number=number, parameters=parameters, value=value, started=started, seconds=round(time.monotonic() - began, 3)))
    (work.output / FILE).write_text(json.dumps([asdict(each) for each in trials], indent=1), encoding="utf-8")
    sign = -1 if asked.metric in LOWER_IS_BETTER else 1
    best = max(trials, key=lambda each: sign * each.value)
    searched = Searched(
        trials=len(trials), folds=asked.folds, metric=asked.metric, value=best.value, given=trials[0].value, file=work.name(FILE)
    )
    return Found(best=best, searched=searched)


def draw(model: Model) -> list[Parameters]:
    """The parameters of each trial, the same for the same seed: those of ``training.parameters``, then others; none twice.

    Fewer than ``trials`` where the space holds no more.
    """
    from sklearn.model_selection import ParameterSampler

    asked = _asked(model)
    space = {name: _distribution(each) for name, each in sorted(asked.space.items())}
    with warnings.catch_warnings():
        # A space of choices that holds fewer than were asked for is tried as a whole.
        warnings.filterwarnings("ignore", "The total space of parameters", UserWarning)
        drawn = list(ParameterSampler(space, asked.trials - 1, random_state=_seed(model)))
    given = model.training.parameters
    found = [given, *({**given, **{name: _plain(asked.space[name], value) for name, value in each.items()}} for each in drawn)]
    distinct: dict[str, Parameters] = {}
    for parameters in found:
        distinct.setdefault(shown(parameters), parameters)
    return list(distinct.values())


def read(work: Work, searched: Searched) -> list[Trial]:
    """Every trial of a search."""
    return [Trial(**each) for each in json.loads(work.file(searched.file).read_bytes())]


def shown(parameters: Parameters) -> str:
    """Parameters on one line, as they stand in model.yaml."""
    return json.dumps(parameters, ensure_ascii=False)


def _asked(model: Model) -> Search:
    if model.search is None:
        raise ValueError(f"{model.name} asks for no search")
    return model.search


def _seed(model: Model) -> int:
    asked = _asked(model)
    return model.training.seed if asked.seed is None else asked.seed


def _distribution(each: Range) -> Any:
    """What ParameterSampler draws from."""
    from scipy import stats  # type: ignore[import-untyped]

    if each.min is None or each.max is None:
        return each.choices
    if each.scale == "log":
        return stats.loguniform(each.min, each.max)
    # Both ends of a whole number are as likely as what lies between.
    return stats.randint(int(each.min), int(each.max) + 1) if each.type == "int" else stats.uniform(each.min, each.max - each.min)


def _plain(each: Range, value: Any) -> Any:
    """A value drawn as it stands in YAML; of choices, the one that was written there."""
    if each.min is None or each.max is None:
        return value
    if each.type == "int":
        return int(min(max(round(float(value)), each.min), each.max))
    return min(max(float(f"{float(value):.{DIGITS}g}"), each.min), each.max)


def _answers(work: Work, parameters: Parameters, learn: pandas.DataFrame, judge: pandas.DataFrame, *, trial: str) -> Answers:
    """What a model with these parameters answers on rows that it has not seen."""
    import numpy

    model, outputs = work.model, kinds.of(work.model).outputs
    try:
        fitted = fit(work.folder, with_parameters(model, parameters), learn)
        labels = outputs.labels(fitted)
        given = numpy.asarray(outputs.predict(fitted)(kinds.features(judge, model)), dtype="float64")
    except StepFailed as error:
        raise StepFailed(f"{trial} ({shown(parameters)}) {error.what}", where=error.where, got=error.got, allowed=error.allowed) from None
    except Exception as error:
        raise StepFailed(
            f"{trial} raised {type(error).__name__}: {error}",
            where=apart.place(error),
            got=parameters,
            allowed="parameters with which a model can be trained",
            act="mend train.py, or take these values out of search.space in model.yaml",
        ) from error
    wrong = outputs.wrong(given, len(judge), labels)
    if wrong is not None:
        what, got, allowed = wrong
        raise _failed(work, "space", f"{trial} ({shown(parameters)}): {what}", got=got, allowed=allowed)
    return outputs.judged(model.output, judge[model.output.column], given, labels)


def _value(metric: str, judged: list[Answers]) -> float:
    """The metric over the rows of all folds together."""
    import numpy

    def joined(one: Answers, other: Answers) -> Answers:
        return Answers(
            truth=numpy.concatenate([one.truth, other.truth]),
            predicted=numpy.concatenate([one.predicted, other.predicted]),
            probabilities=numpy.concatenate([one.probabilities, other.probabilities]),
        )

    answers = reduce(joined, judged)
    return round(float(measure(metric, answers, numpy.ones((1, len(answers.truth))))[0]), DIGITS)


def _too_slow(work: Work, asked: Search, done: int, wanted: int, parameters: Parameters) -> StepFailed:
    return _failed(
        work,
        "time-limit-seconds",
        f"the time was up with {done} of {wanted} trials done, in trial {done + 1} ({shown(parameters)})",
        got=f"more than {asked.time_limit_seconds:g} s",
        allowed="all trials: a search cut short would give another model on a slower machine",
        act="ask for fewer trials or folds, or give it longer",
    )


def _failed(work: Work, key: str, what: str, *, got: object, allowed: str, act: str = "change the search, or train.py") -> StepFailed:
    return StepFailed(what, where=f"models/{work.folder.name}/model.yaml: search.{key}", got=got, allowed=allowed, act=act)
