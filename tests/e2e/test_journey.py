"""README's commands, run as they stand there on a copy of this checkout; and what README says that one will see."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import faulty
from tests.contracts.files import shell_commands
from tests.laptop import ROOT, Laptop, laptop, lend_environment

pytestmark = pytest.mark.timeout(900)

README = shell_commands((ROOT / "README.md").read_text(encoding="utf-8"))
NOTHING = ("to create", "to update", "to delete", "to replace")


@dataclass
class Checkout:
    """A copy of the checkout, as its user has it in a terminal."""

    at: Laptop

    def run(self, command: str, *, code: int = 0) -> str:
        """Run a command line of README; returns what it printed, both streams together."""
        assert command in README, f"README does not say: {command}"
        return self.sh(command.replace("127.0.0.1:8080", f"127.0.0.1:{self.at.port}"), code=code)

    def sh(self, command: str, *, code: int = 0) -> str:
        done = subprocess.run(
            ["/bin/sh", "-c", f"exec 2>&1; {command}"],
            cwd=self.at.root,
            env=self.at.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == code, f"{command} ended with {done.returncode}:\n{done.stdout}"
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    def curl(self) -> str:
        return self.run(next(command for command in README if command.startswith("curl ")))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A Git checkout that serves iris 1, with release 2 made and not served yet."""
    with laptop(tmp_path_factory.mktemp("journey")) as made:
        del made.environment["PYTHONPATH"]
        lend_environment(made.root)
        copy = Checkout(made)
        copy.sh("git init -q . && git config user.name Someone && git config user.email someone@example.org")
        copy.sh("git add --all && git commit -q -m 'As cloned'")
        (made.root / "up.txt").write_text(copy.run("make up"), encoding="utf-8")
        (made.root / "release.txt").write_text(copy.run("make release MODEL=iris"), encoding="utf-8")
        yield copy


def champion_in_mlflow(checkout: Checkout) -> str:
    """The release whose version MLflow's own server calls the champion of this stack."""
    query = "name=iris&alias=champion-local"
    with urllib.request.urlopen(f"http://127.0.0.1:{checkout.at.port + 2}/api/2.0/mlflow/registered-models/alias?{query}") as answer:
        tags = {tag["key"]: tag["value"] for tag in json.load(answer)["model_version"]["tags"]}
    assert tags["mldelivery.state"] == "released"
    return str(tags["mldelivery.release"])


def commits(checkout: Checkout) -> list[str]:
    return checkout.sh("git log --format=%s").splitlines()


def test_up_serves_and_says_where(checkout: Checkout) -> None:
    said = (checkout.at.root / "up.txt").read_text(encoding="utf-8")
    assert "iris: 1 answers everything" in said
    for port, name in ((checkout.at.port, "gateway"), (checkout.at.port + 2, "MLflow"), (checkout.at.dashboard, "dashboard")):
        assert re.search(rf"^  {name} +http://127\.0\.0\.1:{port}\b", said, re.MULTILINE), said
    request = re.search(r"^  (curl .*)$", said, re.MULTILINE)
    assert request, said
    assert "HTTP/1.1 200 OK" in checkout.sh(request[1]), "the request that `make up` shows does not work"


def test_the_readme_s_request_is_answered_by_release_1(checkout: Checkout) -> None:
    answer = checkout.curl()
    assert "HTTP/1.1 200 OK" in answer and '"label":"setosa"' in answer, answer
    assert re.search(r"^X-Release: 1\r?$", answer, re.MULTILINE | re.IGNORECASE), answer
    assert re.search(r"^X-Request-Id: [0-9a-f]{24}\r?$", answer, re.MULTILINE | re.IGNORECASE), answer


def test_up_again_changes_nothing(checkout: Checkout) -> None:
    began = time.monotonic()
    said = checkout.run("make up")
    assert "8 unchanged" in said and not re.search(r"\d (created|updated|deleted|replaced)", said), said
    assert "champion-local" not in said and champion_in_mlflow(checkout) == "1"
    assert time.monotonic() - began < 60


def test_plain_pulumi_works_in_the_activated_shell(checkout: Checkout) -> None:
    said = checkout.sh("bash -c 'source toolchain/activate && pulumi preview -s local --non-interactive'")
    assert "8 unchanged" in said, said


def test_a_release_tells_its_steps_and_nothing_new_makes_nothing(checkout: Checkout) -> None:
    said = (checkout.at.root / "release.txt").read_text(encoding="utf-8")
    assert "iris: release 2, new data (90 -> " in said, said
    assert re.search(r"evaluate .* against 1 on \d+ rows: pass", said), said
    assert "Serve it: make promote MODEL=iris RELEASE=2" in said
    assert "nothing changed since release 2; nothing was made" in checkout.run("make release MODEL=iris")


