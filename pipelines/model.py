"""``model.yaml``: what a data scientist writes about a model, typed and checked once.

Unknown and duplicate keys are refused. Every default of the pipeline stands here.
"""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from infra.errors import ConfigError
from infra.release import MODEL_NAME
from pipelines.orchestrated import DEFAULT as DEFAULT_SCHEDULE
from pipelines.orchestrated import cron_of

KindName = Literal["tabular", "text", "regression"]
MetricName = Literal["accuracy", "macro-f1", "log-loss", "mae", "rmse", "r2"]
LOWER_IS_BETTER: frozenset[MetricName] = frozenset({"log-loss", "mae", "rmse"})
SHARES: frozenset[MetricName] = frozenset({"accuracy", "macro-f1"})
"""From 0 to 1."""
METRICS: dict[str, tuple[MetricName, ...]] = {"class": ("accuracy", "macro-f1", "log-loss"), "value": ("mae", "rmse", "r2")}
"""Type of the output -> what is measured on the holdout."""

TAKES_AND_GIVES: dict[KindName, tuple[frozenset[str], str]] = {
    "tabular": (frozenset({"float", "int"}), "class"),
    "text": (frozenset({"text"}), "class"),
    "regression": (frozenset({"float", "int"}), "value"),
}
"""Kind -> the types that its inputs may have, and the type of its output."""

Parameters = dict[str, str | int | float | bool | None]
"""What a data scientist may set, by name."""

Column = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
MAX_FILE_BYTES = 200_000
TOLERANCE = 1e-5
"""Of what two answers can be apart: what single precision costs."""


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True
    )


class Input(_Section):
    """One input: requests and training data outside of ``min`` to ``max`` are refused; of a text, these are lengths in characters."""

    type: Literal["float", "int", "text"]
    min: float
    max: float
    unit: str = ""
    maximum_duplicates: float = Field(0.05, ge=0, le=1, description="Of a text: share of the rows that may repeat another.")

    @model_validator(mode="after")
    def _ordered(self) -> Input:
        if self.min >= self.max:
            raise ValueError(f"min must be below max, not {self.min} and {self.max}")
        if self.type == "text" and not (self.min >= 1 and self.min.is_integer() and self.max.is_integer()):
            raise ValueError(f"the length of a text is a whole number from 1 on, not {self.min} to {self.max}")
        if self.type != "text" and "maximum_duplicates" in self.model_fields_set:
            raise ValueError("maximum-duplicates is for texts only")
        return self


class Output(_Section):
    """What the model answers, and the column of the data that holds the truth: one of ``labels``, or a value from ``min`` to ``max``."""

    type: Literal["class", "value"]
    column: Column
    labels: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field([], min_length=2, max_length=1000)
    min: float | None = Field(None, description="Of a value: the lowest that the data may hold.")
    max: float | None = Field(None, description="Of a value: the highest that the data may hold.")
    unit: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Output:
        if self.type == "class" and (not self.labels or self.model_fields_set & {"min", "max", "unit"}):
            raise ValueError("a class has labels, and neither min, max nor unit")
        if self.type == "value" and (self.labels or self.min is None or self.max is None or self.min >= self.max):
            raise ValueError("a value has min and max, min below max, and no labels")
        return self

    @property
    def reach(self) -> float:
        """How far two answers can be apart: a probability 1, a value the width of its range."""
        return 1.0 if self.min is None or self.max is None else self.max - self.min

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: list[str]) -> list[str]:
        if len(set(labels)) < len(labels):
            raise ValueError("labels must differ from each other")
        if labels != sorted(labels):
            raise ValueError(f"labels stand in alphabetical order, as scikit-learn gives their probabilities: {sorted(labels)}")
        return labels


class Data(_Section):
    """Where the rows come from and what they must be like before anything is trained on them."""

    source: Literal["files", "python"] = Field(
        "files", description="files: the folder 'batches'; python: the function batches() of the model's data.py."
    )
    batches: str = Field("data/batches", description="Folder of CSV files, one a batch, named by the date on which it arrives.")
    time_limit_seconds: float = Field(600, gt=0, description="How long data.py may take.")
    first_until: date | None = Field(None, description="The first release is made from the batches up to this date.")
    minimum_rows: int = Field(gt=0)
    expectations: str = Field("expectations.yaml", description="The suite that the data must fulfil; made by `make expectations`.")
    maximum_divergence: float = Field(0.1, gt=0, description="Kullback-Leibler divergence from the reference, in nats.")


