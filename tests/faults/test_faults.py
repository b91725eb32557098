"""What breaks beside a rollout: servers, the gateway, MLflow, ports, other people."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
import yaml

from infra.local.process import is_free
from infra.release import record_path
from tests import faulty, invariants
from tests.laptop import FAST, Laptop, laptop, wait_until
from tests.load import Load

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(autouse=True)
def rested(home: Laptop) -> None:
    """Every test begins with release 1 serving and nothing to do."""
    home.champion(1, replicas=1, rollout=FAST)
    home.up()


@contextlib.contextmanager
def stranger_on(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else that listens on a port."""
    code = f"import socket,time; s=socket.create_server(('127.0.0.1',{port})); print('up',flush=True); time.sleep(600)"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLDELIVERY_")}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def program(home: Laptop, name: str) -> psutil.Process:
    """The supervised process of this name."""
    daemon = psutil.Process(int((home.store / "supervisor" / "supervisord.pid").read_text(encoding="utf-8")))
    for child in daemon.children():
        with contextlib.suppress(psutil.Error):
            if child.environ().get("SUPERVISOR_PROCESS_NAME") == name:
                return child
    raise AssertionError(f"{name} does not run")


def test_a_server_that_is_killed_comes_back_and_users_do_not_notice(home: Laptop) -> None:
    before = invariants.records(home)
    with home.load(rate=60) as load:
        load.wait_for(30)
        for _ in range(6):
            # A program that ends in its first second has failed to start, for the supervisor: it would be tried later and later.
            wait_until(lambda: "RUNNING" in supervised(home, "status", "serve-iris-1-0"), what="the server has started")
            program(home, "serve-iris-1-0").kill()
            load.wait_for(120)
    invariants.check(home, champion=1, load=load, between={1}, before=before, reconcile=False)


def test_a_gateway_that_is_killed_comes_back_with_the_same_routes(home: Laptop) -> None:
    before = invariants.records(home)
    program(home, "gateway").kill()

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return home.ask(home.golden(1)[0]["request"])[0] == 200
        return False

    wait_until(answers, seconds=30, what="the gateway answers again")
    invariants.check(home, champion=1, load=None, between={1}, before=before, reconcile=False)


def test_a_gateway_that_is_killed_during_a_rollout_does_not_decide_it(home: Laptop) -> None:
    home.make_release(60)
    before = invariants.records(home)
    home.champion(60, rollout={**FAST, "step-seconds": 3})
    update = home.start("up", "--stack", "local")
    path = home.store / "gateway" / "routes" / "iris.yaml"
    wait_until(lambda: "iris-60-probe" in path.read_text(encoding="utf-8"), what="the first step")
    program(home, "gateway").kill()
    out, _ = update.communicate(timeout=120)
    assert update.returncode == 0, out
    invariants.check(home, champion=60, load=None, between={1, 60}, before=before, reconcile=False)


def test_a_supervisor_that_is_killed_is_started_again_with_all_that_it_ran(home: Laptop) -> None:
    before = invariants.records(home)
    psutil.Process(int((home.store / "supervisor" / "supervisord.pid").read_text(encoding="utf-8"))).kill()
    time.sleep(0.5)
    home.up()
    invariants.check(home, champion=1, load=None, between={1}, before=before, reconcile=False)


def test_promotion_return_and_preview_do_not_need_mlflow(home: Laptop) -> None:
    home.make_release(61)
    before = invariants.records(home)
    ports = yaml.safe_load(home.config.read_text(encoding="utf-8"))["config"]["mldelivery:ports"]
    supervised(home, "stop", "mlflow")
    # Its own children, which have the port, end a moment after it.
    wait_until(lambda: is_free(ports["mlflow"]), what="MLflow's port is free")
    with stranger_on(ports["mlflow"]) as stranger, home.load(rate=40) as load:
        home.ok("preview", "--stack", "local")
        out = home.ok("promote", "iris", "61")
        assert f"port {ports['mlflow']} is taken by process {stranger.pid}" in out
        assert "Models are served without mlflow" in out
        assert "MLflow's alias champion-local is not up to date yet, the next `make up` does it" in out
        home.ok("promote", "iris", "1")
        assert stranger.poll() is None
    invariants.check(home, champion=1, load=load, between={1, 61}, before=before)


