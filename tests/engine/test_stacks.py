"""The real engine over every stack: previews from nothing, refusals without a traceback, plain `pulumi` as users type it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.release import write
from tests.laptop import Laptop
from tests.unit.infra.test_release import document

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A copy of the checkout with records and Bentos, and nothing running."""
    made = Laptop.make(tmp_path_factory.mktemp("engine"))
    for number in (1, 2):
        write(made.store, document(made.store, number))
    made.environment |= {"PULUMI_BACKEND_URL": f"file://{made.store / 'state'}", "PULUMI_CONFIG_PASSPHRASE": ""}
    yield made
    made.destroy()


def pulumi(copy: Laptop, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["pulumi", *arguments, "--non-interactive"],
        cwd=copy.root,
        env=copy.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


def test_the_local_stack_previews_from_nothing_and_starts_nothing(copy: Laptop) -> None:
    out = copy.ok("preview", "--stack", "local")
    for name in ("gateway", "mlflow", "serve-iris-1", "route-iris"):
        assert f"::{name}]" in out
    assert 'accuracy: "0.950 [0.900, 1.000]"' in out
    assert not copy.remaining()


def test_plain_pulumi_shows_the_same(copy: Laptop) -> None:
    pulumi(copy, "stack", "init", "local")
    done = pulumi(copy, "preview", "--diff", "--stack", "local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'accuracy: "0.950 [0.900, 1.000]"' in done.stdout


def test_a_stack_that_does_not_exist_is_named(copy: Laptop) -> None:
    out = copy.refused("up", "--stack", "porduction")
    assert "Pulumi.porduction.yaml: there is no such stack" in out and "dev, local, prod, staging" in out


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (("champion: 1", "champion: 9"), ("mldelivery:models.iris.champion: release 9 of iris does not exist", "allowed: 1, 2")),
        (("champion: 1", "champoin: 1"), ("unknown key 'champoin'", "did you mean 'champion'?")),
        (("champion: 1", "champion: '1'"), ("valid integer", "got:     '1'")),
        (("champion: 1", "champion: 1\n      champion: 2"), ("stands twice",)),
    ],
)
def test_a_mistake_in_the_file_is_refused_by_our_command_and_by_plain_pulumi(
    copy: Laptop, edit: tuple[str, str], words: tuple[str, ...]
) -> None:
    text = copy.config.read_text(encoding="utf-8")
    copy.config.write_text(text.replace(*edit), encoding="utf-8")
    try:
        out = copy.refused("preview", "--stack", "local")
        for word in words:
            assert word in out
        plain = pulumi(copy, "preview", "--stack", "local")
        assert plain.returncode != 0
        assert "Traceback" not in plain.stdout + plain.stderr
    finally:
        copy.config.write_text(text, encoding="utf-8")


def test_an_empty_state_shows_creations_only(copy: Laptop) -> None:
    """From an empty state the engine can only create; the diff of a served stack is shown by the end-to-end tests."""
    out = copy.ok("preview", "--stack", "local")
    assert "+ 8 to create" in out


def test_without_an_engine_the_message_says_what_to_do(copy: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(copy.environment, "PATH", str(Path("/usr/bin")))
    out = copy.refused("preview", "--stack", "local")
    assert "pulumi is not on PATH" in out and "toolchain/activate" in out