class Training(_Section):
    """What ``estimator(parameters, seed)`` of train.py is called with, and how long fitting may take."""

    seed: int = Field(0, ge=0, le=2**32 - 1)
    parameters: Parameters = {}
    time_limit_seconds: float = Field(600, gt=0)
    trusted_types: list[str] = Field([], description="Types beyond scikit-learn's own that the saved model may hold.")


class Range(_Section):
    """What a parameter may be in a search: one of ``choices``, or a number from ``min`` to ``max``."""

    choices: list[str | int | float | bool | None] = Field([], min_length=2, max_length=1000)
    type: Literal["float", "int"] = "float"
    min: float | None = Field(None, description="The lowest value; with max, in place of choices.")
    max: float | None = Field(None, description="The highest value; with min, in place of choices.")
    scale: Literal["linear", "log"] = Field("linear", description="log: as many trials from 0.1 to 1 as from 1 to 10.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Range:
        if self.choices and len(self.model_fields_set) > 1:
            raise ValueError("give choices, or min and max, not both")
        if self.choices:
            return self
        if self.min is None or self.max is None or self.min >= self.max:
            raise ValueError("holds nothing to try: give choices, or min and max, min below max")
        if self.type == "int" and not (self.min.is_integer() and self.max.is_integer()):
            raise ValueError(f"min and max of type int are whole numbers, not {self.min:g} and {self.max:g}")
        if self.scale == "log" and self.min <= 0:
            raise ValueError(f"scale log needs min above 0, not {self.min:g}")
        return self


class Search(_Section):
    """Trials of other parameters before the model is trained; each is judged by cross-validation on the rows to learn from."""

    trials: int = Field(ge=2, le=500, description="How many sets of parameters to try; the first is that of training.parameters.")
    space: dict[str, Range] = Field(min_length=1, description="Each parameter to vary, of training.parameters.")
    metric: MetricName = Field(description="What the best trial is best in.")
    direction: Literal["maximise", "minimise"] | None = Field(None, description="Of the metric, for who reads the file.")
    folds: int = Field(3, ge=2, le=20, description="A trial learns from all parts but one and is judged on that one, for each in turn.")
    seed: int | None = Field(None, ge=0, le=2**32 - 1, description="Draws the trials and the folds; training.seed unless given.")
    time_limit_seconds: float = Field(gt=0, description="For all trials; they come before the time limit of training.")


class ComparisonGate(_Section):
    """When a challenger is good enough beside the champion: not worse than by ``margin`` (non-inferiority)."""

    metric: MetricName = "accuracy"
    margin: float = Field(ge=0)
    minimum_rows: int = Field(30, gt=0)
    insufficient_evidence: Literal["block", "allow"] = "block"
    allowed_because: str = ""

    @model_validator(mode="after")
    def _says_why(self) -> ComparisonGate:
        if self.insufficient_evidence == "allow" and not self.allowed_because.strip():
            raise ValueError("'insufficient-evidence: allow' needs its reason in 'allowed-because'; it goes into the record")
        if self.metric in SHARES and self.margin >= 1:
            raise ValueError(f"a margin in {self.metric} is below 1, not {self.margin:g}: no model could be worse by more")
        return self


class Gates(_Section):
    """Thresholds on the holdout: the value itself, not its interval, is held against ``minimum`` and ``maximum``."""

    minimum: dict[MetricName, float] = {}
    maximum: dict[MetricName, float] = {}
    comparison: ComparisonGate
    test_seconds: float = Field(300, gt=0)

    @field_validator("minimum")
    @classmethod
    def _of_more(cls, minimum: dict[MetricName, float]) -> dict[MetricName, float]:
        for metric, value in minimum.items():
            if metric in LOWER_IS_BETTER:
                raise ValueError(f"of {metric} less is better: hold it under maximum")
            if metric in SHARES and not 0 < value <= 1:
                raise ValueError(f"{metric} is above 0 and at most 1, not {value:g}")
        return minimum

    @field_validator("maximum")
    @classmethod
    def _of_less(cls, maximum: dict[MetricName, float]) -> dict[MetricName, float]:
        for metric in maximum:
            if metric not in LOWER_IS_BETTER:
                raise ValueError(f"of {metric} more is better: hold it under minimum")
        return maximum

    @model_validator(mode="after")
    def _something(self) -> Gates:
        if not self.minimum and not self.maximum:
            raise ValueError("give at least one threshold, such as minimum: {accuracy: 0.8}")
        return self


class Model(_Section):
    """A model folder's ``model.yaml``."""

    name: str = Field(pattern=f"^{MODEL_NAME}$")
    kind: KindName = Field("tabular", description="tabular: numbers to a class; text: a text to a class; regression: numbers to a value.")
    description: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    inputs: dict[Column, Input] = Field(min_length=1, max_length=1000)
    output: Output
    data: Data
    holdout: float = Field(0.3, gt=0, lt=0.9, description="Share of the rows that no release is ever trained on.")
    training: Training = Training()
    search: Search | None = Field(None, description="Off unless it is there.")
    gates: Gates
    golden: int = Field(40, ge=30, le=10_000, description="Number of golden requests.")
    tolerance: float = Field(
        default_factory=lambda found: TOLERANCE * found["output"].reach if "output" in found else TOLERANCE,
        gt=0,
        description="How far a probability or value may be from scikit-learn's; at most a hundredth of what two answers can be apart.",
    )
    maximum_rows: int = Field(1000, gt=0, le=100_000, description="Rows in one request.")
    memory_limit_mib: int | None = Field(
        None, ge=1, description="What each step of a run may take, with all that it starts, in MiB; unless given, 75 % of the machine's."
    )
    schedule: str = Field(DEFAULT_SCHEDULE, description="When an orchestrator makes a release, in UTC, and whenever data arrives.")

    @field_validator("schedule")
    @classmethod
    def _plain(cls, schedule: str) -> str:
        cron_of(schedule)
        return schedule

    @model_validator(mode="after")
    def _label_apart(self) -> Model:
        if self.output.column in self.inputs:
            raise ValueError(f"'{self.output.column}' is an input and the output")
        return self

    @model_validator(mode="after")
    def _search_fits(self) -> Model:
        search = self.search
        if search is None:
            return self
        unknown = [name for name in search.space if name not in self.training.parameters]
        if unknown:
            known = ", ".join(self.training.parameters) or "nothing yet"
            raise ValueError(f"search.space varies {', '.join(unknown)}, which training.parameters does not hold; it holds {known}")
        if search.metric not in METRICS[self.output.type]:
            raise ValueError(f"search.metric is one of {', '.join(METRICS[self.output.type])}, not {search.metric}")
        right = "minimise" if search.metric in LOWER_IS_BETTER else "maximise"
        if search.direction not in (None, right):
            raise ValueError(f"search.direction of {search.metric} is {right}, not {search.direction}")
        return self

    @model_validator(mode="after")
    def _of_one_kind(self) -> Model:
        types, output = TAKES_AND_GIVES[self.kind]
        other = sorted({each.type for each in self.inputs.values()} - types)
        if other:
            raise ValueError(f"kind {self.kind} takes inputs of type {' or '.join(sorted(types))}, not {', '.join(other)}")
        if self.kind == "text" and len(self.inputs) > 1:
            raise ValueError(f"kind text takes one input, not {len(self.inputs)}")
        if self.output.type != output:
            raise ValueError(f"kind {self.kind} gives an output of type {output}, not {self.output.type}")
        used = {*self.gates.minimum, *self.gates.maximum, self.gates.comparison.metric}
        unknown = sorted(used - set(METRICS[output]))
        if unknown:
            raise ValueError(f"gates of kind {self.kind} hold {', '.join(METRICS[output])}, not {', '.join(unknown)}")
        if self.tolerance > self.output.reach / 100:
            raise ValueError(f"tolerance is at most {self.output.reach / 100:g}, not {self.tolerance:g}")
        return self


def folder_of(models: Path, name: str) -> Path:
    """The folder of a model: its name, with the underscores of Python for the dashes that names in clusters need."""
    return models / name.replace("-", "_")


def name_of(folder: Path) -> str:
    """The name that the model in a folder has."""
    return folder.name.replace("_", "-")


def read(folder: Path) -> Model:
    """Read and check a model folder's ``model.yaml``. Raises ConfigError that names file, key, value, what is allowed and the next act."""
    path = folder / "model.yaml"
    shown = f"{folder.parent.name}/{folder.name}/model.yaml"
    if not path.is_file():
        have = ", ".join(sorted(name_of(found.parent) for found in folder.parent.glob("*/model.yaml"))) or "none yet"
        raise ConfigError("there is no such model", where=shown, got=name_of(folder), allowed=have, act="choose one of these: MODEL=…")
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > MAX_FILE_BYTES:
            raise ConfigError("is far too large", where=shown, got=f"{len(text)} characters", allowed=f"at most {MAX_FILE_BYTES}")
        document = yaml.load(text, Loader=_StrictLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"is not plain YAML: {reason}", where=shown, act="mend that line") from None
    if not isinstance(document, dict):
        raise ConfigError("is empty or no mapping", where=shown, got=document, allowed="keys such as name, inputs, output, data, gates")
    try:
        model = Model.model_validate(document)
    except ValidationError as error:
        raise _problem(error, shown) from None
    if model.name != name_of(folder):
        raise ConfigError(
            "the name is not the folder's", where=f"{shown}: name", got=model.name, allowed=name_of(folder), act="rename one of them"
        )
    return model


def _problem(error: ValidationError, shown: str) -> ConfigError:
    problems = error.errors(include_url=False)
    # A misspelt key is also a missing one; the misspelling is what helps.
    problem = next((found for found in problems if found["type"] == "extra_forbidden"), problems[0])
    location = [str(part) for part in problem["loc"] if part != "[key]"]
    section, parent = _section(location[:-1])
    where = f"{shown}: {'.'.join(location)}" if location else shown
    allowed = ", ".join(field.alias or name for name, field in section.model_fields.items()) if section else ""
    if problem["type"] == "extra_forbidden":
        return ConfigError(f"unknown key '{location[-1]}'", where=where, got=problem["input"], allowed=allowed, act="correct or remove it")
    if problem["type"] == "missing":
        return ConfigError(f"'{location[-1]}' is missing", where=where, allowed=f"the keys of '{parent}': {allowed}", act="add it")
    fields = section.model_fields.items() if section and location else ()
    field = next((field for name, field in fields if (field.alias or name) == location[-1]), None)
    message = problem["msg"].removeprefix("Value error, ")
    return ConfigError(
        message, where=where, got=problem["input"], allowed=(field.description or "") if field else "", act="change this value"
    )


def _section(location: list[str]) -> tuple[type[BaseModel] | None, str]:
    """The section in which a problem lies, and its name: walks the types along the location."""
    section: type[BaseModel] | None = Model
    known: dict[tuple[str, ...], type[BaseModel]] = {
        ("output",): Output,
        ("data",): Data,
        ("training",): Training,
        ("gates",): Gates,
        ("gates", "comparison"): ComparisonGate,
        ("search",): Search,
    }
    if len(location) == 2 and location[0] == "inputs":
        section = Input
    elif len(location) == 3 and location[:2] == ["search", "space"]:
        section = Range
    elif location:
        section = known.get(tuple(location))
    return section, ".".join(location) or "model.yaml"


def as_cell(value: object, kind: str) -> float | int | None:
    """A cell of the data as a number of the given type (``int``, any other: float).

    None when it is none (text, NaN, infinite, a fraction for ``int``).
    """
    try:
        number = float(str(value))
    except ValueError:
        return None
    if not math.isfinite(number) or (kind == "int" and number != int(number)):
        return None
    return int(number) if kind == "int" else number


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that refuses what a reviewer would overlook: duplicate keys and aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict):
                raise yaml.YAMLError(f"a key must be plain text (line {key_node.start_mark.line + 1})")
            if key in seen:
                raise yaml.YAMLError(f"key '{key}' stands twice (line {key_node.start_mark.line + 1})")
            seen.add(key)
        return super().construct_mapping(node, deep)
