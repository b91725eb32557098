"""A snapshot too large to be held is judged part by part: Great Expectations measures each part, what it measured is joined, and it judges
what was joined. The verdicts are those of the whole; of a row, no more than its hash is kept.

Its metrics are joined by name: counts are added, histograms too, of offending rows the first are kept. What must know all rows at once
(how many values are distinct, which rows repeat) is found by 64-bit hashes. An expectation that measures anything else is left to
``validate``, which gives it its columns whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]

KEPT_ROWS = 50
"""So many offending rows of an expectation are told, as when a snapshot is held whole."""

MANY = 100_000
"""More distinct values of a column are not counted where any larger number is allowed."""

RUNTIME = {"result_format": {"result_format": "COMPLETE"}}
ADDED = ("unexpected_count", "table.row_count", "below_partition", "above_partition")
SAME = ("table.columns", "table.column_types", "unexpected_index_query")
FIRST = ("unexpected_values", "unexpected_index_list")
MISSING = "column.distinct_values.missing_from_column"
DISTINCT, PROPORTION, REPEATED = "column.distinct_values.count", "column.unique_proportion", "compound_columns.unique."

Metrics = dict[Any, Any]


def judged(parts: Iterable[pandas.DataFrame], built: Sequence[Any]) -> list[dict[str, Any] | None]:
    """Great Expectations' result of each expectation over all parts; None for one that cannot be joined.

    ``parts`` have the columns that the expectations name, and positions as their index. ``built`` are its expectations.
    """
    found: list[_Joined] = [_Joined(each) for each in built]
    for part in parts:
        calculator, engine = _calculator(part)
        asked = [each for each in found if each.take(engine)]
        measured = _measured(calculator, asked)
        for each in asked:
            each.add(part, measured)
    return [each.result() for each in found]


class _Joined:
    """What one expectation measured of the parts so far. ``is_left``: it cannot be joined."""

    def __init__(self, expectation: Any) -> None:
        self.expectation, self.is_left = expectation, False
        self.metrics: Metrics = {}
        self.names: dict[Any, str] = {}
        self.hashes: list[Array] = []
        self.rows = 0
        self.engine: Any = None
        self.configurations: list[Any] = []

    def take(self, engine: Any) -> bool:
        """Ask what is to be measured of a part; whether anything is."""
        if not self.is_left:
            wanted = self.expectation.get_validation_dependencies(execution_engine=engine, runtime_configuration=RUNTIME)
            self.configurations, self.engine = list(wanted.metric_configurations.values()), engine
            self.names = {each.id: each.metric_name for each in self.configurations}
            self.is_left = not all(_is_known(name, self.expectation) for name in self.names.values())
        return not self.is_left

    def wanted(self) -> list[Any]:
        """The metrics that Great Expectations measures of a part; those by hashes are found here."""
        return [each for each in self.configurations if not each.metric_name.startswith((DISTINCT, PROPORTION, REPEATED))]

    def add(self, part: pandas.DataFrame, measured: Metrics) -> None:
        """Join what was measured of a part."""
        if any(each.id not in measured for each in self.wanted()):
            self.is_left = True
            return
        for each in self.wanted():
            key, value = each.id, measured[each.id]
            self.metrics[key] = (
                _joined(each.metric_name, self.metrics[key], value) if key in self.metrics else _first(each.metric_name, value)
            )
        if len(self.wanted()) < len(self.configurations):
            self._hash(part)

    def _hash(self, part: pandas.DataFrame) -> None:
        import numpy

        kwargs = self.expectation.configuration.kwargs
        if "column" in kwargs:
            values = part[kwargs["column"]].dropna()
            self.rows += len(values)
            if self.is_counted_out():
                return
            self.hashes = [_distinct(numpy.concatenate([*self.hashes, _hashed(values.to_frame())]))]
        else:
            rows = part[list(kwargs["column_list"])]
            self.rows += int(rows.notna().any(axis=1).sum())
            self.hashes.append(_hashed(rows))

    def is_counted_out(self) -> bool:
        """Whether there are more distinct values than anybody asks about: only a least number is allowed, and it is reached by far."""
        kwargs = self.expectation.configuration.kwargs
        is_count = DISTINCT in self.names.values() and kwargs.get("max_value") is None
        return is_count and bool(self.hashes) and len(self.hashes[0]) > max(MANY, kwargs.get("min_value") or 0)

    def result(self) -> dict[str, Any] | None:
        """Great Expectations' own judgement of what was joined."""
        if self.is_left or not self.names:
            return None
        names = self.names.values()
        of_hashes: Mapping[str, Any] = {}
        if any(name.startswith(REPEATED) for name in names):
            count, first = _repeated(self.hashes)
            of_hashes = {
                "unexpected_count": count,
                "filtered_row_count": self.rows,
                "unexpected_index_list": first,
                "unexpected_values": [],
            }
        elif self.hashes:
            distinct = len(self.hashes[0])
            of_hashes = {DISTINCT: distinct, PROPORTION: distinct / self.rows if self.rows else 0}
        for key, name in self.names.items():
            if key not in self.metrics:
                self.metrics[key] = of_hashes.get(name.removeprefix(REPEATED))
        missing = next((self.metrics[key] for key, name in self.names.items() if name == MISSING), None)
        for key, name in self.names.items():
            if name == f"{MISSING}.count" and missing is not None:
                self.metrics[key] = len(missing)
        answer = self.expectation.metrics_validate(self.metrics, runtime_configuration=RUNTIME, execution_engine=self.engine)
        document: dict[str, Any] = answer.to_json_dict()
        if self.is_counted_out():
            document["result"]["observed_value"] = f"more than {MANY}"
        return document


