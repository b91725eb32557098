"""MLflow's server on the real cluster: two pods on PostgreSQL and an S3 store behind the gateway, and what happens when parts go away."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from tests.clustered import ClusterStack
from tests.laptop import wait_until
from tests.reach import reaches
from tests.tracked import Tracked, tracked_by
from toolchain.cluster import API, DATABASE, NODE, STORE, Place
from toolchain.cluster.node import Node

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def tracked(cluster: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracked]:
    """A stack with two pods of MLflow that start at once on an empty database, and no model served."""
    stack = ClusterStack.make(tmp_path_factory.mktemp("tracked"))
    stack.configure({"iris": {"champion": "none"}})
    with tracked_by(stack) as made:
        made.configure(replicas=2)
        assert cluster.programs()["store"][0] == "RUNNING"
        try:
            out = stack.ok("up", "--stack", stack.stack)
            assert f"MLflow     {made.url}/" in out
            yield made
        finally:
            stack.destroy()
        # The Secrets in it were not the stack's.
        assert "mlflow-users" in made.kubectl("get", "secrets", "--output=name")
        assert not made.kubectl("get", "deployments,ingressroutes,services", "--output=name")


def test_both_pods_run_confined_and_the_second_up_changes_nothing(tracked: Tracked) -> None:
    assert tracked.ready() == 2
    labels = json.loads(tracked.kubectl("get", "namespace", tracked.name, "--output=json"))["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in tracked.pods():
        # Whatever the order in which both asked for it, one migration was made at a time, and none failed.
        (migration,) = pod["status"]["initContainerStatuses"]
        assert migration["restartCount"] == 0 and migration["state"]["terminated"]["exitCode"] == 0
        assert "@sha256:" in pod["spec"]["containers"][0]["image"]
    name = tracked.pods()[0]["metadata"]["name"]
    probe = "import os; print(os.getuid(), os.path.exists('/var/run/secrets/kubernetes.io')); open('/opt/server/x', 'w')"
    command = ["kubectl", f"--kubeconfig={Place().kubeconfig}", f"--namespace={tracked.name}", "exec", name, "--container=mlflow", "--"]
    done = subprocess.run([*command, "python", "-c", probe], text=True, capture_output=True, check=False)
    assert done.stdout == "10001 False\n" and "Read-only file system" in done.stderr
    tracked.stack.has_no_changes()


def test_no_password_is_in_the_state_or_in_the_configuration(tracked: Tracked) -> None:
    passwords = [json.loads((Place().accounts / f"{name}.json").read_text())["password"] for name in ("users", "database")]
    passwords += [line.partition("=")[2] for line in (Place().accounts / "store.env").read_text().split()]
    assert len(passwords) == 4 and all(len(each) >= 20 for each in passwords)
    files = [path for path in tracked.stack.store.rglob("*") if path.is_file() and "images" not in path.parts and path.suffix == ".json"]
    assert any(path.name == "cluster.json" for path in files)
    texts = [path.read_text(errors="replace") for path in [*files, *tracked.stack.root.glob("Pulumi.*.yaml")]]
    texts.append(tracked.kubectl("get", "pods,deployments,configmaps,middlewares,ingressroutes", "--output=yaml"))
    assert not [each for each in passwords for text in texts if each in text]


def routes() -> list[tuple[str, str]]:
    """Method and path of every route of MLflow's server, of both of its applications."""
    code = """
        import json, os
        os.environ["_MLFLOW_SERVER_SERVE_ARTIFACTS"] = "true"
        from fastapi.routing import iter_route_contexts
        from mlflow.server.fastapi_app import app
        from mlflow.server import app as flask
        found = {(method, str(rule)) for rule in flask.url_map.iter_rules() for method in rule.methods}
        found |= {(method, route.path) for route in iter_route_contexts(app.routes) for method in route.methods or ()}
        print(json.dumps(sorted(found)))
    """
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], env=environment, text=True, capture_output=True, check=True
    )
    return [(method, re.sub(r"<[^>]+>|\{[^}]+\}", "1", path)) for method, path in json.loads(done.stdout.splitlines()[-1])]


def test_no_route_answers_without_the_account(tracked: Tracked) -> None:
    asked = [*routes(), ("GET", "/metrics"), ("GET", "/nothing"), ("GET", ""), ("GET", "//health"), ("GET", "/static-files/../health")]
    paths = {path for _, path in asked}
    for path in ("/health", "/version", "/graphql", "/api/2.0/mlflow/runs/create", "/api/3.0/mlflow/server-info", "/ajax-api/3.0/jobs/"):
        assert path in paths, path
    assert any("mlflow-artifacts" in path for path in paths) and len(asked) > 300
    stranger = ("mlflow", "wrong")
    for user in (None, stranger):
        opened = {(method, path): status for method, path in asked if (status := tracked.ask(method, path, user=user)[0]) != 401}
        assert opened == {}
    assert tracked.enter("GET", "/version") == (200, b"3.17.2")


