"""The evidence card: made by the pipeline, kept beside the record, and looked at in a real Chromium with scripts disabled."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas
import pytest
import yaml

from infra import release
from infra.errors import ReleaseError
from pipelines import rows
from pipelines.artifacts import Snapshot
from pipelines.card import find, main
from pipelines.card.page import page
from pipelines.failures import GateFailed
from pipelines.model import read
from pipelines.snapshot import path_of
from pipelines.validate import validate
from pipelines.work import Work
from tests.browser import Browser, browser
from tests.cards import card
from tests.pipelines.laboratory import LATER, ROOT, Laboratory, folders_for

HEADINGS = (
    "What to look at",
    "Metrics",
    "By class",
    "What is taken for what",
    "Can answers be taken at their word?",
    "By slice",
    "Answers that change",
    "Data, beside the champion's",
    "Gates",
    "How it will take over, and how to go back",
    "Made from",
)
LOW_CONTRAST = """
(() => {
  const numbers = text => {
    const found = text.match(/[\\d.]+(e-\\d+)?/g).map(Number);
    const scale = text.startsWith('color(') ? 255 : 1;
    return [...found.slice(0, 3).map(each => each * scale), found[3] ?? 1];
  };
  const linear = each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(each => linear(each / 255))
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = element => {
    for (let each = element; each; each = each.parentElement) {
      const found = numbers(getComputedStyle(each).backgroundColor);
      if (found[3] === 1) return found;
    }
    return [255, 255, 255, 1];
  };
  const bad = [];
  for (const element of document.querySelectorAll('body *')) {
    const says = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!says || element.closest('title')) continue;
    const style = getComputedStyle(element);
    const pair = [light(numbers(element.closest('svg') ? style.fill : style.color)), light(behind(element))].sort((a, b) => b - a);
    if ((pair[0] + 0.05) / (pair[1] + 0.05) < 4.5) bad.push(element.textContent.trim().slice(0, 40));
  }
  return bad;
})()
"""
"""Texts whose contrast with what is behind them is below 4.5 (WCAG 2, AA)."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, first_store: Path) -> Laboratory:
    """A store with release 2, compared with champion 1."""
    place = tmp_path_factory.mktemp("card")
    shutil.copytree(first_store, place / "store")
    laboratory = Laboratory(place / "store", folders_for(place / "models"))
    assert laboratory.release(until=LATER, champion="1").release == 2
    return laboratory


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_of_a_release_can_be_read(made: Laboratory, chromium: Browser, width: int, dark: bool) -> None:
    path, _ = find(made.store, "iris", 2)
    chromium.open(path, width=width, dark=dark)
    text = chromium.text()
    assert "Release 2 is not worse than champion 1: accuracy differs by" in text
    assert [heading for heading in HEADINGS if heading not in text] == []
    record = release.load(made.store, "iris", 2)
    for fact in (record.snapshot.digest, record.code, record.environment, record.golden.digest, record.bento.digest, "max-iterations 1000"):
        assert fact in text
    assert "60 new, 0 gone" in text
    assert "make promote MODEL=iris RELEASE=1" in text
    assert chromium.requests == [path.as_uri()]
    assert chromium.evaluate("document.scripts.length") == 0
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    assert chromium.evaluate(LOW_CONTRAST) == []
    background = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 150) is dark


def test_a_screen_reader_has_names_for_everything(made: Laboratory, chromium: Browser) -> None:
    chromium.open(find(made.store, "iris", 2)[0])
    names = chromium.names()
    assert [heading for heading in HEADINGS if heading not in names["heading"]] == []
    assert len(names["image"]) >= 3
    assert all(names["image"])
    assert all(names["region"])
    assert any("accuracy, release 2 minus champion 1: −0.020" in name for name in names["image"])
    assert chromium.evaluate("[...document.querySelectorAll('table')].filter(each => !each.querySelector('th[scope]')).length") == 0


