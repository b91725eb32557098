"""A record is believed only when it is whole, unaltered, of a known format and filed under its own name."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import release
from infra.errors import ReleaseError
from infra.evidence import evidence
from infra.release import check_may_serve, load, numbers, record_path, tree_digest, write

SHA = "sha256:" + "a" * 64


def document(store: Path, number: int = 1, **changes: Any) -> dict[str, Any]:
    """A record's content, with a Bento of one file in the store."""
    bento = store / "bentos" / "iris" / str(number) / "src"
    bento.mkdir(parents=True, exist_ok=True)
    (bento / "service.py").write_text("svc = 1\n", encoding="utf-8")
    return {
        "format": 1,
        "model": "iris",
        "release": number,
        "created": "2026-11-24T12:00:00Z",
        "reason": "first release",
        "owner": "data-science",
        "commit": {"sha": "c" * 40, "dirty": False},
        "code": SHA,
        "environment": SHA,
        "snapshot": {"digest": SHA, "rows": 120, "first": "2026-09-07", "last": "2026-10-12"},
        "parameters": {"C": 1.0},
        "metrics": {"accuracy": {"value": 0.95, "low": 0.9, "high": 1.0}},
        "comparison": None,
        "gates": {"data": "pass", "evaluation": "pass"},
        "runtime": "onnx",
        "golden": {"count": 30, "digest": SHA},
        "bento": {"path": f"bentos/iris/{number}/src", "digest": tree_digest(bento)},
        "image": None,
        "interface": SHA,
        "tracking": {"run": "r", "version": 1},
        **changes,
    }


def altered(store: Path, change: Any) -> None:
    path = record_path(store, "iris", 1)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    written = write(tmp_path, document(tmp_path))
    assert load(tmp_path, "iris", 1) == written
    assert numbers(tmp_path, "iris") == [1]
    check_may_serve(written, tmp_path, where="here")


def test_a_missing_record_names_those_that_exist(tmp_path: Path) -> None:
    write(tmp_path, document(tmp_path))
    with pytest.raises(ReleaseError, match="release 7 of iris does not exist") as refused:
        load(tmp_path, "iris", 7, where="Pulumi.local.yaml: mldelivery:models.iris.champion")
    assert str(refused.value).startswith("Pulumi.local.yaml: mldelivery:models.iris.champion")
    assert "allowed: 1" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("0.95", "0.99"), "altered"),
        (lambda text: text.replace("evaluation: pass", "evaluation: fail"), "altered"),
        (lambda text: text[: len(text) // 2], "altered or is damaged"),
        (lambda _: "", "empty or half-written"),
        (lambda text: text + "extra: 1\n", "'extra'"),
        (lambda text: text.replace("format: 1", "format: 2"), "newer format"),
        (lambda _: "a: &a [1]\nb: *a\n", "aliases"),
        (lambda text: text.replace("bentos/iris", "../bentos"), "inside the store"),
    ],
)
def test_an_altered_record_is_refused(tmp_path: Path, change: Any, words: str) -> None:
    write(tmp_path, document(tmp_path))
    altered(tmp_path, change)
    with pytest.raises(ReleaseError) as refused:
        load(tmp_path, "iris", 1)
    assert words in str(refused.value)
    assert str(record_path(tmp_path, "iris", 1)) in str(refused.value)


def test_a_record_under_another_number_is_refused(tmp_path: Path) -> None:
    write(tmp_path, document(tmp_path))
    record_path(tmp_path, "iris", 1).rename(record_path(tmp_path, "iris", 2))
    with pytest.raises(ReleaseError, match="is the record of iris 1"):
        load(tmp_path, "iris", 2)


@pytest.mark.parametrize("verdict", ["fail", "not enough evidence"])
def test_a_gate_that_did_not_pass_keeps_a_release_from_serving(tmp_path: Path, verdict: str) -> None:
    record = write(tmp_path, document(tmp_path, gates={"data": "pass", "evaluation": verdict}))
    with pytest.raises(ReleaseError, match=f"gate 'evaluation' says {verdict}"):
        check_may_serve(record, tmp_path, where="here")


def test_an_altered_bento_may_not_serve(tmp_path: Path) -> None:
    record = write(tmp_path, document(tmp_path))
    (tmp_path / record.bento.path / "service.py").write_text("svc = 2\n", encoding="utf-8")
    for stack, command in (("local", "make release MODEL=iris FORCE=1"), ("cluster", "make release MODEL=iris FORCE=1 STACK=cluster")):
        with pytest.raises(ReleaseError, match="not what was recorded") as caught:
            check_may_serve(record, tmp_path, where="here", stack=stack)
        assert caught.value.act == f"make it again: {command}"


def test_a_bento_with_a_link_out_of_the_store_is_refused(tmp_path: Path) -> None:
    record = write(tmp_path, document(tmp_path))
    (tmp_path / record.bento.path / "link").symlink_to("/etc/hostname")
    with pytest.raises(ReleaseError, match="symbolic links"):
        check_may_serve(record, tmp_path, where="here")


def test_a_record_is_never_written_over(tmp_path: Path) -> None:
    write(tmp_path, document(tmp_path))
    before = record_path(tmp_path, "iris", 1).read_bytes()
    with pytest.raises(ReleaseError, match="exists already"):
        write(tmp_path, document(tmp_path, reason="other"))
    assert record_path(tmp_path, "iris", 1).read_bytes() == before


def test_a_disk_that_refuses_leaves_nothing_half_written(tmp_path: Path) -> None:
    content = document(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(ReleaseError, match="could not be written"):
            write(tmp_path, content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list((tmp_path / "releases" / "iris").iterdir()) == []
    assert write(tmp_path, content).release == 1


def test_a_half_written_file_of_a_killed_run_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, document(tmp_path))
    (tmp_path / "releases" / "iris" / ".2.yaml.99.partial").write_text("format: 1\n", encoding="utf-8")
    (tmp_path / "releases" / "iris" / "notes.yaml").write_text("", encoding="utf-8")
    assert numbers(tmp_path, "iris") == [1]


def test_records_hold_plain_yaml(tmp_path: Path) -> None:
    write(tmp_path, document(tmp_path))
    assert yaml.safe_load(record_path(tmp_path, "iris", 1).read_text(encoding="utf-8"))["release"] == 1


def test_the_tree_digest_sees_names_contents_and_places(tmp_path: Path) -> None:
    digests = set()
    for number, files in enumerate([{"a": "1", "b": "2"}, {"a": "2", "b": "1"}, {"a": "1", "c": "2"}, {"a": "1", "d/b": "2"}, {"a": "1"}]):
        for name, text in files.items():
            path = tmp_path / str(number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        digests.add(tree_digest(tmp_path / str(number)))
    assert len(digests) == 5


def test_the_evidence_is_text_that_a_reviewer_reads(tmp_path: Path) -> None:
    comparison = {
        "champion": 1,
        "metric": "accuracy",
        "difference": {"value": 0.02, "low": -0.01, "high": 0.05},
        "margin": 0.05,
        "rows": 40,
        "verdict": "pass",
    }
    shown = evidence(write(tmp_path, document(tmp_path, 2, comparison=comparison)))
    assert shown["metrics"] == {"accuracy": "0.950 [0.900, 1.000]"}
    assert shown["against-champion"] == "accuracy +0.020 [-0.010, +0.050] against 1 on 40 rows; pass (margin 0.05)"
    assert shown["gates"] == "data pass, evaluation pass"


def test_the_format_number_is_part_of_what_is_checked() -> None:
    assert release.FORMAT == 1
