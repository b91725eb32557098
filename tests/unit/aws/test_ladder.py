"""A release climbs by what the rollout below left on record: the same release, served, and for prod baked. Nothing else will do."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import ladder
from infra.config import StackConfig, parse
from infra.errors import PlatformError, ReleaseError
from infra.kubernetes.ledger import Ledger, Proven
from infra.records import records_in_use
from infra.release import Release, record_path, write
from pipelines import served
from tests.unit.aws.declared import config_of
from tests.unit.infra.test_release import document

IMAGE = "iris@sha256:" + "b" * 64
REGISTRY = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/mldelivery"
SINCE = "2026-11-24T12:00:00Z"


@pytest.fixture
def record(tmp_path: Path) -> Release:
    return write(tmp_path, {**document(tmp_path, 5), "image": IMAGE})


def config(stack: str, champion: int = 5, **model: Any) -> StackConfig:
    return config_of(stack, models={"iris": {"champion": champion, **model}})


def check(store: Path, stack: str, **model: Any) -> None:
    """What a preview of the stack does with its records."""
    found = config(stack, **model)
    records_in_use(store, "iris", found.models["iris"], file=f"Pulumi.{stack}.yaml", root=store, kubernetes=found.kubernetes)


def test_dev_begins_and_each_other_asks_the_one_below() -> None:
    assert [ladder.below(stack) for stack in ("dev", "staging", "prod")] == [None, "dev", "staging"]
    assert ladder.below("local") is None and ladder.below("cluster") is None


def test_a_release_climbs_when_it_was_served_and_baked(tmp_path: Path, record: Release) -> None:
    check(tmp_path, "dev")
    ladder.write(tmp_path, record, "dev", since=SINCE, baked=False)
    check(tmp_path, "staging")
    ladder.write(tmp_path, record, "staging", since=SINCE, baked=True)
    check(tmp_path, "prod")


@pytest.mark.parametrize(("stack", "lower"), [("staging", "dev"), ("prod", "staging")])
def test_what_was_never_served_below_is_refused_in_words(tmp_path: Path, record: Release, stack: str, lower: str) -> None:
    older = write(tmp_path, {**document(tmp_path, 4), "image": IMAGE})
    ladder.write(tmp_path, older, lower, since=SINCE, baked=True)
    with pytest.raises(ReleaseError) as refused:
        check(tmp_path, stack)
    said = str(refused.value)
    assert f"Pulumi.{stack}.yaml: mldelivery:models.iris.champion: release {record.release} of iris was never served on {lower}" in said
    assert f"releases/iris/served/{lower}/5.yaml is missing" in said
    assert "got:     5" in said and f"what {lower} served: 4" in said
    assert f"make promote MODEL=iris RELEASE=5 STACK={lower}" in said


@pytest.mark.usefixtures("record")
def test_a_challenger_must_climb_too(tmp_path: Path) -> None:
    champion = write(tmp_path, {**document(tmp_path, 4), "image": IMAGE})
    ladder.write(tmp_path, champion, "staging", since=SINCE, baked=True)
    with pytest.raises(ReleaseError, match=r"models.iris.challenger.release: release 5 of iris was never served on staging"):
        check(tmp_path, "prod", champion=4, challenger={"release": 5, "share": 10})


def test_prod_refuses_what_staging_served_but_did_not_bake(tmp_path: Path, record: Release) -> None:
    ladder.write(tmp_path, record, "staging", since=SINCE, baked=False)
    with pytest.raises(ReleaseError, match=r"has served on staging since 2026-11-24T12:00:00Z, but has not baked") as refused:
        check(tmp_path, "prod")
    assert "make up STACK=staging" in str(refused.value)


def test_the_same_number_with_other_content_is_refused(tmp_path: Path, record: Release) -> None:
    ladder.write(tmp_path, record, "staging", since=SINCE, baked=True)
    record_path(tmp_path, "iris", 5).unlink()
    write(tmp_path, {**document(tmp_path, 5, reason="made again"), "image": IMAGE})
    with pytest.raises(ReleaseError, match="is not this release: the number was used twice"):
        check(tmp_path, "prod")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"baked": True}, "not the one that it states"),
        ({"release": 6}, "not the one that it states"),
        ({"stack": "prod"}, "not the one that it states"),
        ({"more": 1}, "cannot be read"),
        ({"record": "none"}, "cannot be read"),
    ],
)
def test_a_record_that_was_altered_is_refused(tmp_path: Path, record: Release, change: dict[str, Any], says: str) -> None:
    path = ladder.write(tmp_path, record, "staging", since=SINCE, baked=False)
    assert path is not None
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **change}))
    with pytest.raises(ReleaseError) as refused:
        check(tmp_path, "prod")
    assert says in str(refused.value) and "it was altered or is damaged" in str(refused.value)


@pytest.mark.parametrize("text", ["", "- 1", "{", "format: 1"])
@pytest.mark.usefixtures("record")
def test_a_record_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = ladder.served_path(tmp_path, "iris", "staging", 5)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ReleaseError, match="altered or is damaged"):
        check(tmp_path, "prod")


def test_a_record_filed_under_another_number_is_refused(tmp_path: Path, record: Release) -> None:
    path = ladder.write(tmp_path, record, "staging", since=SINCE, baked=True)
    assert path is not None
    other = write(tmp_path, {**document(tmp_path, 6), "image": IMAGE})
    path.rename(path.with_name("6.yaml"))
    with pytest.raises(ReleaseError, match="is the record of iris 5 on staging"):
        check(tmp_path, "prod", champion=other.release)


def test_what_baked_stays_so_and_a_second_note_changes_nothing(tmp_path: Path, record: Release) -> None:
    assert ladder.write(tmp_path, record, "dev", since=SINCE, baked=False) is not None
    assert ladder.write(tmp_path, record, "dev", since="2026-11-25T12:00:00Z", baked=False) is None
    path = ladder.write(tmp_path, record, "dev", since="2026-11-25T12:00:00Z", baked=True)
    assert path is not None and yaml.safe_load(path.read_text())["since"] == SINCE
    assert ladder.write(tmp_path, record, "dev", since=SINCE, baked=False) is None
    assert ladder.served_numbers(tmp_path, "iris", "dev") == [5]


def test_a_full_disk_leaves_no_half_a_record(tmp_path: Path, record: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ReleaseError, match="No space left"):
        ladder.write(tmp_path, record, "dev", since=SINCE, baked=True)
    assert list(ladder.served_path(tmp_path, "iris", "dev", 5).parent.iterdir()) == []


def proven(release: int, image: str = f"{REGISTRY}/{IMAGE}", since: str = SINCE) -> Proven:
    return Proven(release, image, f"hash-{release}", since)


@pytest.mark.parametrize(
    ("account", "at", "baked"),
    [
        ((proven(5), proven(4)), "2026-11-24T12:00:01Z", True),
        ((proven(5),), "2026-11-24T12:04:59Z", False),
        ((proven(5),), "2026-11-24T12:05:00Z", True),
    ],
)
def test_a_first_release_bakes_by_serving_as_long(account: tuple[Proven, ...], at: str, baked: bool) -> None:
    now = datetime.fromisoformat(at).astimezone(UTC)
    assert served.has_baked(Ledger(serving=5, proven=account), account[0], 300, now) is baked


@pytest.mark.parametrize(
    ("account", "is_noted"),
    [
        (Ledger(serving=5, proven=(proven(5),)), True),
        (Ledger(serving=4, proven=(proven(5),)), False),
        (Ledger(serving=5, proven=(proven(4),)), False),
        (Ledger(serving=5, proven=(proven(5, image="elsewhere/iris@sha256:1"),)), False),
        (Ledger(), False),
    ],
)
@pytest.mark.usefixtures("record")
def test_only_what_the_clusters_own_account_proves_goes_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], account: Ledger, is_noted: bool
) -> None:
    monkeypatch.setattr("pipelines.kubeconfig.ensure_kubeconfig", lambda *_: None)
    monkeypatch.setattr(served, "connect", lambda *_: None)
    monkeypatch.setattr("infra.kubernetes.ledger.read", lambda *_: account)
    monkeypatch.setattr(StackConfig, "store", lambda *_: tmp_path)
    written = served.record_served(tmp_path, "staging", config("staging"))
    assert [path.name for path in written] == (["5.yaml"] if is_noted else [])
    assert ("staging serves iris 5" if is_noted else "not on record") in capsys.readouterr().out


def test_a_cluster_that_is_away_does_not_fail_the_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: Any) -> None:
        raise PlatformError("the cluster cannot be reached", where="staging")

    monkeypatch.setattr("pipelines.kubeconfig.ensure_kubeconfig", away)
    assert served.record_served(tmp_path, "staging", config("staging")) == []
    assert "make up STACK=staging again" in capsys.readouterr().out


@pytest.mark.parametrize("stack", ["local", "prod"])
def test_nothing_asks_for_the_record_of_a_stack_that_is_below_none(tmp_path: Path, stack: str) -> None:
    found = config("prod") if stack == "prod" else parse({"target": "local", "models": {"iris": {"champion": 5}}}, file="Pulumi.local.yaml")
    assert served.record_served(tmp_path, stack, found) == []


@pytest.mark.usefixtures("record")
def test_a_bento_that_lies_elsewhere_is_not_asked_for_where_an_image_runs(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "bentos")
    check(tmp_path, "dev")
