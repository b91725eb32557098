"""Step 3, validate: the snapshot fulfils its suite (schema and distributions, Great Expectations), or nothing is trained on it."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.release import file_digest
from pipelines import kinds, parts, rows, suite
from pipelines.artifacts import Snapshot, Validation
from pipelines.failures import GateFailed, StepFailed
from pipelines.model import Model, as_cell
from pipelines.parts import KEPT_ROWS
from pipelines.work import Work

if TYPE_CHECKING:
    import pandas

TYPE = "expect_column_values_to_be_of_type"
SHOWN_ROWS = 5
PART_ROWS = 1 << 18
"""A snapshot of more rows is not held whole."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """An expectation and what was observed. ``rows`` are positions of rows that do not fulfil it, the first of ``offending``.

    ``reference`` and ``seen`` are the shares of a distribution that were compared.
    """

    expectation: str
    column: str | None
    arguments: dict[str, Any]
    success: bool
    observed: Any = None
    offending: int = 0
    rows: tuple[int, ...] = ()
    reference: tuple[float, ...] = ()
    seen: tuple[float, ...] = ()


def validate(work: Work, snapshot: Snapshot) -> Validation:
    """Hold a snapshot against the suite of its model, and leave a page that shows each expectation and what was observed.

    Raises GateFailed (``data``) that names the first failed expectation, its column, what was observed and the rows; StepFailed when the
    suite is none.
    """
    from pipelines.card.result import result_page

    asked, path = suite.read(work.folder, work.model), work.file(snapshot.path)
    if snapshot.rows <= PART_ROWS:
        frame = rows.read(path)
        results = shown = run_suite(frame, work.model, asked)
    else:
        results = run_suite_in_parts(path, work.model, asked, size=PART_ROWS)
        frame, shown = _offending(path, results)
    report, page = work.output / "report.json", work.output / "report.html"
    report.write_text(json.dumps([asdict(each) for each in results], indent=1, default=str), encoding="utf-8")
    page.write_text(result_page(work, snapshot, frame, shown), encoding="utf-8")
    failed = [each for each in shown if not each.success]
    if failed:
        raise _refusal(work, snapshot, frame, failed)
    return Validation(expectations=len(results), report=work.name(report.name), page=work.name(page.name), page_digest=file_digest(page))


def run_suite(frame: pandas.DataFrame, model: Model, expectations: Sequence[suite.Expectation]) -> list[Result]:
    """What a snapshot's rows give for each expectation, in the suite's order. Raises StepFailed for what is no expectation."""
    data = suite.with_measures(frame.drop(columns=[name for name in rows.OWN_COLUMNS if name in frame.columns]), model)
    asked = [at for at, each in enumerate(expectations) if _columns(each) <= set(data.columns)]
    answers = dict(zip(asked, _ask(data, model, [expectations[at] for at in asked]), strict=True))
    gone = "the column is missing"
    return [
        _with_rows(_plain(each, answers[at]), frame, model) if at in answers else replace(_plain(each, {}), observed=gone)
        for at, each in enumerate(expectations)
    ]


def run_suite_in_parts(path: Path, model: Model, expectations: Sequence[suite.Expectation], *, size: int) -> list[Result]:
    """The same of a file, of which ``size`` rows are held at a time; see ``pipelines.parts``."""
    known = [name for name in rows.names(path) if name not in rows.OWN_COLUMNS]
    few = next(rows.parts(path, 1, known))
    columns = set(suite.with_measures(few, model).columns)
    asked = [at for at, each in enumerate(expectations) if _columns(each) <= columns]
    with _quiet(), _asked(model):
        built = [_built(expectations[at], model) for at in asked]
        found = parts.judged((suite.with_measures(each, model) for each in rows.parts(path, size, known)), built)
    joined = {at: _plain(expectations[at], each) for at, each in zip(asked, found, strict=True) if each is not None}
    return [_of_type(joined[at], path, model, size) if at in joined else _whole(path, model, each) for at, each in enumerate(expectations)]


def _whole(path: Path, model: Model, each: suite.Expectation) -> Result:
    """What only the whole of its columns tells: these are read, and no other."""
    measured = {kinds.of(model).inputs.measure(name): name for name in model.inputs}
    wanted = {measured.get(name, name) for name in _columns(each)} or {*model.inputs, model.output.column}
    there = [name for name in rows.names(path) if name in wanted]
    (result,) = run_suite(rows.read(path, there), model, [each])
    return result


def _of_type(result: Result, path: Path, model: Model, size: int) -> Result:
    """The offending rows of a column of another type, as ``_with_rows`` finds them, the first of them named."""
    if result.success or result.expectation != TYPE:
        return result
    found, count = [], 0
    for each in rows.parts(path, size, [str(result.column)]):
        here = _with_rows(result, each, model)
        found += [int(each.index[at]) for at in here.rows]
        count += here.offending
    return replace(result, rows=tuple(found[:KEPT_ROWS]), offending=count)


def _offending(path: Path, results: Sequence[Result]) -> tuple[pandas.DataFrame, list[Result]]:
    """The rows that the results name, and the results with the places of their rows among these."""
    import pandas

    named = sorted({at for each in results for at in each.rows})
    picked = [each.loc[each.index.intersection(named)] for each in rows.parts(path, PART_ROWS)]
    where = {at: place for place, at in enumerate(named)}
    return pandas.concat(picked, ignore_index=True), [replace(each, rows=tuple(where[at] for at in each.rows)) for each in results]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Great Expectations without its warnings and its own log."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
        yield


@contextlib.contextmanager
def _asked(model: Model) -> Iterator[None]:
    """What Great Expectations meets before it judges, such as a distribution that is none, as an error that names the suite."""
    try:
        yield
    except (StepFailed, OSError, MemoryError):
        raise
    except Exception as error:  # told by errors of many types
        raise StepFailed(
            f"cannot be asked of this data: {type(error).__name__}: {' '.join(str(error).split())[:300]}",
            where=_suite_of(model),
            act=f"mend what was edited by hand, or make the suite anew: make expectations MODEL={model.name}",
        ) from error


def _suite_of(model: Model) -> str:
    return f"models/{model.name.replace('-', '_')}/{model.data.expectations}"


def _ask(data: pandas.DataFrame, model: Model, expectations: Sequence[suite.Expectation]) -> list[dict[str, Any]]:
    """Great Expectations' own results, in the order of the expectations."""
    with _quiet():
        import great_expectations as gx
        from great_expectations.core.batch_definition import BatchDefinition
        from great_expectations.datasource.fluent.interfaces import Batch

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        definition: BatchDefinition[Any] = (
            context.data_sources.add_pandas("snapshot").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
        )
        batch: Batch = definition.get_batch({"dataframe": data})
        # Results come in an order of their own; the place in the suite travels with each.
        built = [_built({**each, "meta": {"place": at}}, model) for at, each in enumerate(expectations)]
        with _asked(model):
            found = batch.validate(gx.ExpectationSuite(name=model.name, expectations=built), result_format="COMPLETE").results
    documents = [each.to_json_dict() for each in found]
    return sorted(documents, key=lambda each: int(each["expectation_config"]["meta"]["place"]))