def test_the_first_release_has_a_card_without_a_champion(made: Laboratory, chromium: Browser) -> None:
    chromium.open(find(made.store, "iris", 1)[0], width=390)
    text = chromium.text()
    assert "Release 1 is the first of iris" in text
    assert "Champion" not in text.replace("CHAMPION", "").split("How it will take over")[0].replace("no champion yet", "")
    assert chromium.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize(
    "made_up",
    [
        card(classes=2, text="Frachtführer " * 20),
        card(classes=150, columns=60),
        card(is_regression=True),
        card(is_regression=True, champion=None),
        card(text="w" * 300),
        card(text='<script>document.title = "run"</script><img src="http://127.0.0.1:9/x.png" onerror="document.title=1">'),
    ],
    ids=["long texts", "150 classes", "regression", "regression without a champion", "a word without end", "markup"],
)
def test_any_card_fits_a_narrow_window_and_runs_nothing(chromium: Browser, tmp_path: Path, made_up: object) -> None:
    path = tmp_path / "card.html"
    path.write_text(page(made_up), encoding="utf-8")  # type: ignore[arg-type]
    chromium.open(path, width=390, scripts=True)
    assert chromium.evaluate("document.documentElement.scrollWidth") == 390
    assert chromium.evaluate("document.title") == "churn 2: evidence"
    assert chromium.evaluate("document.querySelectorAll('script, img').length") == 0
    assert chromium.requests == [path.as_uri()]


# the result of validation, which the record and the card name


DRAWN_OUTSIDE = """
[...document.querySelectorAll('.wide svg')].filter(each => {
  const [inner, outer] = [each, each.closest('.wide')].map(element => element.getBoundingClientRect());
  return inner.width < 60 || inner.right > outer.right + 1 || inner.left < outer.left;
}).length
"""
"""Drawings of which a part is cut off."""


def refused(store: Path, scratch: Path, spoil: Callable[[pandas.DataFrame], None]) -> Path:
    """The page that validation leaves of release 2's snapshot, its rows spoiled."""
    record = release.load(store, "iris", 2)
    frame = rows.read(store / path_of("iris", record.snapshot.digest))
    spoil(frame)
    frame.to_parquet(scratch / "snapshot.parquet")
    folder = ROOT / "models" / "iris"
    nothing = "sha256:" + "0" * 64
    work = Work(
        root=ROOT,
        store=scratch,
        folder=folder,
        model=read(folder),
        until=LATER,
        champion=None,
        number=3,
        reason="a test",
        code=nothing,
        environment=nothing,
        tracking="",
        output=scratch,
        place="output",
    )
    about = record.snapshot
    snapshot = Snapshot(
        path="snapshot.parquet",
        digest=about.digest,
        rows=len(frame),
        holdout_rows=int(frame[rows.HOLDOUT].sum()),
        first=about.first,
        last=about.last,
        batches=(),
    )
    with pytest.raises(GateFailed):
        validate(work, snapshot)
    return scratch / "report.html"


def spoil(frame: pandas.DataFrame) -> None:
    frame.loc[3:40, "sepal_length_cm"] = None
    frame.loc[5, "petal_width_cm"] = 99.0
    frame.loc[8, "species"] = "<script>document.title = 1</script>" + "w" * 300
    frame.loc[9, "species"] = " "
    frame["petal_length_cm"] *= 1.7


