"""Kinds in a server: texts that are let through, and how answers are told."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.body import BodyParser, Refused, limit_bytes
from serving.kinds import KINDS, Classes, Values, outputs_of
from serving.release_file import CannotServe, ReleaseFile, load
from tests.serving.source import REGRESSION, TEXT, release_json

TEXTS = msgspec.convert(release_json(**TEXT), ReleaseFile)
NUMBERS = msgspec.convert(release_json(**REGRESSION), ReleaseFile)
PARSER = BodyParser(TEXTS)
INPUTS: Any = TEXT["inputs"]


def text_of(body: bytes) -> str:
    ((text,),) = [msgspec.structs.astuple(row) for row in PARSER.parse(body)]
    return str(text)


@given(st.text(max_size=200), st.booleans())
def test_a_text_comes_through_whole_or_not_at_all(text: str, is_escaped: bool) -> None:
    body = json.dumps({"rows": [{"text": text}]}, ensure_ascii=is_escaped).encode("utf-8", "surrogatepass")
    is_right = len(text) >= 3 and text.strip() != "" and not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", text)
    if is_right:
        assert text_of(body) == text
    else:
        with pytest.raises(Refused) as refused:
            PARSER.parse(body)
        assert refused.value.status in (400, 422)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_order(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        PARSER.parse(b'{"rows": [{"text": "' + body)
    assert refused.value.status in (400, 413, 422)


@pytest.mark.parametrize("text", ['a: "b": c', '{"text": "x:y"}', "\\", 'ends with \\"', ":::", '"""', "\\u003a\\"])
def test_colons_and_quotes_in_a_text_are_no_keys(text: str) -> None:
    for padded in (text + "   .", ". " + text + " ."):
        assert text_of(json.dumps({"rows": [{"text": padded}]}).encode()) == padded


def test_the_limit_has_room_for_the_longest_texts_however_they_are_written() -> None:
    longest = {"rows": [{"text": "\U0001f40d" * 2000}] * 8}
    assert len(json.dumps(longest, indent=8)) < limit_bytes(TEXTS) < 1 << 20


def test_values_are_told_counted_and_must_be_finite() -> None:
    outputs = outputs_of(NUMBERS)
    assert isinstance(outputs, Values)
    assert outputs.tell([[1.5], [2.0]]) == ([1.5, 2.0], [{"value": 1.5}, {"value": 2.0}])
    assert list(outputs.count([1.5, 2.0])) == [("value", 2)]
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ArithmeticError):
            outputs.tell([[1.0], [bad]])


def test_labels_are_counted() -> None:
    outputs = outputs_of(TEXTS)
    assert isinstance(outputs, Classes)
    told, _ = outputs.tell([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    assert sorted(outputs.count(told)) == [("cooking", 2), ("weather", 1)]


def test_an_estimator_of_another_kind_is_not_served() -> None:
    from sklearn.linear_model import LinearRegression, LogisticRegression

    classifier = LogisticRegression().fit(np.eye(2), ["cooking", "weather"])
    KINDS["text"].outputs(TEXTS.output).check(classifier)
    Values(NUMBERS.output).check(LinearRegression())
    with pytest.raises(CannotServe, match="it is a classifier"):
        Values(NUMBERS.output).check(classifier)
    with pytest.raises(CannotServe, match="its classes are"):
        Classes(msgspec.structs.replace(TEXTS.output, labels=("a", "b"))).check(classifier)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({**TEXT, "kind": "tabular"}, "kind tabular takes inputs of type float or int, not text"),
        ({**TEXT, "inputs": [*INPUTS, *INPUTS]}, "kind text takes one input, not 2"),
        ({**TEXT, "inputs": [{"name": "text", "type": "text", "min": -1, "max": 9}]}, "are no lengths"),
        ({**TEXT, "inputs": [{"name": "text", "type": "text", "min": 1, "max": 9.5}]}, "are no lengths"),
        ({**TEXT, "output": {"type": "value"}}, "kind text gives a class, not a value"),
        ({**REGRESSION, "output": {"type": "class", "labels": ["a", "b"]}}, "kind regression gives a value, not a class"),
        ({**REGRESSION, "output": {"type": "value", "labels": ["a", "b"]}}, "output.labels are for classes only"),
        ({**REGRESSION, "kind": "image"}, "kind"),
    ],
)
def test_a_release_of_two_kinds_is_refused(tmp_path: Any, change: dict[str, Any], words: str) -> None:
    (tmp_path / "release.json").write_text(json.dumps(release_json(**change)))
    with pytest.raises(CannotServe) as error:
        load(tmp_path)
    assert words in str(error.value)