def _calculator(part: pandas.DataFrame) -> tuple[Any, Any]:
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.validator.metrics_calculator import MetricsCalculator

    engine = PandasExecutionEngine(batch_data_dict={"part": part})
    return MetricsCalculator(engine, show_progress_bars=False), engine


def _measured(calculator: Any, asked: Sequence[_Joined]) -> Metrics:
    """What can be measured of a part: all at once, so that what expectations share is measured once."""
    found, failed = calculator.compute_metrics([metric for each in asked for metric in each.wanted()], runtime_configuration=RUNTIME)
    return {key: value for key, value in found.items() if key not in failed}


def _is_known(name: str, expectation: Any) -> bool:
    kwargs = expectation.configuration.kwargs
    if name.startswith(REPEATED):
        return bool(kwargs.get("ignore_row_if", "all_values_are_missing") == "all_values_are_missing")
    known = (*ADDED, *SAME, *FIRST, "column.histogram", "column.value_counts", MISSING, f"{MISSING}.count", DISTINCT, PROPORTION)
    return name in known or _is_added(name) or name.rpartition(".")[2] in (*SAME, *FIRST)


def _is_added(name: str) -> bool:
    """Whether a metric is a number of rows."""
    first, _, last = name.rpartition(".")
    return name in ADDED or last in ADDED or (first.startswith("column_values.") and last == "count")


def _first(name: str, value: Any) -> Any:
    return value[:KEPT_ROWS] if name.rpartition(".")[2] in FIRST else value


def _joined(name: str, before: Any, value: Any) -> Any:
    """A metric of the parts before and of this one, as it is of both together."""
    last = name.rpartition(".")[2]
    if _is_added(name):
        return before + value
    if last in FIRST:
        return [*before, *value][:KEPT_ROWS]
    if name == MISSING:
        return [each for each in before if each in value]
    return _JOINS.get(name, lambda before, _: before)(before, value)


def _counts(before: Any, value: Any) -> Any:
    """Rows of each value; pandas gives the sum back as fractions."""
    return before.add(value, fill_value=0).astype("int64").rename("count").rename_axis("value")


def _histogram(before: Any, value: Any) -> Any:
    return [one + other for one, other in zip(before, value, strict=True)]


_JOINS: Mapping[str, Callable[[Any, Any], Any]] = {"column.histogram": _histogram, "column.value_counts": _counts}


def _hashed(frame: pandas.DataFrame) -> Array:
    """One number for each row; the zero below zero is the same value as zero, and gets the same."""
    import pandas

    floats = frame.select_dtypes("float")
    found: Array = pandas.util.hash_pandas_object(
        frame.assign(**{str(name): floats[name] + 0.0 for name in floats}), index=False
    ).to_numpy()
    return found


def _distinct(hashes: Array) -> Array:
    """Each once, ascending; by sorting, since numpy's own way takes minutes for millions."""
    import numpy

    ordered = numpy.sort(hashes)
    found: Array = ordered[numpy.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered
    return found


def _repeated(parts: Sequence[Array]) -> tuple[int, list[int]]:
    """How many rows have the hash of another row, and the first of them; in memory for the hashes twice."""
    import numpy

    ordered = numpy.concatenate(parts)
    ordered.sort()
    twice = _distinct(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    if not len(twice):
        return 0, []
    of_part = [numpy.flatnonzero(twice[numpy.searchsorted(twice, each).clip(max=len(twice) - 1)] == each) for each in parts]
    starts = numpy.cumsum([0, *map(len, parts)])
    first = [int(start + at) for start, places in zip(starts, of_part, strict=False) for at in places[:KEPT_ROWS]]
    return sum(map(len, of_part)), first[:KEPT_ROWS]
