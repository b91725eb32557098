"""What a cluster or a stack's file does not allow: said at preview where it can be known, and nothing half done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import faulty, invariants
from tests.clustered import CLUSTER, ClusterStack, clustered
from tests.laptop import FAST, wait_until

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(autouse=True)
def rested(town: ClusterStack) -> Iterator[None]:
    """Ends with the file as it was when only release 1 was there."""
    town.champion(1, rollout=FAST)
    text = town.config.read_text(encoding="utf-8")
    yield
    town.config.write_text(text, encoding="utf-8")


@pytest.fixture
def served(town: ClusterStack, rested: None) -> Iterator[ClusterStack]:
    """A stack that is as its file says before a test, and as the file said then after it."""
    del rested
    text = town.config.read_text(encoding="utf-8")
    yield town
    town.config.write_text(text, encoding="utf-8")
    town.up()


def edit(town: ClusterStack, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the stack's file as a person would."""
    document = yaml.safe_load(town.config.read_text(encoding="utf-8"))
    change(document["config"])
    town.config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def no_kubeconfig(town: ClusterStack) -> None:
    edit(town, lambda config: config["mldelivery:kubernetes"].update(kubeconfig="no/such/file"))


def wrong_context(town: ClusterStack) -> None:
    edit(town, lambda config: config["mldelivery:kubernetes"].update(context="elsewhere"))


def nobody_there(town: ClusterStack) -> None:
    document = yaml.safe_load((CLUSTER / "kubeconfig").read_text(encoding="utf-8"))
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    path = town.root / "nobody.kubeconfig"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    edit(town, lambda config: config["mldelivery:kubernetes"].update(kubeconfig=str(path)))


def no_image(town: ClusterStack) -> None:
    faulty.make(town.store, 90)
    town.champion(90)


def signature(town: ClusterStack, number: int) -> Path:
    return town.store / "releases" / "iris" / f"{number}.dsse.json"


def no_signature(town: ClusterStack) -> None:
    town.make_release(91)
    signature(town, 91).unlink()
    town.champion(91)


def anothers_signature(town: ClusterStack) -> None:
    for number in (92, 93):
        town.make_release(number)
    shutil.copy2(signature(town, 92), signature(town, 93))
    town.champion(93)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (no_kubeconfig, "no/such/file"),
        (wrong_context, "there is no such context\n  got:     'elsewhere'\n  allowed: mldelivery"),
        (nobody_there, "127.0.0.1:9"),
        (no_image, "make up STACK=cluster makes it; so does: python -m pipelines image iris 90 --stack cluster"),
        (no_signature, "is not signed"),
        (anothers_signature, "signature"),
    ],
)
def test_what_cannot_be_right_is_refused_at_preview(town: ClusterStack, break_it: Callable[[ClusterStack], None], words: str) -> None:
    break_it(town)
    out = town.refused("preview", "--stack", town.stack)
    assert words in out and "do: " in out, out
    invariants.only_one_answers(town, 1)


def test_a_first_update_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with clustered(tmp_path) as other:
        other.champion(1, rollout=FAST)
        wrong_context(other)
        out = other.refused("up", "--stack", other.stack)
        assert "elsewhere" in out and "do: " in out and "Updating" not in out, out
        assert not (other.store / "releases").exists(), "a release was made for a cluster that is not there"


def test_what_somebody_deleted_is_made_again_by_the_same_command(served: ClusterStack) -> None:
    before = invariants.records(served)
    served.kubectl("delete", "namespace", served.namespace, "--wait=true")
    out = served.ok("preview", "--stack", served.stack)
    assert "the Rollout iris is not there any more" in out and "Rollout: (create)" in out, out
    assert "none -> 1 | 1/2 golden replay | pass" in served.up()
    invariants.check(served, champion=1, load=None, between={1}, before=before, reconcile=False)


def test_a_release_that_somebody_went_back_to_by_hand_is_told_and_put_right(served: ClusterStack) -> None:
    served.make_release(96)
    before = invariants.records(served)
    served.up()
    old = json.loads(served.kubectl("get", "rollout.argoproj.io", "iris", "--output=json"))
    served.ok("promote", "iris", "96", "--stack", served.stack)
    # By a patch, not by a whole object: its controller may write to it between a look and a replacement.
    change = [{"op": "replace", "path": "/spec/template", "value": old["spec"]["template"]}]
    served.kubectl("patch", "rollout.argoproj.io", "iris", "--type=json", f"--patch={json.dumps(change)}")
    wait_until(lambda: served.ask(served.golden(1)[0]["request"])[1].get("x-release") == "1", what="1 answers again")
    out = served.ok("preview", "--stack", served.stack)
    assert "somebody else gave the Rollout iris release 1, not 96" in out and 'mldelivery/release: "1" => "96"' in out, out
    out = served.up()
    assert "96 answers everything; 1 retires" in out, out
    invariants.check(served, champion=96, load=None, between={96}, before=before, reconcile=False)
    served.ok("promote", "iris", "1", "--stack", served.stack)


def test_a_quota_that_leaves_no_room_is_named_and_nothing_moves(served: ClusterStack) -> None:
    served.make_release(94)
    before = invariants.records(served)
    soon: dict[str, Any] = {"ready-seconds": 8}
    served.champion(1, **soon)
    served.up()
    served.kubectl("create", "quota", "small", "--hard=pods=1")
    try:
        with served.load(rate=40) as load:
            out = served.refused("promote", "iris", "94", "--stack", served.stack)
            load.wait_for(20)
    finally:
        served.kubectl("delete", "quota", "small")
    assert "exceeded quota: small" in out and "No user's request reached 94" in out
    invariants.check(served, champion=1, load=load, between={1}, before=before, reconcile=False)


def test_an_autoscaler_says_how_many_pods_there_are(served: ClusterStack) -> None:
    served.make_release(95)
    before = invariants.records(served)
    served.champion("none")
    served.up()
    served.champion(1, replicas=2, autoscale={"maximum": 3})
    served.up()

    def pods(release: int) -> int:
        return len(served.objects("pods", f"--selector=mldelivery/release={release}", "--field-selector=status.phase=Running"))

    # Nothing measures their load here, so that it stays at the least; what the Rollout itself says is ignored.
    wait_until(lambda: pods(1) == 2, what="the autoscaler's least number of pods")
    with served.load(rate=40) as load:
        served.ok("promote", "iris", "95", "--stack", served.stack)
        assert pods(95) == 2
        served.ok("promote", "iris", "1", "--stack", served.stack)
        load.wait_for(20)
    scalers = served.objects("horizontalpodautoscalers")
    assert [found["status"].get("lastScaleTime") for found in scalers] == [None], "it had to mend the number of pods"
    invariants.check(served, champion=1, load=load, between={1, 95}, before=before, reconcile=False)