def test_people_get_its_pages(tracked: Tracked) -> None:
    status, page = tracked.enter("GET", "/")
    script = re.search(rb'src="(static-files/[^"]+\.js)"', page)
    assert status == 200 and script
    assert tracked.enter("GET", f"/{script[1].decode()}")[0] == 200
    # Without the slash a browser would look for it beside, not below.
    assert tracked.enter("GET", "")[0] in (301, 302, 307, 308)


def test_another_host_is_refused_and_only_the_node_reaches_the_pods(tracked: Tracked, cluster: Node) -> None:
    user = (tracked.account["username"], tracked.account["password"])
    assert tracked.ask("GET", "/version", user=user, host="evil.test")[0] == 404
    address = json.loads(tracked.kubectl("get", "service", "mlflow", "--output=json"))["spec"]["clusterIP"]
    code = """
        import http.client, sys
        connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=10)
        connection.request("GET", "/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": sys.argv[2]})
        print(connection.getresponse().status)
    """

    def status(host: str) -> int:
        # The gateway runs on the node itself, and so does this.
        return int(cluster.run(sys.executable, "-c", textwrap.dedent(code), address, host))

    assert status(f"mlflow.{tracked.name}.svc") == 200
    assert status("evil.test") == status(address) == 403
    with pytest.raises(OSError):
        socket.create_connection((address, 80), timeout=3)
    pod, other = tracked.pods()
    targets = {(other["status"]["podIP"], 5000), (NODE, API), (NODE, DATABASE), (NODE, STORE)}
    found = {target for target in targets if reaches(tracked.kubectl, pod["metadata"]["name"], "mlflow", *target)}
    assert found == {(NODE, DATABASE), (NODE, STORE)}


def test_no_job_can_be_handed_in_and_no_assistant_runs(tracked: Tracked) -> None:
    status, said = tracked.enter("POST", "/ajax-api/3.0/jobs/", body={"job_name": "invoke_scorer", "params": {}})
    assert status >= 400 and b"MLFLOW_SERVER_ENABLE_JOB_EXECUTION" in said, said
    for method, path in (("POST", "message"), ("PUT", "config"), ("POST", "skills/install")):
        assert tracked.enter(method, f"/ajax-api/3.0/mlflow/assistant/{path}", body={})[0] == 403


def test_a_run_with_an_artifact_is_in_the_database_and_in_the_store_and_comes_back(tracked: Tracked) -> None:
    code = """
        mlflow.set_experiment("first")
        with mlflow.start_run() as run:
            mlflow.log_metric("accuracy", 0.75)
            mlflow.log_text("what was seen", "notes/words.txt")
        found = client.get_run(run.info.run_id)
        text = mlflow.artifacts.load_text(found.info.artifact_uri + "/notes/words.txt")
        print(json.dumps([run.info.run_id, found.data.metrics, found.info.artifact_uri, text]))
    """
    run, metrics, place, text = json.loads(tracked.client(code).splitlines()[-1])
    assert metrics == {"accuracy": 0.75} and text == "what was seen"
    # The client knows the server alone: it has no key of the store.
    assert place.startswith("mlflow-artifacts:/")
    assert tracked.sql(f"SELECT value FROM metrics WHERE run_uuid = '{run}'") == "0.75"
    (stored,) = tracked.bucket.rglob("words.txt")
    assert run in stored.parts and stored.read_text() == "what was seen"


def test_pods_that_are_killed_lose_nothing(tracked: Tracked) -> None:
    before = tracked.sql("SELECT count(*) FROM runs")
    tracked.kubectl("delete", "pods", "--selector=app.kubernetes.io/name=mlflow", "--grace-period=0", "--force")
    wait_until(lambda: tracked.ready() == 2, seconds=120, what="two new pods are ready")
    assert tracked.sql("SELECT count(*) FROM runs") == before != "0"
    code = 'found = client.search_runs([client.get_experiment_by_name("first").experiment_id])[0]\n' + (
        'print(mlflow.artifacts.load_text(found.info.artifact_uri + "/notes/words.txt"))'
    )
    assert tracked.client(code).splitlines()[-1] == "what was seen"


def test_without_its_database_it_is_not_ready_and_with_it_it_is_again(tracked: Tracked, cluster: Node) -> None:
    cluster.stop("database")
    try:
        wait_until(lambda: tracked.ready() == 0, what="no pod is ready")
        # Said at once, as soon as the gateway knows what the cluster does, and still to nobody without an account.
        wait_until(lambda: tracked.enter("GET", "/version")[0] == 503, seconds=30, what="the gateway says so")
        assert tracked.ask("GET", "/version")[0] == 401
    finally:
        cluster.start("database")
    wait_until(lambda: tracked.ready() == 2, what="both pods are ready again")
    wait_until(lambda: tracked.enter("GET", "/version")[0] == 200, seconds=30, what="the gateway knows it")
    # A restart would not have mended it.
    assert [each["restartCount"] for pod in tracked.pods() for each in pod["status"]["containerStatuses"]] == [0, 0]
    assert "first" in tracked.client("print([each.name for each in client.search_experiments()])")
