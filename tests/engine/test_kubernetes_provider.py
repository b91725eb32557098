"""The stand-in for the Kubernetes provider under the real engine, against a real API server with its controllers.

There is no node: pods run only where a test plays one by writing their status.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.control_plane import ControlPlane, control_plane
from tests.project import Project, without_plugins
from toolchain.kubernetes_provider.api import MERGE, ApiError
from toolchain.kubernetes_provider.kinds import Address
from toolchain.providers import attached

pytestmark = pytest.mark.timeout(600)

HEAD = """
import pulumi
import pulumi_kubernetes as k8s
settings = {settings!r}
provider = k8s.Provider("here", **settings)
options = pulumi.ResourceOptions(provider=provider)
space = {space!r}
def named(name, **more):
    return {{"name": name, **more}}
def pods(**spec):
    return {{"selector": {{"matchLabels": {{"app": "one"}}}}, "template": {{"metadata": {{"labels": {{"app": "one"}}}},
        "spec": {{"containers": [{{"name": "server", "image": "nowhere/one:1"}}]}}}}, **spec}}
"""
SPACE = 'k8s.core.v1.Namespace("space", metadata={"name": space}, opts=options)\n'


@dataclass
class ClusterProject(Project):
    """A project whose program uses a namespace of its own."""

    space: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def program(self, body: str, **settings: Any) -> None:
        """Write the program: its body after a provider for this cluster."""
        head = HEAD.format(settings={**self.settings, "namespace": self.space, **settings}, space=self.space)
        self.write(head + textwrap.dedent(body))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """With one stand-in for all tests: runs that follow each other do not see each other's settings."""
    with attached(without_plugins(tmp_path_factory.mktemp("engine")), "kubernetes") as made:
        yield made


@pytest.fixture
def project(tmp_path: Path, cluster: ControlPlane, environment: dict[str, str], request: pytest.FixtureRequest) -> Iterator[ClusterProject]:
    space = request.node.name.removeprefix("test_").replace("_", "-").split("[")[0][:50].strip("-")
    made = ClusterProject(tmp_path, environment, space, {"kubeconfig": str(cluster.kubeconfig())})
    made.init()
    yield made
    with contextlib.suppress(ApiError), cluster.api() as api:
        api.delete(Address("v1", "Namespace", "", space), propagation="Background")


