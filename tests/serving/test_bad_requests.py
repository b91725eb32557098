"""Every kind of bad request that we could name: refused with its status and a constant body, and the server still answers right after."""

from __future__ import annotations

import gzip
import json
import pickle
from dataclasses import dataclass

import pytest

from serving import answers
from tests.serving.process import GOOD_BODY, Server, ask, chunked, predict, request
from tests.serving.source import GOOD_ROW, NAMES

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True)
class Case:
    name: str
    status: int
    data: bytes


def row(**changes: object) -> dict[str, object]:
    return {**GOOD_ROW, **changes}


def rows(*found: object) -> bytes:
    return json.dumps({"rows": list(found)}).encode()


def cell(text: str) -> bytes:
    """A body whose first cell is this text, which need not be JSON."""
    return rows(row(sepal_length_cm="CELL")).replace(b'"CELL"', text.encode())


BODIES: dict[str, tuple[int, bytes]] = {
    "empty": (400, b""),
    "blank": (400, b"  \n\t "),
    "a word": (400, b"hello"),
    "null": (400, b"null"),
    "true": (400, b"true"),
    "a number": (400, b"1"),
    "a string": (400, b'"rows"'),
    "a list": (400, b"[]"),
    "a list of rows": (400, json.dumps([GOOD_ROW]).encode()),
    "an empty object": (400, b"{}"),
    "a row without rows": (400, json.dumps(GOOD_ROW).encode()),
    "another key than rows": (400, b'{"row": []}'),
    "rows in capitals": (400, GOOD_BODY.replace(b"rows", b"ROWS")),
    "a key beside rows": (400, json.dumps({"rows": [GOOD_ROW], "release": 7}).encode()),
    "rows null": (400, b'{"rows": null}'),
    "rows a number": (400, b'{"rows": 5}'),
    "rows a string": (400, b'{"rows": "[]"}'),
    "rows an object": (400, json.dumps({"rows": GOOD_ROW}).encode()),
    "row null": (400, rows(None)),
    "row a number": (400, rows(5.1)),
    "row a string": (400, rows("setosa")),
    "row a list of values": (400, rows(list(GOOD_ROW.values()))),
    "second row null": (400, rows(GOOD_ROW, None)),
    "truncated": (400, GOOD_BODY[:-3]),
    "truncated in a number": (400, b'{"rows": [{"sepal_length_cm": 5.'),
    "truncated in a key": (400, b'{"rows": [{"sepal_le'),
    "trailing garbage": (400, GOOD_BODY + b"x"),
    "two documents": (400, GOOD_BODY + GOOD_BODY),
    "trailing comma": (400, GOOD_BODY[:-2] + b",]}"),
    "single quotes": (400, GOOD_BODY.replace(b'"', b"'")),
    "a comment": (400, b"/* iris */" + GOOD_BODY),
    "byte order mark": (400, b"\xef\xbb\xbf" + GOOD_BODY),
    "UTF-16": (400, GOOD_BODY.decode().encode("utf-16")),
    "invalid UTF-8 in a key": (400, GOOD_BODY.replace(b"sepal_l", b"\xff\xfe_l")),
    "invalid UTF-8 after the body": (400, GOOD_BODY + b"\xff"),
    "zero bytes": (400, b"\0" * 100),
    "NaN": (400, cell("NaN")),
    "Infinity": (400, cell("Infinity")),
    "-Infinity": (400, cell("-Infinity")),
    "hexadecimal": (400, cell("0x10")),
    "leading zero": (400, cell("05.1")),
    "leading plus": (400, cell("+5.1")),
    "a bare point": (400, cell(".5")),
    "a cell left out": (400, cell("")),
    "deep lists": (400, b"[" * 50_000),
    "deep objects": (400, b'{"rows":' * 20_000),
    "a deep cell": (400, cell("[" * 30_000 + "]" * 30_000)),
    "pickle": (400, pickle.dumps({"rows": [GOOD_ROW]})),
    "gzip without saying so": (400, gzip.compress(GOOD_BODY)),
    "form fields": (400, b"rows=5.1&rows=3.5"),
    "XML entity": (400, b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'),
    "0 rows": (422, rows()),
    "empty row": (422, rows({})),
    "cell null": (422, cell("null")),
    "cell true": (422, cell("true")),
    "cell false": (422, cell("false")),
    "cell a string": (422, cell('"wide"')),
    "cell a number as string": (422, cell('"5.1"')),
    "cell an empty string": (422, cell('""')),
    "cell a list": (422, cell("[5.1]")),
    "cell an object": (422, cell('{"value": 5.1}')),
    "cell 1e999": (422, cell("1e999")),
    "cell -1e999": (422, cell("-1e999")),
    "cell 1e400 written out": (422, cell("1" + "0" * 400)),
    "cell a big integer": (422, cell(str(2**200))),
    "cell 2 ** 63": (422, cell(str(2**63))),
    "cell above its range": (422, cell("30.000001")),
    "cell below its range": (422, cell("-0.000001")),
    "cell NaN as string": (422, cell('"NaN"')),
    "missing key": (422, rows(dict.fromkeys(NAMES[:3], 1.0))),
    "missing key in the second row": (422, rows(GOOD_ROW, dict.fromkeys(NAMES[1:], 1.0))),
    "extra key": (422, rows(row(species="setosa"))),
    "extra key instead of one": (422, rows({**dict.fromkeys(NAMES[:3], 1.0), "petal": 1.0})),
    "key with a space": (422, rows({**dict.fromkeys(NAMES[:3], 1.0), "petal_width_cm ": 1.0})),
    "key in capitals": (422, rows({name.upper(): 1.0 for name in NAMES})),
    "wrong width: 3": (422, rows({"a": 1, "b": 2, "c": 3})),
    "wrong width: 500": (422, rows({f"f{index}": 1 for index in range(500)})),
    "attack on __proto__": (422, rows(row(__proto__={"admin": True}))),
    "duplicate key, equal values": (422, b'{"rows": [{"petal_width_cm": 0.2, ' + GOOD_BODY[11:]),
    "duplicate key, other value": (422, b'{"rows": [{"petal_width_cm": 9.9, ' + GOOD_BODY[11:]),
    "duplicate key, escaped": (422, b'{"rows": [{"petal_\\u0077idth_cm": 9.9, ' + GOOD_BODY[11:]),
    "duplicate rows": (422, b'{"rows": [], ' + GOOD_BODY[1:]),
    "1,001 rows": (413, rows(*[GOOD_ROW] * 1001)),
    "1,001 bad rows": (413, rows(*[{}] * 1001)),
    "100,000 rows": (413, rows(*[GOOD_ROW] * 100_000)),
    "16 MB of blanks": (413, b" " * (16 << 20)),
}


def typed(content_type: str) -> bytes:
    return request(body=GOOD_BODY, headers=[f"content-type: {content_type}"])


def encoded(encoding: str, body: bytes) -> bytes:
    return request(body=body, headers=[f"content-encoding: {encoding}"])


REQUESTS = [
    *(Case(name, status, request(body=body)) for name, (status, body) in BODIES.items()),
    *(
        Case(f"chunked: {name}", status, _)
        for name, (status, body) in list(BODIES.items())[-5:]
        for _ in [
            request(body=chunked(*(body[at : at + 50_000] for at in range(0, len(body), 50_000))), headers=["transfer-encoding: chunked"])
        ]
    ),
    Case("no body at all", 415, request()),
    Case("no content type", 415, request(headers=[f"content-length: {len(GOOD_BODY)}"]) + GOOD_BODY),
    Case("plain text", 415, typed("text/plain")),
    Case("form", 415, typed("application/x-www-form-urlencoded")),
    Case("multipart", 415, typed("multipart/form-data; boundary=x")),
    Case("numpy", 415, typed("application/octet-stream")),
    Case("pickle by name", 415, request(body=pickle.dumps(1), headers=["content-type: application/vnd.bentoml+pickle"])),
    Case("other charset", 415, typed("application/json; charset=utf-16")),
    Case("almost JSON", 415, typed("application/jsonx")),
    Case("content type twice", 415, request(body=GOOD_BODY, headers=["content-type: application/json", "content-type: application/json"])),
    Case("gzip", 415, encoded("gzip", gzip.compress(GOOD_BODY))),
    Case("gzip bomb", 415, encoded("gzip", gzip.compress(b"[" * (64 << 20)))),
    Case("deflate", 415, encoded("deflate", GOOD_BODY)),
    Case("brotli in capitals", 415, encoded("BR", GOOD_BODY)),
    Case("Content-Length 10 GB, nothing sent", 413, request(headers=["content-type: application/json", "content-length: 10000000000"])),
    Case("Content-Length of 19 digits", 413, request(headers=["content-type: application/json", "content-length: " + "9" * 19])),
    Case("Content-Length too short", 400, request(body=GOOD_BODY, headers=["content-length: 20"])),
    Case("Content-Length negative", 400, request(body=GOOD_BODY, headers=["content-length: -1"])),
    Case("Content-Length a word", 400, request(body=GOOD_BODY, headers=["content-length: all"])),
    Case("Content-Length twice, different", 400, request(body=GOOD_BODY, headers=["content-length: 5", "content-length: 6"])),
    Case("Transfer-Encoding unknown", 400, request(body=GOOD_BODY, headers=["transfer-encoding: gzip"])),
    Case("chunk size no number", 400, request(body=b"zz\r\nabc\r\n", headers=["transfer-encoding: chunked"])),
    Case("chunk size endless", 400, request(body=b"f" * 100_000, headers=["transfer-encoding: chunked"])),
    Case("huge header", 400, request(body=GOOD_BODY, headers=["x-huge: " + "a" * (1 << 20)])),
    Case("100,000 headers", 400, request(body=GOOD_BODY, headers=[f"x-{index}: 1" for index in range(100_000)])),
    Case("huge path", 400, request("GET", "/" + "a" * (1 << 20))),
    Case("zero byte in a header", 400, request(body=GOOD_BODY, headers=["x-zero: a\0b"])),
    Case("header without a colon", 400, request(body=GOOD_BODY, headers=["nonsense"])),
    Case("path with a blank", 400, request("GET", "/a b")),
    Case("path that is not ASCII", 400, request("GET", "/\xfc")),
    Case("no HTTP", 400, b"EHLO example.org\r\n\r\n"),
    Case("TLS on a plain port", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n" * 20),
    Case("HTTP/2 preface", 404, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Case("no host", 400, b"GET /livez HTTP/1.1\r\n\r\n"),
    Case("GET /predict", 405, request("GET")),
    Case("PUT /predict with a body", 405, request("PUT", body=GOOD_BODY)),
    Case("DELETE /predict", 405, request("DELETE")),
    Case("OPTIONS /predict", 405, request("OPTIONS")),
    Case("lower-case post", 405, request("post", body=GOOD_BODY)),
    Case("invented method", 405, request("FROBNICATE")),
    Case("POST /readyz", 405, request("POST", "/readyz", GOOD_BODY)),
    Case("POST /metrics", 405, request("POST", "/metrics", b"")),
    Case("unknown path", 404, request("GET", "/")),
    Case("unknown path with 16 MB", 404, request("POST", "/upload", b" " * (16 << 20))),
    Case("path below /predict", 404, request("POST", "/predict/iris", GOOD_BODY)),
    Case("path with a slash more", 404, request("POST", "/predict/", GOOD_BODY)),
    Case("path in capitals", 404, request("POST", "/PREDICT", GOOD_BODY)),
    Case("path traversal", 404, request("GET", "/../../../../etc/passwd")),
    Case("path traversal, encoded", 404, request("GET", "/%2e%2e/%2e%2e/release/release.json")),
    Case("path with a zero byte", 404, request("POST", "/predict%00", GOOD_BODY)),
    Case("path that is a URL", 404, request("GET", "http://169.254.169.254/latest/meta-data")),
    Case("OPTIONS *", 404, request("OPTIONS", "*")),
    Case("BentoML's own documentation", 404, request("GET", "/docs.json")),
]


@pytest.fixture(scope="module")
def rss_before(server: Server) -> float:
    for _ in range(20):
        predict(server.port)
    return server.rss_mib()


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.name)
def test_refused(server: Server, rss_before: float, case: Case) -> None:
    answer = ask(server.port, case.data)[0]
    assert answer.status == case.status
    assert answer.body in (answers.ERRORS[case.status], answers.BAD_HTTP if case.status == 400 else b"")
    assert (answer.headers["x-release"], answer.headers["x-model"]) == ("7", "iris")
    assert answer.headers["x-request-id"]
    right = predict(server.port)
    assert (right.status, right.json["predictions"][0]["label"]) == (200, "setosa")
    assert server.rss_mib() - rss_before < 32


def test_there_are_enough_cases() -> None:
    names = [case.name for case in REQUESTS]
    assert len(names) == len(set(names)) >= 60


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.name)
def test_a_refused_request_leaves_its_connection_usable_or_closed(server: Server, case: Case) -> None:
    """What follows on the connection is answered on its own merits, or not at all; never as part of the refused request."""
    if case.name.startswith(("Content-Length 1", "Content-Length of")):
        pytest.skip("what follows is part of the body that was announced")
    found = ask(server.port, case.data + request("GET", "/livez", headers=["connection: close"]), answers=3)
    assert found[0].status == case.status
    assert [answer.status for answer in found[1:]] in ([], [200], [400])


def test_a_client_that_sends_all_before_it_reads_still_learns_why(server: Server) -> None:
    """A connection closed on arriving data is reset, and such a client would see the reset only."""
    assert predict(server.port, b" " * (24 << 20)).status == 413
    assert predict(server.port, b" " * (24 << 20), content_type="text/plain").status == 415
