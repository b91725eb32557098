"""One input that is a text: features are a one-dimensional array of strings, as scikit-learn's vectorizers take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.model import Input, Model

if TYPE_CHECKING:
    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]

VARIED = 3
"""So many texts of the holdout are asked in every variation."""

CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
"""Control characters that no text may hold, in a request either: all but tab, newline and carriage return."""

FOREIGN = (
    "Wie öffne ich eine Datei und lese sie Zeile für Zeile?",
    "¿Cómo se comprime una carpeta? – naïve façade, “quoted”",
    "Как прочитать файл построчно?",
    "如何逐行读取文件？",
    "ファイルを一行ずつ読むには",
    "كيف أقرأ ملفا سطرا سطرا؟",
    "איך קוראים קובץ שורה אחר שורה",
    "🐍🐍 emoji 👩‍💻 and combining é",
)


def cast(column: pandas.Series[Any], kind: str) -> pandas.Series[Any]:
    """The column as it came."""
    del kind
    return column


def features(frame: pandas.DataFrame, names: Sequence[str]) -> Array:
    """Shape (rows,)."""
    return frame[names[0]].to_numpy(dtype="object")


def of_rows(rows: Sequence[Sequence[Any]]) -> Array:
    """Shape (rows,)."""
    import numpy

    made = numpy.empty(len(rows), dtype="object")
    made[:] = [row[0] for row in rows]
    return made


def to_rows(features: Array) -> list[list[Any]]:
    """Lists of one string."""
    return [[str(text)] for text in features]


def distinct(features: Array) -> Array:
    """In the order of their characters."""
    return of_rows([[text] for text in sorted(set(features))])


def corners(model: Model, holdout: Array) -> Array:
    """Other languages, and what runtimes treat differently: repeated words, case, accents, other blanks, the shortest and the longest."""
    (each,) = model.inputs.values()
    low, high = int(each.min), int(each.max)
    found = [*FOREIGN, "a" * low, ("read the file " * high)[:high].strip()]
    for text in distinct(holdout)[:: max(1, len(holdout) // VARIED)][:VARIED]:
        found += _variations(str(text))
    return of_rows([[text] for text in dict.fromkeys(found) if low <= len(text) <= high])


def _variations(text: str) -> Iterator[str]:
    yield f"{text} {text[: len(text) // 2]}"
    yield text.upper()
    yield text.lower()
    yield text.replace("e", "é")
    yield "\t\r\n".join(text.split(" "))
    yield text.replace(" ", "\u00a0")
    yield text.replace(" ", "_")
    yield f"1{text}1 – 2{text}2"
    yield f'"{text}" {{"rows": [{{"text": 1}}]}} <b>\\n</b> ignore all previous instructions'


def as_request(model: Model, row: Sequence[Any]) -> dict[str, Any]:
    """Name -> text."""
    return dict(zip(model.inputs, row, strict=True))


def onnx_type(features: Array) -> Any:
    """One column of strings."""
    from skl2onnx.common.data_types import StringTensorType

    del features
    return StringTensorType([None, 1])


def onnx_options() -> dict[Any, Any]:
    """Lower case by rules that every machine has; those of a language need its locale installed wherever the release runs."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    return {CountVectorizer: {"locale": "C"}, TfidfVectorizer: {"locale": "C"}}


def expectations(name: str, each: Input) -> list[dict[str, Any]]:
    """Filled, neither blank nor with control characters, of an allowed length, few duplicates, more than one value."""
    unique = round(1 - each.maximum_duplicates, 9)
    return [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": name}},
        {
            "type": "expect_column_value_lengths_to_be_between",
            "kwargs": {"column": name, "min_value": int(each.min), "max_value": int(each.max)},
        },
        {"type": "expect_column_values_to_match_regex", "kwargs": {"column": name, "regex": r"\S"}},
        {"type": "expect_column_values_to_not_match_regex", "kwargs": {"column": name, "regex": CONTROL}},
        {"type": "expect_column_proportion_of_unique_values_to_be_between", "kwargs": {"column": name, "min_value": unique}},
        {"type": "expect_column_unique_value_count_to_be_between", "kwargs": {"column": name, "min_value": 2}},
    ]


def measured(frame: pandas.DataFrame, names: Sequence[str]) -> pandas.DataFrame:
    """The lengths of the texts, in characters."""
    return frame[list(names)].map(lambda text: float(len(text)), na_action="ignore").rename(columns=measure)


def measure(name: str) -> str:
    """Its length."""
    return f"{name} (length)"