def test_the_preview_shows_the_evidence_beside_the_number(checkout: Checkout) -> None:
    checkout.at.champion(2)
    try:
        said = checkout.run("make preview")
    finally:
        checkout.at.champion(1)
    assert "champion: 1 => 2" in said
    for words in (
        r'against-champion: "none: the first release" => "accuracy .* against 1 on \d+ rows; pass',
        r'data +: "90 rows.*" => "',
        r'accuracy: "0\.\d+ \[0\.\d+, \d\.\d+\]" => "0\.',
        r"gates +:.*service pass",
        r'rollout +: "canary: golden replay -> 20 %',
        r"going-back: ",
    ):
        assert re.search(words, said), f"{words} is not in:\n{said}"
    assert "release: 1" in checkout.curl().lower(), "a preview moved traffic"


def test_promote_and_go_back(checkout: Checkout) -> None:
    said = checkout.run("make promote MODEL=iris RELEASE=2")
    for stage in ("1/4 golden replay | pass", "2/4 20 % | pass", "3/4 60 % | pass", "4/4 bake at 100 % | pass"):
        assert f"iris: 1 -> 2 | {stage}" in said, said
    assert "iris: 2 answers everything; 1 retires" in said
    assert re.search(r"^iris: 2 serves on local after \d+ s\. To go back: make promote MODEL=iris RELEASE=1$", said, re.MULTILINE), said
    assert "release: 2" in checkout.curl().lower()
    assert champion_in_mlflow(checkout) == "2"
    assert not any(words in checkout.sh("make preview") for words in NOTHING)
    back = checkout.run("make promote MODEL=iris RELEASE=1")
    assert "2/2 switch to 100 % | pass: proven before" in back and "bake at 100 % |" not in back, back
    assert "release: 1" in checkout.curl().lower()
    assert champion_in_mlflow(checkout) == "1"


def test_an_abort_puts_the_number_back_in_two_commits(checkout: Checkout) -> None:
    checkout.sh("git add --all && git commit -q --allow-empty -m Before")
    faulty.make(checkout.at.store, 3, source=2, fault=faulty.one_wrong_answer)
    text, before = checkout.at.config.read_text(encoding="utf-8"), commits(checkout)
    said = checkout.sh("make promote MODEL=iris RELEASE=3 COMMIT=1", code=2)
    assert "1/4 golden replay | fail: 1 of " in said
    assert "No user's request reached 3. All traffic is on 1 again." in said
    assert "3 was not promoted; 1 is back in Pulumi.local.yaml" in said
    assert checkout.at.config.read_text(encoding="utf-8") == text
    assert commits(checkout) == ["Return iris 3 -> 1 on local", "Promote iris 1 -> 3 on local", *before]
    assert "golden requests got another answer than recorded" in checkout.sh("git log -1 --format=%b")
    assert checkout.sh("git diff HEAD~2 -- Pulumi.local.yaml") == ""
    assert champion_in_mlflow(checkout) == "1"
    assert not any(words in checkout.sh("make preview") for words in NOTHING)


def test_status_and_logs(checkout: Checkout) -> None:
    status = checkout.run("make status")
    assert re.search(r"^iris +1 .* 1 100 % +ready +7 passed", status, re.MULTILINE), status
    logs = checkout.run("make logs")
    assert "serve-iris-1-0.log" in logs and "iris release 1 is ready" in logs, logs


def test_down_ends_everything_and_keeps_the_releases(checkout: Checkout) -> None:
    checkout.run("make down")
    assert checkout.at.remaining() == []
    assert "down (make up)" in checkout.sh("make status")
    said = checkout.sh("make up")
    assert "making release 1" not in said and "iris: 1 answers everything" in said, said
    assert "release: 1" in checkout.curl().lower()


def test_make_test_runs_the_phases_of_a_checkout(checkout: Checkout, tmp_path: Path) -> None:
    """On a copy with one test: all of them would run this one."""
    small = Checkout(Laptop(tmp_path, 0, environment=checkout.at.environment))
    for name in ("Makefile", "pyproject.toml", "toolchain", "requirements.txt", "requirements-dev.txt"):
        source = checkout.at.root / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, tmp_path / name)
    lend_environment(tmp_path)
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    test = tmp_path / "tests" / "unit" / "test_one.py"
    test.write_text("def test_one() -> None:\n    assert True\n", encoding="utf-8")
    assert "1 passed, 0 failed, 0 skipped" in small.run("make test")
    test.write_text("def test_one() -> None:\n    assert False\n", encoding="utf-8")
    assert "0 passed, 1 failed, 0 skipped" in small.run("make test", code=2)