def test_a_port_that_a_stranger_holds_is_named_and_the_stranger_lives(home: Laptop) -> None:
    ports = yaml.safe_load(home.config.read_text(encoding="utf-8"))["config"]["mldelivery:ports"]
    home.ok("down", "--stack", "local")
    with stranger_on(ports["gateway"]) as stranger:
        out = home.refused("up", "--stack", "local")
        assert f"port {ports['gateway']} is taken by process {stranger.pid}" in out
        assert "mldelivery:ports" in out
        assert stranger.poll() is None
    home.up()
    invariants.check(home, champion=1, load=None, between={1}, before=invariants.records(home), reconcile=False)


def test_a_new_server_takes_another_port_than_a_strangers(home: Laptop) -> None:
    home.make_release(62)
    ports = yaml.safe_load(home.config.read_text(encoding="utf-8"))["config"]["mldelivery:ports"]
    with contextlib.ExitStack() as strangers:
        for offset in range(4):
            with contextlib.suppress(AssertionError):
                strangers.enter_context(stranger_on(ports["servers"] + offset))
        home.ok("promote", "iris", "62")
    invariants.only_one_answers(home, 62)
    home.ok("promote", "iris", "1")


def test_two_updates_at_once_one_wins_and_the_other_names_it(home: Laptop) -> None:
    home.make_release(63)
    before = invariants.records(home)
    with home.load(rate=40) as load:
        home.champion(63, rollout={**FAST, "step-seconds": 4})
        first = home.start("up", "--stack", "local")
        wait_until(lambda: any((home.state / "locks").rglob("*.json")), what="the lock")
        out = home.refused("up", "--stack", "local")
        assert "another update holds stack local: process " in out and "wait for it to end" in out
        text, _ = first.communicate(timeout=120)
        assert first.returncode == 0, text
    invariants.check(home, champion=63, load=load, between={1, 63}, before=before)


def test_two_people_promoting_at_once_and_a_return_during_a_rollout(home: Laptop) -> None:
    home.make_release(64)
    home.make_release(65)
    before = invariants.records(home)
    home.champion(1, rollout={**FAST, "step-seconds": 4})
    with home.load(rate=40) as load:
        first = home.start("promote", "iris", "64")
        wait_until(lambda: "champion: 64" in home.config.read_text(encoding="utf-8"), what="the edit")
        for other in ("65", "1"):
            out = home.refused("promote", "iris", other)
            assert f"is held by process {_driver(first.pid)}" in out and "wait for that promotion to end" in out
        text, _ = first.communicate(timeout=120)
        assert first.returncode == 0, text
    invariants.check(home, champion=64, load=load, between={1, 64}, before=before)
    home.ok("promote", "iris", "1")


