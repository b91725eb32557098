"""The newcomer's path: from nothing to a model of one's own that answers through the gateway, by the commands of the guide, timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.laptop import Laptop, laptop

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "churn-rate": ("tabular", {"size": 90.0, "count": 10}),
    "mood": ("text", {"text": "a friendly team and a wonderful lamp, thank you"}),
    "price": ("regression", {"size": 50.0, "count": 10}),
}
SECONDS = 300
"""Half of the ten minutes that a model may take, for one of them, beside whatever else this machine does."""


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A copy of the checkout, in which nothing has run yet."""
    with laptop(tmp_path_factory.mktemp("newcomer")) as made:
        made.configure({})
        yield made


@pytest.mark.timeout(900)
def test_from_a_name_to_an_answer(newcomer: Laptop) -> None:
    served: dict[str, dict[str, Any]] = {}
    for name, (kind, row) in MODELS.items():
        started = time.monotonic()
        said = newcomer.ok("new-model", name, kind)
        assert f"make release MODEL={name}" in said
        assert f"{name}: release 1 is made" in newcomer.ok("release", name)
        served[name] = {"champion": 1}
        newcomer.configure(served)
        newcomer.up()
        status, headers, answer = newcomer.ask({"rows": [row]}, path=f"/{name}/predict")
        seconds = time.monotonic() - started
        print(f"{kind}: {seconds:.1f} s from a name to an answer")
        assert (status, headers["x-release"]) == (200, "1"), answer
        assert newcomer.ok("card", name, "1").strip() == str(newcomer.store / "releases" / name / "1.html")
        assert seconds < SECONDS
    assert newcomer.ask({"rows": [MODELS["churn-rate"][1]]}, path="/churn-rate/predict")[2]["predictions"][0]["label"] == "large"
    assert newcomer.ask({"rows": [MODELS["mood"][1]]}, path="/mood/predict")[2]["predictions"][0]["label"] == "praise"
    assert 290 < newcomer.ask({"rows": [MODELS["price"][1]]}, path="/price/predict")[2]["predictions"][0]["value"] < 370
    newcomer.has_no_changes()


def test_a_mistake_is_told_in_words_and_leaves_nothing(newcomer: Laptop) -> None:
    before = sorted(path.name for path in (newcomer.root / "models").iterdir())
    for arguments, said in (
        (("new-model", "iris", "tabular"), "there is such a model already"),
        (("new-model", "Churn Rate", "tabular"), "such as NAME=churn-rate"),
        (("new-model", "other", "image"), "regression, tabular, text"),
        (("card", "iris", "7"), "release 7 of iris does not exist"),
    ):
        assert said in newcomer.refused(*arguments)
    assert sorted(path.name for path in (newcomer.root / "models").iterdir()) == before