def _built(each: suite.Expectation, model: Model) -> Any:
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    try:
        return ExpectationConfiguration(**each).to_domain_obj()
    except Exception as error:  # what is no expectation is told by errors of many types
        raise StepFailed(
            f"{suite.named(each)} is no expectation: {' '.join(str(error).split())[:300]}",
            where=_suite_of(model),
            allowed="type and kwargs as Great Expectations takes them",
            act="correct or remove it",
        ) from None


def _columns(each: suite.Expectation) -> set[str]:
    kwargs = each["kwargs"]
    named = (kwargs.get(key) for key in ("column", "column_A", "column_B"))
    return {*(name for name in named if name), *kwargs.get("column_list", ())}


def _plain(each: suite.Expectation, document: dict[str, Any]) -> Result:
    found = document.get("result") or {}
    details = found.get("details") or {}
    arguments = {key: value for key, value in each["kwargs"].items() if key not in {"column", "partition_object"}}
    observed = details.get("mismatched") or found.get("observed_value")
    if found.get("partial_missing_list"):
        observed = f"missing: {', '.join(sorted(map(str, found['partial_missing_list'])))}"
    if observed is None:
        observed = _exception(document) or (f"{found['unexpected_percent']:.3g} % of the rows" if found.get("unexpected_percent") else None)
    positions = found.get("unexpected_index_list") or []
    return Result(
        expectation=each["type"],
        column=each["kwargs"].get("column"),
        arguments=arguments,
        success=bool(document.get("success")),
        observed=observed,
        offending=int(found.get("unexpected_count") or 0),
        rows=tuple(positions[:KEPT_ROWS]),
        reference=_shares(details.get("expected_partition")),
        seen=_shares(details.get("observed_partition")),
    )