@contextlib.contextmanager
def node(cluster: ControlPlane, space: str, *, fails: bool = False) -> Iterator[None]:
    """Play a node: every pod of a namespace becomes ready, or fails, at once."""
    stop = threading.Event()
    ready = {
        "phase": "Running",
        "podIP": "10.244.0.9",
        "podIPs": [{"ip": "10.244.0.9"}],
        "conditions": [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Ready")],
    }
    ended = {"name": "server", "ready": False, "restartCount": 0, "image": "a", "imageID": "a"}
    state = {"terminated": {"exitCode": 3, "reason": "Error", "message": "the golden answers differ"}}
    failed = {"phase": "Failed", "containerStatuses": [{**ended, "state": state}]}

    def play() -> None:
        with cluster.api() as api:
            while not stop.wait(0.1):
                for pod in api.list("v1", "Pod", space):
                    if pod["status"].get("phase") == "Pending":
                        path = f"/api/v1/namespaces/{space}/pods/{pod['metadata']['name']}/status"
                        with contextlib.suppress(ApiError):
                            api.ask("PATCH", path, body={"status": failed if fails else ready}, content_type=MERGE)

    thread = threading.Thread(target=play, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


BASIC = (
    SPACE
    + """
replicas, image = 0, "nowhere/one:1"
words = k8s.core.v1.ConfigMap("words", data={"a": "1"}, opts=options)
k8s.core.v1.Secret("key", metadata=named("key"), string_data={"password": pulumi.Output.secret("hunter22-of-the-test")}, opts=options)
spec = pods(replicas=replicas)
spec["template"]["spec"]["containers"][0] |= {
    "image": image,
    "env": [{"name": "PASSWORD", "value": pulumi.Output.secret("hunter22-of-the-test")}],
    "resources": {"limits": {"cpu": "1000m", "memory": "0.5Gi"}},
}
k8s.apps.v1.Deployment("one", metadata=named("one"), spec=spec, opts=options)
skipping = {"pulumi.com/skipAwait": "true"}
k8s.core.v1.Service("one-service", metadata=named("one", annotations=skipping), spec={"selector": {"app": "one"}, "ports": [{"port": 80}]},
    opts=options)
pulumi.export("words", words.metadata["name"])
"""
)


def test_from_nothing_to_nothing(project: ClusterProject, cluster: ControlPlane) -> None:
    project.program(BASIC)
    assert "+ 7 to create" in project.ok("preview")
    with pytest.raises(AssertionError, match="not found"):
        cluster.get("namespace", project.space)

    out = project.up()
    assert "+ 7 created" in out
    project.has_no_changes()
    project.ok("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    words = project.resource("words")
    assert words["id"].startswith(f"{project.space}/words-") and words["outputs"]["metadata"]["namespace"] == project.space
    assert cluster.get("configmap", "-n", project.space, words["id"].split("/")[1])["data"] == {"a": "1"}
    secret = cluster.get("secret", "-n", project.space, "key")
    assert base64.b64decode(secret["data"]["password"]) == b"hunter22-of-the-test"

    out = project.ok("destroy", "--yes", "--skip-preview")
    assert "- 7 deleted" in out
    with pytest.raises(AssertionError, match="not found"):
        cluster.get("namespace", project.space)


def test_secrets_are_in_no_state_diff_or_message(project: ClusterProject) -> None:
    project.program(BASIC)
    shown = project.up()
    hidden = ["hunter22-of-the-test", base64.b64encode(b"hunter22-of-the-test").decode()]
    project.program(BASIC.replace("hunter22-of-the-test", "hunter33-of-the-test"))
    shown += project.ok("preview", "--diff")
    shown += project.up()
    hidden += ["hunter33-of-the-test", base64.b64encode(b"hunter33-of-the-test").decode()]
    project.program(
        BASIC.replace('"name": "PASSWORD", "value": pulumi', '"name": pulumi.Output.secret("-hunter22-of-the-test="), "value": pulumi')
    )
    refused = project.fails()
    assert "[secret]" in refused
    shown += refused + project.state()
    for text in hidden:
        assert text not in shown


def test_one_change_is_one_line(project: ClusterProject) -> None:
    project.program(BASIC)
    project.up()
    project.program(BASIC.replace('image = 0, "nowhere/one:1"', 'image = 0, "nowhere/one:2"'))
    out = project.ok("preview", "--diff")
    assert '~ image: "nowhere/one:1" => "nowhere/one:2"' in out
    assert out.count(" => ") == 1 and "~ 1 to update" in out
    assert "[diff: ~spec]" in project.up()
    project.has_no_changes()


def test_what_can_not_change_in_place_is_replaced(project: ClusterProject, cluster: ControlPlane) -> None:
    suspended = 'k8s.batch.v1.Job("job", metadata=named("job"), spec={"suspend": True, "template": {"spec": {"restartPolicy": "Never",'
    body = BASIC + suspended + ' "containers": [{"name": "a", "image": "nowhere/a:1"}]}}}, opts=options)\n'
    pod = 'spec={"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [{"name": "a", "image": "nowhere/a:1"}]}'
    body += f'k8s.core.v1.Pod("pod", metadata=named("pod", annotations=skipping), {pod}, opts=options)\n'
    project.program(body)
    project.up()
    old, uid = project.resource("words")["id"].split("/")[1], cluster.get("job", "-n", project.space, "job")["metadata"]["uid"]

    project.program(body.replace('data={"a": "1"}', 'data={"a": "2"}').replace("nowhere/a:1", "nowhere/a:2"))
    out = project.ok("preview", "--diff")
    assert "+-kubernetes:core/v1:ConfigMap: (replace)" in out and "+-kubernetes:batch/v1:Job: (replace)" in out
    assert "+-kubernetes:core/v1:Pod: (replace)" in out
    out = project.up()
    # A name of its own lets the new one come first; a given name has to be free before.
    assert out.index("words creating replacement") < out.index("words deleting original")
    assert out.index("job deleting original") < out.index("job creating replacement")
    new = project.resource("words")["id"].split("/")[1]
    names = {each["metadata"]["name"] for each in cluster.get("configmap", "-n", project.space)["items"]}
    assert new != old and new in names and old not in names
    assert cluster.get("job", "-n", project.space, "job")["metadata"]["uid"] != uid
    project.has_no_changes()


def test_ignored_changes_are_left_to_their_owner(project: ClusterProject, cluster: ControlPlane) -> None:
    body = SPACE + (
        'k8s.core.v1.Service("svc", metadata=named("svc", annotations={"pulumi.com/skipAwait": "true"}),\n'
        '    spec={"selector": {"app": "one"}, "ports": [{"port": 80}]},\n'
        '    opts=pulumi.ResourceOptions(provider=provider, ignore_changes=["spec.selector"]))\n'
    )
    project.program(body)
    project.up()
    patch = {"spec": {"selector": {"app": "one", "rollouts-pod-template-hash": "abc"}}}
    theirs = ("--field-manager=rollouts-controller", "--type=merge", "-p", json.dumps(patch))
    cluster.kubectl("patch", "service", "svc", "-n", project.space, *theirs)
    project.has_no_changes()
    project.program(body.replace('"port": 80', '"port": 81'))
    assert "[diff: ~spec]" in project.up()
    live = cluster.get("service", "-n", project.space, "svc")["spec"]
    assert live["selector"] == patch["spec"]["selector"] and live["ports"][0]["port"] == 81
    project.ok("refresh", "--yes", "--skip-preview")
    project.has_no_changes()


def test_refresh_sees_what_kubectl_did_and_up_puts_it_right(project: ClusterProject, cluster: ControlPlane) -> None:
    project.program(BASIC)
    project.up()
    cluster.kubectl("label", "deployment", "one", "-n", project.space, "by=hand")
    cluster.kubectl("set", "image", "deployment/one", "-n", project.space, "server=nowhere/other:9")
    cluster.kubectl("delete", "service", "one", "-n", project.space)
    project.has_no_changes()
    out = project.ok("refresh", "--yes", "--skip-preview", "--diff")
    assert "nowhere/other:9" in out and "by" not in out.replace("by others", "") and "- 1 deleted" in out
    out = project.ok("preview", "--diff")
    assert '~ image: "nowhere/other:9" => "nowhere/one:1"' in out and "+ kubernetes:core/v1:Service: (create)" in out
    project.up()
    live = cluster.get("deployment", "-n", project.space, "one")
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "nowhere/one:1"
    assert live["metadata"]["labels"] == {"by": "hand"}
    project.has_no_changes()


def test_a_conflict_with_another_manager_is_told_in_words(project: ClusterProject, cluster: ControlPlane) -> None:
    project.program(BASIC)
    project.up()
    cluster.kubectl(
        "patch", "deployment", "one", "-n", project.space, "--field-manager=autoscaler", "--type=merge", '-p={"spec":{"replicas":2}}'
    )
    changed = BASIC.replace("replicas, image = 0", "replicas, image = 1")
    project.program(changed)
    for out in (project.refused("preview"), project.fails()):
        assert "others own what is to be changed:" in out and "spec.replicas is owned by 'autoscaler'" in out
        assert 'pulumi.com/patchForce: "true"' in out
    assert cluster.get("deployment", "-n", project.space, "one")["spec"]["replicas"] == 2
    assert project.resource("one")["inputs"]["spec"]["replicas"] == 0
    forced = changed.replace('"one", metadata=named("one"), spec=spec', '"one", metadata=named("one", annotations=forcing), spec=spec')
    with node(cluster, project.space):
        project.program('forcing = {"pulumi.com/patchForce": "true"}\n' + forced)
        project.up()
    assert cluster.get("deployment", "-n", project.space, "one")["spec"]["replicas"] == 1


def test_a_deployment_and_its_service_are_waited_for(project: ClusterProject, cluster: ControlPlane) -> None:
    body = BASIC.replace("replicas, image = 0", "replicas, image = 2").replace('"pulumi.com/skipAwait": "true"', "")
    # These pods are on no node that the cluster knows, so that their addresses count only as not ready.
    project.program(body.replace('"ports": [{"port": 80}]', '"ports": [{"port": 80}], "publishNotReadyAddresses": True'))
    with node(cluster, project.space):
        project.up()
    assert project.resource("one")["outputs"]["status"]["availableReplicas"] == 2
    project.has_no_changes()


def test_a_deployment_that_never_gets_ready_fails_after_its_own_time(project: ClusterProject, cluster: ControlPlane) -> None:
    impatient = 'pulumi.ResourceOptions(provider=provider, custom_timeouts=pulumi.CustomTimeouts(create="3s"))'
    bounded = BASIC.replace('metadata=named("one"), spec=spec, opts=options', f'metadata=named("one"), spec=spec, opts={impatient}')
    project.program(bounded.replace("replicas, image = 0", "replicas, image = 1"))
    started = time.monotonic()
    out = project.fails()
    assert time.monotonic() - started < 150
    assert f"Deployment {project.space}/one timed out after 3 s waiting to be ready: 1 of 1 pods updated, 0 available" in out
    assert project.resource("one")["initErrors"]
    out = project.run("refresh", "--yes", "--skip-preview").stdout
    assert "is there but not ready" in out
    # What was made is in the state: the next update goes on from it, without a change of the program.
    with node(cluster, project.space):
        project.up()
    assert not project.resource("one").get("initErrors")
    project.has_no_changes()


JOB = (
    SPACE
    + """
k8s.batch.v1.Job("job", metadata=named("job"), spec={"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never",
    "containers": [{"name": "server", "image": "nowhere/a:1"}]}}}, opts=options)
"""
)


def test_a_failed_job_fails_at_once_with_its_last_words(project: ClusterProject, cluster: ControlPlane) -> None:
    project.program(JOB)
    started = time.monotonic()
    with node(cluster, project.space, fails=True):
        out = project.fails()
    assert time.monotonic() - started < 150
    assert f"Job {project.space}/job: Job failed: BackoffLimitExceeded" in out
    assert "container server ended with exit code 3 (Error)" in out and "the golden answers differ" in out
    assert project.resource("job")["initErrors"]
    project.ok("destroy", "--yes", "--skip-preview")


def test_an_object_of_any_group_with_its_definition(project: ClusterProject, cluster: ControlPlane) -> None:
    body = (
        SPACE
        + """
schema = {"type": "object", "x_kubernetes_preserve_unknown_fields": True}
k8s.apiextensions.v1.CustomResourceDefinition("things", metadata={"name": "things.test.example.com"}, spec={
    "group": "test.example.com", "scope": "Namespaced", "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}]},
    opts=options)
waiting = {"pulumi.com/waitFor": "jsonpath={.spec.color}=red"}
k8s.apiextensions.CustomResource("thing", api_version="test.example.com/v1", kind="Thing", metadata=named("thing", annotations=waiting),
    spec={"color": "red", "list": [{"weight": 0}]}, opts=options)
"""
    )
    project.program(body)
    assert "+ 5 to create" in project.ok("preview")
    project.up()
    assert cluster.get("things.test.example.com", "-n", project.space, "thing")["spec"]["color"] == "red"
    project.has_no_changes()
    project.program(body.replace('"color": "red"', '"color": "red", "selector": {"a": "b"}'))
    assert "~ 1 to update" in project.ok("preview")
    project.up()
    limited = body.replace('"pulumi.com/waitFor"', '"pulumi.com/timeoutSeconds": "2", "pulumi.com/waitFor"')
    project.program(limited.replace('"weight": 0', '"weight": 1').replace("}=red", "}=blue"))
    assert "timed out after 2 s waiting to be ready: .spec.color is red, not blue" in project.fails()
    # The limit holds for a deletion too, and the garbage collector learns of a new kind only at its next look, every 30 s.
    project.program(body)
    project.up()
    project.ok("destroy", "--yes", "--skip-preview")
    assert cluster.get("crd")["items"] == []


def test_it_stands_beside_dynamic_providers(project: ClusterProject) -> None:
    project.program(
        SPACE
        + """
        class Noted(pulumi.dynamic.ResourceProvider):
            def create(self, props):
                return pulumi.dynamic.CreateResult("noted", props)
        class Note(pulumi.dynamic.Resource):
            def __init__(self, name, props, opts):
                super().__init__(Noted(), name, props, opts)
        words = k8s.core.v1.ConfigMap("words", metadata=named("words"), data={"a": "1"}, opts=options)
        Note("note", {"of": words.metadata["uid"]}, pulumi.ResourceOptions(depends_on=[words]))
        """.replace("\n        ", "\n")
    )
    assert "+ 5 created" in project.ok("up", "--yes", "--skip-preview", "--skip-plugin-pre-install")
    project.has_no_changes()


def test_what_the_server_can_not_change_in_place_is_told_by_the_preview(project: ClusterProject) -> None:
    body = SPACE + 'k8s.core.v1.ConfigMap("words", metadata=named("words"), immutable=True, data={"a": "1"}, opts=options)\n'
    project.program(body, enable_config_map_mutable=True)
    project.up()
    project.program(body.replace("immutable=True, ", "immutable=False, "), enable_config_map_mutable=True)
    assert "immutable" in project.refused("preview")


def test_what_is_there_already_is_not_taken_silently(project: ClusterProject, cluster: ControlPlane) -> None:
    cluster.kubectl("create", "namespace", project.space)
    cluster.kubectl("create", "configmap", "words", "-n", project.space, "--from-literal=a=theirs")
    body = 'k8s.core.v1.ConfigMap("words", metadata=named("words"), data={"a": "ours"}, opts=options)\n'
    project.program(body)
    out = project.fails()
    assert f"ConfigMap {project.space}/words already exists" in out and "upsertExistingObjects" in out
    assert cluster.get("configmap", "-n", project.space, "words")["data"] == {"a": "theirs"}
    project.program(body, upsert_existing_objects=True)
    project.up()
    assert cluster.get("configmap", "-n", project.space, "words")["data"] == {"a": "ours"}


def test_an_object_is_imported_and_looked_up(project: ClusterProject, cluster: ControlPlane) -> None:
    cluster.kubectl("create", "namespace", project.space)
    cluster.kubectl("create", "configmap", "words", "-n", project.space, "--from-literal=a=theirs")
    project.program(
        f'importing = pulumi.ResourceOptions(provider=provider, import_="{project.space}/words")\n'
        'k8s.core.v1.ConfigMap("words", metadata=named("words", namespace=space), data={"a": "theirs"}, opts=importing)\n'
        'found = k8s.core.v1.ServiceAccount.get("default", f"{space}/default", opts=options)\n'
        'pulumi.export("account", found.metadata["name"])\n'
    )
    out = project.up()
    assert "= 1 imported" in out and 'account: "default"' in out
    project.has_no_changes()


def test_a_mistake_is_found_by_the_preview(project: ClusterProject) -> None:
    project.program(SPACE)
    project.up()
    project.program(BASIC.replace("replicas, image = 0", "replicas, image = -1"))
    assert "must be greater than or equal to 0" in project.refused("preview")
    wrong = SPACE + 'k8s.apiextensions.CustomResource("x", api_version="apps/v1", kind="Deploiment", metadata=named("x"), opts=options)\n'
    project.program(wrong)
    assert "the API server has no kind Deploiment in apps/v1" in project.fails()


def test_no_kubeconfig_previews_with_a_warning_and_is_refused(project: ClusterProject, tmp_path: Path) -> None:
    project.settings = {}
    project.program(BASIC)
    out = project.ok("preview", HOME=str(tmp_path))
    assert "+ 7 to create" in out and "configured Kubernetes cluster is unreachable: no kubeconfig was found: set KUBECONFIG" in out


def test_the_ambient_kubeconfig_is_that_of_the_stand_in(project: ClusterProject, cluster: ControlPlane, tmp_path: Path) -> None:
    project.settings = {}
    project.program(SPACE)
    with attached({**without_plugins(tmp_path), "KUBECONFIG": str(cluster.kubeconfig())}, "kubernetes") as environment:
        project.environment = {**environment, "PULUMI_BACKEND_URL": project.environment["PULUMI_BACKEND_URL"]}
        assert "+ 3 created" in project.up()
        project.ok("destroy", "--yes", "--skip-preview")


def test_a_context_that_does_not_exist_is_named(project: ClusterProject) -> None:
    project.program(BASIC, context="elsewhere")
    words = "context 'elsewhere' does not exist; the kubeconfig has here"
    assert words in project.ok("preview")
    assert words in project.fails()


def test_a_cluster_that_does_not_answer_is_previewed_with_a_warning(project: ClusterProject, cluster: ControlPlane, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"https://127.0.0.1:{taken.getsockname()[1]}"
        config = cluster.kubeconfig().read_text(encoding="utf-8").replace(cluster.server, nobody).replace("pki/", f"{cluster.folder}/pki/")
        (tmp_path / "kubeconfig").write_text(config, encoding="utf-8")
        project.program(BASIC, kubeconfig=str(tmp_path / "kubeconfig"))
        words = f"configured Kubernetes cluster is unreachable: {nobody}: connection refused"
        out = project.ok("preview")
        assert "+ 7 to create" in out and f"warning: {words}" in out
        assert f"error: {words}" in project.fails()


def test_a_state_of_a_cluster_that_is_gone_can_be_dropped(project: ClusterProject, cluster: ControlPlane, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(cluster.kubeconfig().read_text(encoding="utf-8").replace("pki/", f"{cluster.folder}/pki/"))
    project.program(SPACE, kubeconfig=str(tmp_path / "kubeconfig"))
    project.up()
    (tmp_path / "kubeconfig").unlink()
    assert "PULUMI_K8S_DELETE_UNREACHABLE=true" in project.refused("destroy", "--yes", "--skip-preview")
    with attached({**without_plugins(tmp_path), "PULUMI_K8S_DELETE_UNREACHABLE": "true"}, "kubernetes") as environment:
        project.environment = {**environment, "PULUMI_BACKEND_URL": project.environment["PULUMI_BACKEND_URL"]}
        project.ok("destroy", "--yes", "--skip-preview")


def test_a_user_who_may_not_is_told_so(project: ClusterProject, cluster: ControlPlane) -> None:
    cluster.kubectl("create", "namespace", project.space)
    project.program('k8s.core.v1.ConfigMap("words", data={"a": "1"}, opts=options)\n', kubeconfig=str(cluster.kubeconfig("guest")))
    assert "+ 3 to create" in project.ok("preview")
    out = project.fails()
    assert 'not allowed by the cluster: configmaps "words-' in out and 'User "guest" cannot' in out


def test_wrong_credentials_are_told(project: ClusterProject, cluster: ControlPlane, tmp_path: Path) -> None:
    config = cluster.kubeconfig().read_text(encoding="utf-8").replace("token-of-admin", "token-of-nobody")
    (tmp_path / "kubeconfig").write_text(config.replace("pki/", f"{cluster.folder}/pki/"), encoding="utf-8")
    project.program(SPACE, kubeconfig=str(tmp_path / "kubeconfig"))
    assert "does not accept the credentials of context 'here'" in project.fails()


def test_a_provider_of_a_changed_kubeconfig_keeps_its_objects(project: ClusterProject, cluster: ControlPlane, tmp_path: Path) -> None:
    project.program(SPACE)
    project.up()
    copy = tmp_path / "copy"
    copy.write_text(cluster.kubeconfig().read_text(encoding="utf-8").replace("pki/", f"{cluster.folder}/pki/"), encoding="utf-8")
    # The same server and authority under another path: the provider changes, what it made stays.
    content = cluster.kubeconfig().read_text(encoding="utf-8").replace("pki/", f"{cluster.folder}/pki/")
    project.program(SPACE, kubeconfig=content)
    out = project.ok("preview")
    assert "~ 1 to update" in out and "to replace" not in out


def test_a_chart_is_previewed_with_a_warning_and_refused(project: ClusterProject) -> None:
    project.program(
        SPACE + 'k8s.helm.v3.Release("release", chart="traefik", opts=options)\n'
        'k8s.helm.v4.Chart("chart", chart="traefik", opts=pulumi.ResourceOptions(provider=provider))\n'
    )
    out = project.ok("preview")
    assert "release: a chart's parts can't be shown" in out and "chart: its parts can't be shown" in out
    assert "needs Helm, which only the official Kubernetes provider has" in project.fails()


def test_objects_that_are_gone_are_destroyed_without_a_word(project: ClusterProject, cluster: ControlPlane) -> None:
    project.program(BASIC)
    project.up()
    cluster.kubectl("delete", "namespace", project.space)
    project.ok("destroy", "--yes", "--skip-preview")


def test_a_patch_changes_and_gives_back_a_part_of_what_others_made(project: ClusterProject, cluster: ControlPlane) -> None:
    cluster.kubectl("create", "namespace", project.space)
    project.program('k8s.core.v1.NamespacePatch("labels", metadata={"name": space, "labels": {"team": "iris"}}, opts=options)\n')
    project.up()
    assert cluster.get("namespace", project.space)["metadata"]["labels"]["team"] == "iris"
    project.has_no_changes()
    project.ok("destroy", "--yes", "--skip-preview")
    assert "team" not in cluster.get("namespace", project.space)["metadata"]["labels"]


def test_client_side_apply_changes_only_what_the_program_changed(project: ClusterProject, cluster: ControlPlane) -> None:
    project.program(BASIC, enable_server_side_apply=False)
    project.up()
    cluster.kubectl("label", "deployment", "one", "-n", project.space, "by=hand")
    project.program(BASIC.replace('image = 0, "nowhere/one:1"', 'image = 0, "nowhere/one:2"'), enable_server_side_apply=False)
    project.up()
    live = cluster.get("deployment", "-n", project.space, "one")
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "nowhere/one:2" and live["metadata"]["labels"]["by"] == "hand"
    project.has_no_changes()


def test_ctrl_c_ends_the_wait_and_keeps_what_was_made(project: ClusterProject, cluster: ControlPlane, tmp_path: Path) -> None:
    project.program(BASIC.replace("replicas, image = 0", "replicas, image = 1"))
    lent = [sys.executable, "-m", "toolchain.providers", "kubernetes", "--"]
    fresh = {**without_plugins(tmp_path), "PULUMI_BACKEND_URL": project.environment["PULUMI_BACKEND_URL"]}
    started = subprocess.Popen(
        [*lent, "pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", "test"],
        cwd=project.folder,
        env=fresh,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 150
    while not cluster.get("deployment", "-n", project.space)["items"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(1)
    os.killpg(started.pid, signal.SIGINT)
    out, _ = started.communicate(timeout=150)
    assert started.returncode != 0 and "stand-in" in out
    assert "waiting was cancelled" in out, out
    assert project.resource("one")["initErrors"]
    deadline = time.monotonic() + 30
    while left := [process for process in psutil.process_iter() if f"--parent {started.pid}" in " ".join(_command(process))]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    with node(cluster, project.space):
        project.up()
    project.has_no_changes()


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
