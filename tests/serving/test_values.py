"""A release that answers values: what it answers, counts and logs, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving import answers
from serving.replay import replay
from tests.serving.process import Server, get, predict, running
from tests.serving.source import build_regression

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module", params=["onnx", "skops"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(build_regression(tmp_path_factory.mktemp("values") / "src", runtime=request.param)) as found:
        yield found


def body(*rows: object) -> bytes:
    return json.dumps({"rows": list(rows)}).encode()


def test_each_row_gets_its_value(server: Server) -> None:
    answer = predict(server.port, body({"length": 2, "count": 3}, {"length": 10.5, "count": 1}))
    assert answer.status == 200
    assert answer.json == {"predictions": [{"value": pytest.approx(9, abs=1e-3)}, {"value": pytest.approx(32.5, abs=1e-3)}]}


def test_golden_answers_are_held_to_the_tolerance_of_the_release(server: Server, tmp_path: Path) -> None:
    release = build_regression(tmp_path / "src") / "release"
    golden, lines = release / "golden.jsonl", (release / "golden.jsonl").read_text().splitlines()
    assert replay(server.url, golden, release=7).is_right

    def moved(by: float) -> str:
        line = json.loads(lines[0])
        line["response"]["predictions"][0]["value"] += by
        return json.dumps(line) + "\n"

    golden.write_text(moved(0.005))
    assert replay(server.url, golden, release=7).is_right
    assert not replay(server.url, golden, release=7, tolerance=1e-5).is_right
    golden.write_text(moved(0.02))
    assert "expected" in str(replay(server.url, golden, release=7).mismatches[0])


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, b"{}"),
        (400, b'{"rows": [{"length": NaN, "count": 1}]}'),
        (422, body({"length": 2})),
        (422, body({"length": 2, "count": 1.5})),
        (422, body({"length": 31, "count": 1})),
        (422, body({"length": "2", "count": 1})),
        (422, body({"length": 2, "count": 1, "value": 9})),
        (422, b'{"rows": [{"length": 1e999, "count": 1}]}'),
        (413, body(*[{"length": 2, "count": 1}] * 1001)),
    ],
)
def test_what_is_no_row_is_refused(server: Server, status: int, data: bytes) -> None:
    answer = predict(server.port, data)
    assert (answer.status, answer.body) == (status, answers.ERRORS[status])
    assert predict(server.port, body({"length": 2, "count": 3})).status == 200


def test_values_are_counted_and_logged(tmp_path: Path) -> None:
    with running(build_regression(tmp_path / "src"), "--request-log", str(tmp_path / "log.jsonl")) as found:
        predict(found.port, body({"length": 2, "count": 3}, {"length": 1, "count": 1}))
        lines = get(found.port, "/metrics").body.decode()
    assert 'serving_predictions_total{label="value",model="petals",release="7"} 2.0' in lines
    (line,) = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert line["rows"] == [[2.0, 3], [1.0, 1]]
    assert line["predictions"] == [pytest.approx(9, abs=1e-3), pytest.approx(4, abs=1e-3)]
