"""Step 3, validate: the snapshot fulfils its Great Expectations suite (schema and distributions), or nothing is trained on it."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import kinds, rows
from pipelines.artifacts import Snapshot, Validation
from pipelines.failures import GateFailed, StepFailed
from pipelines.model import Model, as_cell
from pipelines.work import Work

if TYPE_CHECKING:
    import pandas

SHOWN_ROWS = 5
HELD_BACK = 0.005
"""Weight given to what the reference never saw, so that one such value gives a finite divergence rather than an infinite one."""


def validate(work: Work, snapshot: Snapshot) -> Validation:
    """Check a snapshot against the schema in model.yaml and the reference histograms.

    Raises GateFailed (``data``) that names the first failed expectation, its column, what was observed and the rows; the others are in the
    report beside it.
    """
    frame = rows.read(work.file(snapshot.path))
    results = run_suite(frame, work.model, reference(work.folder, work.model))
    report = work.output / "report.json"
    report.write_text(json.dumps(results, indent=1, default=str), encoding="utf-8")
    failed = [each for each in results if not each["success"]]
    if failed:
        raise _refusal(work, snapshot, frame, failed)
    return Validation(expectations=len(results), report=work.name("report.json"))


def reference(folder: Path, model: Model) -> dict[str, Any]:
    """The reference histograms of a model, from the file that model.yaml names. Raises StepFailed."""
    path = folder / model.data.reference
    shown = f"models/{folder.name}/{model.data.reference}"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        columns: dict[str, Any] = document["columns"]
        histograms = {name: _as_shares(each) for name, each in columns.items()}
        missing = [name for name in _compared(model) if name not in histograms]
    except FileNotFoundError:
        raise StepFailed("there is no reference to compare the data with", where=shown, act=_make(folder)) from None
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise StepFailed(f"is no reference file: {error}", where=shown, act=_make(folder)) from None
    if missing:
        raise StepFailed("the reference lacks columns of model.yaml", where=shown, got=missing, act=_make(folder))
    return histograms


def _as_shares(histogram: dict[str, Any]) -> dict[str, Any]:
    """Counts as weights that sum to 1, as Great Expectations takes them."""
    counts = histogram["counts"]
    shares = {"weights": [count / sum(counts) for count in counts]}
    return shares | {key: value for key, value in histogram.items() if key != "counts"}


def run_suite(frame: pandas.DataFrame, model: Model, histograms: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the suite over a snapshot's rows; the results as plain values, in the order in which a person wants to hear of failures."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
        from great_expectations.core.batch_definition import BatchDefinition
        from great_expectations.datasource.fluent.interfaces import Batch

        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        data = _with_measures(frame.drop(columns=[name for name in rows.OWN_COLUMNS if name in frame.columns]), model)
        definition: BatchDefinition[Any] = (
            context.data_sources.add_pandas("snapshot").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
        )
        batch: Batch = definition.get_batch({"dataframe": data})
        suite = gx.ExpectationSuite(name=model.name, expectations=_expectations(set(data.columns), model, histograms))
        order = {(each.expectation_type, getattr(each, "column", None)): at for at, each in enumerate(suite.expectations)}
        results = [_plain(each) for each in batch.validate(suite, result_format="COMPLETE").results]
    return sorted(results, key=lambda each: order.get((each["expectation"], each["column"]), 0))


def _expectations(present: set[str], model: Model, histograms: dict[str, Any]) -> list[Any]:
    """Schema first: a distribution of a column of text says nothing. Then the output's: when it shifts, so do the inputs'."""
    import great_expectations.expectations as expect

    kind = kinds.of(model)
    columns = list(dict.fromkeys([*model.inputs, model.output.column, *_compared(model)]))
    suite: list[Any] = [
        expect.ExpectTableColumnsToMatchSet(column_set=columns, exact_match=True),
        expect.ExpectTableRowCountToBeBetween(min_value=model.data.minimum_rows),
    ]
    for name, each in model.inputs.items():
        if name in present:
            suite += kind.inputs.expectations(name, each)
    if model.output.column in present:
        suite += kind.outputs.expectations(model.output)
    suite += [_divergence(name, model, histograms[name]) for name in _compared(model) if name in present]
    return suite


def _compared(model: Model) -> list[str]:
    """The columns whose distributions are compared with the reference."""
    return [model.output.column, *map(kinds.of(model).inputs.measure, model.inputs)]


def _with_measures(frame: pandas.DataFrame, model: Model) -> pandas.DataFrame:
    """The rows, and what is measured of their inputs where that is not the input itself."""
    measured = kinds.of(model).inputs.measured(frame, [name for name in model.inputs if name in frame.columns])
    return frame.assign(**{str(name): measured[name] for name in measured if name not in frame.columns})


def _divergence(column: str, model: Model, histogram: dict[str, Any]) -> Any:
    import great_expectations.expectations as expect

    held_back = {"internal_weight_holdout": HELD_BACK, "tail_weight_holdout": HELD_BACK} if "bins" in histogram else {}
    return expect.ExpectColumnKLDivergenceToBeLessThan(
        column=column, partition_object=histogram, threshold=model.data.maximum_divergence, **held_back
    )


def _plain(result: Any) -> dict[str, Any]:
    document = result.to_json_dict()
    found = document["result"] or {}
    arguments = {
        key: value for key, value in document["expectation_config"]["kwargs"].items() if key not in {"batch_id", "partition_object"}
    }
    return {
        "expectation": document["expectation_config"]["type"],
        "column": arguments.pop("column", None),
        "arguments": arguments,
        "success": bool(document["success"]),
        "observed": found.get("observed_value"),
        "unexpected": found.get("unexpected_list", []),
        "rows": found.get("unexpected_index_list", []),
        "exception": (document["exception_info"] or {}).get("exception_message"),
    }


def _refusal(work: Work, snapshot: Snapshot, frame: pandas.DataFrame, failed: list[dict[str, Any]]) -> GateFailed:
    first = failed[0]
    column = first["column"]
    positions = list(first["rows"] or [])
    if first["expectation"] == "expect_column_values_to_be_of_type":
        kind = work.model.inputs[column].type if column in work.model.inputs else "float"
        positions = [at for at, cell in enumerate(frame[column]) if as_cell(cell, kind) is None]
    observed = first["observed"] if first["observed"] is not None else first["unexpected"][:SHOWN_ROWS] or first["exception"]
    if positions and column is not None:
        observed = [frame[column].iloc[at] for at in positions[:SHOWN_ROWS]]
    places = ", ".join(f"{frame[rows.BATCH].iloc[at]} line {frame[rows.LINE].iloc[at]}" for at in positions[:SHOWN_ROWS])
    more = f" and {len(positions) - SHOWN_ROWS} more" if len(positions) > SHOWN_ROWS else ""
    others = f"; {len(failed) - 1} more failed: {', '.join(_named(each) for each in failed[1:4])}" if len(failed) > 1 else ""
    of = f"column '{column}'" if column else "the table"
    return GateFailed(
        "data",
        f"{first['expectation']} failed for {of}{others}",
        where=f"snapshot of {snapshot.first} to {snapshot.last}" + (f", {places}{more}" if places else ""),
        got=str(observed),
        allowed=", ".join(f"{key} {value}" for key, value in first["arguments"].items()),
        act=f"mend these rows at their source, then run again; nothing was trained. All results: {work.trace('report.json')}",
    )


def _named(each: dict[str, Any]) -> str:
    return f"{each['expectation']} ({each['column']})" if each["column"] else str(each["expectation"])


def _make(folder: Path) -> str:
    return f"make it from data that you trust, and read it before you commit it: python -m pipelines reference {folder.name}"
