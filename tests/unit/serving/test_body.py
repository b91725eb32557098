from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from serving.body import BodyParser, Refused, limit_bytes
from serving.release_file import ReleaseFile
from tests.serving.source import GOOD_ROW, release_json


def release(**changes: Any) -> ReleaseFile:
    return msgspec.convert(release_json(**changes), ReleaseFile)


def refusal(parser: BodyParser, body: bytes) -> int:
    with pytest.raises(Refused) as refused:
        parser.parse(body)
    return refused.value.status


def test_rows_have_the_order_of_the_inputs_whatever_the_order_in_the_body() -> None:
    rows = BodyParser(release()).parse(json.dumps({"rows": [dict(reversed(GOOD_ROW.items()))]}).encode())
    assert [msgspec.structs.astuple(row) for row in rows] == [(5.1, 3.5, 1.4, 0.2)]


def test_names_of_inputs_need_not_be_identifiers() -> None:
    inputs = [{"name": name, "type": "float", "min": 0, "max": 9} for name in ("class", "a-b", "f1", "f0")]
    rows = BodyParser(release(inputs=inputs)).parse(b'{"rows": [{"f0": 4, "f1": 3, "a-b": 2, "class": 1}]}')
    assert msgspec.structs.astuple(rows[0]) == (1.0, 2.0, 3.0, 4.0)


def test_an_integer_input_takes_no_fraction() -> None:
    parser = BodyParser(release(inputs=[{"name": "age", "type": "int", "min": 0, "max": 150}]))
    assert msgspec.structs.astuple(parser.parse(b'{"rows": [{"age": 150}]}')[0]) == (150,)
    for text in (b"1.5", b"151", b"-1", b'"1"', b"true", b"null", b"1e400"):
        assert refusal(parser, b'{"rows": [{"age": %s}]}' % text) == 422


def test_as_many_rows_as_allowed_and_one_more() -> None:
    parser = BodyParser(release(max_rows=3))
    assert len(parser.parse(json.dumps({"rows": [GOOD_ROW] * 3}).encode())) == 3
    assert refusal(parser, json.dumps({"rows": [GOOD_ROW] * 4}).encode()) == 413


def test_a_duplicate_is_found_however_it_is_written() -> None:
    parser = BodyParser(release(inputs=[{"name": "a", "type": "float", "min": 0, "max": 9}]))
    assert len(parser.parse(b'{"rows" : [ {"\\u0061"\t:\n1 } ] }')) == 1
    for body in (
        b'{"rows": [{"a": 1, "a": 1}]}',
        b'{"rows": [{"a": 1, "\\u0061": 2}]}',
        b'{"rows": [], "rows": [{"a": 1}]}',
        b'{"rows": [{"a": 1}], "\\u0072ows": [{"a": 1}]}',
        b'{"rows": [{"a": 1}, {"a": 1, "a": 1}]}',
    ):
        assert refusal(parser, body) == 422


def test_the_limit_has_room_for_the_most_rows_in_generous_indentation() -> None:
    row = dict.fromkeys(GOOD_ROW, 29.123456789012345)
    assert limit_bytes(release()) > len(json.dumps({"rows": [row] * 1000}, indent=8))
    assert limit_bytes(release(max_rows=1)) == 64 * 1024
