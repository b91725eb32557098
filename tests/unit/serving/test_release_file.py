from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from serving.release_file import CannotServe, load
from tests.serving.source import release_json

INPUT = {"name": "a", "type": "float", "min": 0, "max": 1}


def write(folder: Path, document: Any) -> Path:
    (folder / "release.json").write_text(json.dumps(document))
    return folder


def test_a_right_file(tmp_path: Path) -> None:
    found = load(write(tmp_path, release_json()))
    assert (found.model, found.release, found.max_rows, found.output.labels[0]) == ("iris", 7, 1000, "setosa")
    assert (found.inputs[0].name, found.inputs[0].max, found.trusted_types) == ("sepal_length_cm", 30.0, ())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format is 2, this server reads 1"),
        ({"release": 0}, "release"),
        ({"release": "7"}, "release"),
        ({"model": "Iris"}, "model"),
        ({"model": "../iris"}, "model"),
        ({"kind": "text"}, "kind"),
        ({"inputs": []}, "inputs"),
        ({"inputs": [INPUT, INPUT]}, "two inputs have the same name"),
        ({"inputs": [{**INPUT, "name": "a:b"}]}, "name"),
        ({"inputs": [{**INPUT, "min": 2}]}, "input a has no finite range"),
        ({"inputs": [{**INPUT, "type": "int", "max": 1.5}]}, "input a is an int but its range is not"),
        ({"inputs": [{**INPUT, "type": "string"}]}, "type"),
        ({"inputs": [{"name": "a", "type": "float"}]}, "min"),
        ({"output": {"type": "regression", "labels": ["a", "b"]}}, "output.type"),
        ({"output": {"type": "class", "labels": ["a"]}}, "labels"),
        ({"output": {"type": "class", "labels": ["a", "a"]}}, "two labels are the same"),
        ({"runtime": "pickle"}, "runtime"),
        ({"tolerance": -1}, "tolerance"),
        ({"max_rows": 0}, "max-rows"),
        ({"trusted_types": ["a.B"]}, "trusted-types are for runtime skops only"),
        ({"extra": 1}, "extra"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(CannotServe) as error:
        load(write(tmp_path, release_json(**change)))
    assert words in str(error.value)
    assert "release.json" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", [b"", b"null", b"{", b"\xff\xfe", b"[" * 10_000, b'{"format": 1e999}'])
def test_what_is_no_release_at_all(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "release.json").write_bytes(text)
    with pytest.raises(CannotServe, match="is not a release of this server"):
        load(tmp_path)