def check_page(chromium: Browser, path: Path, *, width: int, dark: bool) -> str:
    """What holds of every such page, whoever looks at it how; its text."""
    chromium.open(path, width=width, dark=dark)
    assert chromium.requests == [path.as_uri()]
    assert chromium.evaluate("document.querySelectorAll('script, img').length") == 0
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    assert chromium.evaluate(LOW_CONTRAST) == []
    assert chromium.evaluate("document.querySelectorAll('.wide svg').length") >= 5
    assert chromium.evaluate(DRAWN_OUTSIDE) == 0
    background = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 150) is dark
    return chromium.text()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_result_of_validation_can_be_read(made: Laboratory, chromium: Browser, width: int, dark: bool) -> None:
    record = release.load(made.store, "iris", 2)
    assert record.validation is not None
    chromium.open(find(made.store, "iris", 2)[0])
    links = chromium.evaluate("[...document.querySelectorAll('a')].map(each => each.href)")
    assert (made.store / record.validation.path).as_uri() in links
    text = check_page(chromium, made.store / record.validation.path, width=width, dark=dark)
    assert "All 27 expectations are fulfilled." in text
    assert record.snapshot.digest in text
    assert "expect_column_values_to_be_between" in text
    assert "fail" not in text


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_failed_expectation_is_read_first_with_its_rows(
    made: Laboratory, chromium: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    text = check_page(chromium, refused(made.store, tmp_path, spoil), width=width, dark=dark)
    assert "5 of 27 expectations failed: nothing was trained on this data." in text
    before, after = text.split("\nExpectations\n")
    assert "sepal_length_cm: is filled in every row" in before
    assert "The first 20 of 38 rows." in before
    assert ["2026-09-21.csv", "7", "99"] in [line.split() for line in before.splitlines()]
    assert "<script>document.title = 1</script>www" in before
    assert "blank" in before
    assert "infinite: it holds what the reference does not" in after
    assert after.count("fail\t") == 5
    assert after.rindex("fail\t") < after.index("pass\t")
    assert chromium.evaluate("document.title") == "iris: validation of its data"
    names = chromium.names()
    assert [each for each in names["heading"] if each in ("Rows that failed", "Expectations")] == ["Rows that failed", "Expectations"]
    assert all(names["region"])
    assert chromium.evaluate("[...document.querySelectorAll('table')].filter(each => !each.querySelector('th[scope]')).length") == 0


def test_the_record_names_the_card_by_digest(made: Laboratory, capsys: pytest.CaptureFixture[str]) -> None:
    record = release.load(made.store, "iris", 2)
    assert record.card is not None
    assert record.card.page.path == "releases/iris/2.html"
    assert release.file_digest(made.store / record.card.summary.path) == record.card.summary.digest
    assert main(["iris", "2", "--store", str(made.store)]) == 0
    assert capsys.readouterr().out.strip() == str(made.store / "releases" / "iris" / "2.html")
    assert main(["iris", "2", "--store", str(made.store), "--markdown"]) == 0
    summary = capsys.readouterr().out
    assert len(summary.encode()) < 10_000
    assert "Release 2 is not worse than champion 1" in summary
    assert "| accuracy |" in summary


def test_a_card_that_was_changed_is_refused(made: Laboratory, tmp_path: Path) -> None:
    shutil.copytree(made.store / "releases", tmp_path / "releases")
    changed = tmp_path / "releases" / "iris" / "2.html"
    changed.write_text(changed.read_text(encoding="utf-8").replace("not worse", "better"), encoding="utf-8")
    for stack, command in (("local", "make release MODEL=iris FORCE=1"), ("cluster", "make release MODEL=iris FORCE=1 STACK=cluster")):
        with pytest.raises(ReleaseError, match="not the one that was recorded") as caught:
            find(tmp_path, "iris", 2, stack=stack)
        assert caught.value.act == command


def test_a_record_from_before_cards_stands_and_says_so(made: Laboratory, tmp_path: Path) -> None:
    document = yaml.safe_load((made.store / "releases" / "iris" / "2.yaml").read_text(encoding="utf-8"))
    del document["card"]
    document["digest"] = release.record_digest(document)
    path = tmp_path / "releases" / "iris" / "2.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert "card" not in release.load(tmp_path, "iris", 2).as_document()
    with pytest.raises(ReleaseError, match="has no card"):
        find(tmp_path, "iris", 2)