def test_promoting_the_same_number_twice_changes_nothing_the_second_time(home: Laptop) -> None:
    home.make_release(66)
    home.ok("promote", "iris", "66")
    text = home.config.read_text(encoding="utf-8")
    out = home.ok("promote", "iris", "66")
    assert "66 is the champion in Pulumi.local.yaml already" in out
    assert "unchanged" in out and "step" not in out
    assert home.config.read_text(encoding="utf-8") == text
    home.ok("promote", "iris", "1")


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        ("digest", "what release 67 of iris would run is not what was recorded"),
        ("record", "it was altered or is damaged"),
        ("gate", "gate 'evaluation' says fail"),
        ("missing", "release 67 of iris does not exist"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_touched(home: Laptop, break_it: str, words: str) -> None:
    home.make_release(67)
    record = record_path(home.store, "iris", 67)
    if break_it == "digest":
        with (home.store / "bentos" / "iris" / "67" / "src" / "serving" / "app.py").open("a", encoding="utf-8") as file:
            file.write("# altered\n")
    elif break_it == "record":
        record.write_text(record.read_text(encoding="utf-8").replace("accuracy", "acuracy"), encoding="utf-8")
    elif break_it == "gate":
        _rewrite(home, 67, {"gates": {"evaluation": "fail"}})
    else:
        record.unlink()
    text = home.config.read_text(encoding="utf-8")
    out = home.refused("promote", "iris", "67")
    assert words in out and "Pulumi.local.yaml: mldelivery:models.iris.champion" in out
    assert home.config.read_text(encoding="utf-8") == text
    home.champion(67)
    for command in ("preview", "up"):
        out = home.refused(command, "--stack", "local")
        assert words in out and "Pulumi.local.yaml: mldelivery:models.iris.champion" in out
    home.champion(1)
    home.has_no_changes()
    record.unlink(missing_ok=True)


def test_clients_errors_abort_no_rollout(home: Laptop) -> None:
    home.make_release(68)
    before = invariants.records(home)
    bad = Load(home.connect, "/iris/predict", [{"rows": []}, {"rows": [{"sepal_length_cm": "x"}]}, {}, []], rate=80)
    with home.load(rate=40) as load, bad:
        home.ok("promote", "iris", "68")
    assert bad.answers and all(400 <= answer.status < 500 for answer in bad.answers)
    invariants.check(home, champion=68, load=load, between={1, 68}, before=before, reconcile=False)
    home.ok("promote", "iris", "1")


def test_a_flood_of_bad_requests_is_no_sample(home: Laptop) -> None:
    home.make_release(69)
    home.champion(1, rollout={**FAST, "insufficient": "abort"})
    with Load(home.connect, "/iris/predict", [{}], rate=100) as bad:
        done = home.run("promote", "iris", "69")
    assert len(bad.answers) > 100
    assert done.returncode == 1
    assert "0 of at least 30 requests seen" in done.stdout


def test_no_update_stops_what_serves_when_the_terminal_hangs_up(home: Laptop) -> None:
    home.make_release(70)
    home.champion(70, rollout={**FAST, "step-seconds": 3})
    with home.load(rate=40) as load:
        update = home.start("up", "--stack", "local")
        path = home.store / "gateway" / "routes" / "iris.yaml"
        wait_until(lambda: "iris-70-probe" in path.read_text(encoding="utf-8"), what="the first step")
        os.killpg(update.pid, signal.SIGHUP)
        update.communicate(timeout=120)
        load.wait_for(40)
        home.champion(1, rollout=FAST)
        home.up()
    invariants.check(home, champion=1, load=load, between={1, 70}, before=invariants.records(home))


def test_a_model_is_removed_and_comes_back(home: Laptop) -> None:
    document = yaml.safe_load(home.config.read_text(encoding="utf-8"))
    home.champion("none")
    home.up()
    assert home.ask(home.golden(1)[0]["request"])[0] == 404
    assert home.serving() == set()
    home.config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    home.up()
    invariants.only_one_answers(home, 1)


def test_a_first_release_that_is_wrong_gets_no_route(home: Laptop) -> None:
    home.make_release(71, fault=faulty.one_wrong_answer)
    home.champion("none")
    home.up()
    done = home.run("promote", "iris", "71")
    assert done.returncode == 1 and "No route was opened" in done.stdout, done.stdout
    assert home.ask(home.golden(1)[0]["request"])[0] == 404
    assert "champion: none" in home.config.read_text(encoding="utf-8")


def test_a_fresh_laptop_with_no_model_boots(tmp_path_factory: pytest.TempPathFactory) -> None:
    with laptop(tmp_path_factory.mktemp("empty")) as empty:
        empty.configure({})
        empty.up()
        empty.has_no_changes()


def supervised(home: Laptop, act: str, name: str) -> str:
    """Ask the supervisor behind the product's back to do something with a program; returns what it says."""
    config = (home.store / "supervisor" / "supervisord.conf").read_text(encoding="utf-8")
    path = next(line.removeprefix("file=") for line in config.splitlines() if line.startswith("file="))
    command = [sys.executable, "-m", "supervisor.supervisorctl", "-s", f"unix://{path}", act, name]
    # Of a program that does not run, its status has an exit code of its own.
    return subprocess.run(command, check=act != "status", capture_output=True, text=True).stdout


def _driver(pid: int) -> int:
    """The command's own process, whether or not the interpreter is a shim."""
    children = psutil.Process(pid).children()
    return next((child.pid for child in children if "pipelines" in child.cmdline() and child.name().startswith("python")), pid)


def _rewrite(home: Laptop, number: int, changes: dict[str, object]) -> None:
    from infra.release import load, write

    document = load(home.store, "iris", number).as_document()
    del document["digest"]
    record_path(home.store, "iris", number).unlink()
    write(home.store, {**document, **changes})
