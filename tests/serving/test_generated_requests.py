"""Generated bodies against a real server, judged by a second, slow reading of the rules: 200 exactly for what is allowed, never a 5xx."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving import answers
from tests.serving.process import GOOD_BODY, Server, predict
from tests.serving.source import NAMES

pytestmark = pytest.mark.timeout(180)
generated = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), database=None)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([0, 30, 5.1, -0.0, 2**64, "5.1"]),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5) | st.sampled_from(NAMES), children, max_size=5),
    max_leaves=12,
)
numbers = st.floats(0, 30) | st.integers(0, 30)
right_rows = st.tuples(numbers, numbers, numbers, numbers).map(lambda values: list(zip(NAMES, values, strict=True)))


@st.composite
def almost_right(draw: st.DrawFn) -> bytes:
    """Rows with all their keys, in any order, of which some may be doubled, dropped, or hold something else."""
    rows = []
    for right in draw(st.lists(right_rows, max_size=4)):
        row: list[tuple[str, Any]] = list(draw(st.permutations(right)))
        change = draw(st.sampled_from(["", "", "", "double", "drop", "value", "key"]))
        if change == "double":
            row.insert(draw(st.integers(0, 4)), draw(st.sampled_from(row)))
        elif change == "drop":
            del row[draw(st.integers(0, 3))]
        elif change:
            at = draw(st.integers(0, 3))
            row[at] = (row[at][0], draw(anything)) if change == "value" else (draw(st.text(max_size=6)), row[at][1])
        rows.append("{" + ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in row) + "}")
    twice = draw(st.sampled_from(["", "", "", '"rows":[],', '"rows":[{}],']))
    return f'{{{twice}"rows":[{",".join(rows)}]}}'.encode()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A right body with a few bytes cut out, put in or written over."""
    body = GOOD_BODY
    for _ in range(draw(st.integers(1, 3))):
        at, length = draw(st.integers(0, len(body))), draw(st.integers(0, 6))
        piece = draw(st.binary(max_size=4) | st.sampled_from([bytes([char]) for char in b'":,{}[] 0-\\'] + [b"e9", b"null"]))
        body = body[:at] + piece + body[at + length :]
    return body


def is_allowed(body: bytes) -> bool:
    """Whether a body deserves an answer, by Python's own JSON parser and plain loops."""

    def unique(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in found}) != len(found):
            raise ValueError("duplicate key")
        return dict(found)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    if not isinstance(document, dict) or document.keys() != {"rows"} or not isinstance(document["rows"], list) or not document["rows"]:
        return False
    for row in document["rows"]:
        if not isinstance(row, dict) or row.keys() != set(NAMES):
            return False
        if not all(type(value) in (int, float) and 0 <= value <= 30 for value in row.values()):
            return False
    return True


@pytest.fixture(scope="module")
def connection(server: Server) -> Iterator[http.client.HTTPConnection]:
    found = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    yield found
    found.close()


def check(server: Server, connection: http.client.HTTPConnection, body: bytes) -> None:
    connection.request("POST", "/predict", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if is_allowed(body):
        assert answer.status == 200, body
        assert len(json.loads(text)["predictions"]) == len(json.loads(body)["rows"])
    else:
        assert answer.status in (400, 422), body
        assert text == answers.ERRORS[answer.status]
    assert server.process.poll() is None


@generated
@given(body=st.binary(max_size=200))
def test_bytes(server: Server, connection: http.client.HTTPConnection, body: bytes) -> None:
    check(server, connection, body)


@generated
@given(value=anything)
def test_any_json(server: Server, connection: http.client.HTTPConnection, value: Any) -> None:
    check(server, connection, json.dumps(value).encode())


@generated
@given(rows=anything)
def test_any_rows(server: Server, connection: http.client.HTTPConnection, rows: Any) -> None:
    check(server, connection, json.dumps({"rows": rows}).encode())


@settings(parent=generated, max_examples=300)
@given(body=almost_right())
def test_almost_right(server: Server, connection: http.client.HTTPConnection, body: bytes) -> None:
    check(server, connection, body)


@settings(parent=generated, max_examples=300)
@given(body=damaged())
def test_damaged(server: Server, connection: http.client.HTTPConnection, body: bytes) -> None:
    check(server, connection, body)


@generated
@given(
    headers=st.dictionaries(
        st.sampled_from(["content-type", "content-encoding", "x-request-id", "x-probe", "accept", "expect", "x-other"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    )
)
def test_any_headers(server: Server, headers: dict[str, str]) -> None:
    answer = predict(server.port, GOOD_BODY, **{"content-type": "application/json", **headers})
    assert answer.status in (200, 400, 415, 417)
    assert answer.headers["x-release"] == "7"