def _shares(partition: dict[str, Any] | None) -> tuple[float, ...]:
    """The weights of a distribution; of a column without a cell they are no numbers, and are shown as none."""
    return tuple(float(each or 0) for each in (partition or {}).get("weights", ()))


def _exception(document: dict[str, Any]) -> str | None:
    """What Great Expectations met in place of a result: one exception, or one for each thing that it tried to measure."""
    info = document.get("exception_info") or {}
    told = [info, *(each for each in info.values() if isinstance(each, dict))]
    return next((str(each["exception_message"]) for each in told if each.get("exception_message")), None)


def _with_rows(result: Result, frame: pandas.DataFrame, model: Model) -> Result:
    """A column of another type as a whole: the cells that made it so are its offending rows."""
    if result.success or result.expectation != TYPE or result.column is None:
        return result
    kind = model.inputs[result.column].type if result.column in model.inputs else "float"
    positions = [at for at, cell in enumerate(frame[result.column]) if as_cell(cell, kind) is None]
    return replace(result, rows=tuple(positions[:KEPT_ROWS]), offending=len(positions))


def _refusal(work: Work, snapshot: Snapshot, frame: pandas.DataFrame, failed: list[Result]) -> GateFailed:
    first = failed[0]
    shown = list(first.rows[:SHOWN_ROWS])
    cells = [name for name in [first.column, *first.arguments.get("column_list", ())] if name in frame.columns]
    observed = first.observed
    if shown and cells:
        observed = (frame[cells[0]] if len(cells) == 1 else frame[cells].apply(tuple, axis=1)).iloc[shown].tolist()
    places = ", ".join(f"{frame[rows.BATCH].iloc[at]} line {frame[rows.LINE].iloc[at]}" for at in shown)
    more = f" and {first.offending - SHOWN_ROWS} more" if first.offending > SHOWN_ROWS else ""
    others = f"; {len(failed) - 1} more failed: {', '.join(_named(each) for each in failed[1:4])}" if len(failed) > 1 else ""
    of = f"column '{first.column}'" if first.column else "the table"
    return GateFailed(
        "data",
        f"{first.expectation} failed for {of}{others}",
        where=f"snapshot of {snapshot.first} to {snapshot.last}" + (f", {places}{more}" if places else ""),
        got=str(observed),
        allowed=", ".join(f"{key} {value}" for key, value in first.arguments.items()),
        act="mend these rows at their source, then run again; nothing was trained. If the world has changed, make the suite anew: "
        f"make expectations MODEL={work.model.name}. All results: {work.trace('report.html')}",
    )


def _named(each: Result) -> str:
    return f"{each.expectation} ({each.column})" if each.column else each.expectation
