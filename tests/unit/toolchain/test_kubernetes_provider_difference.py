"""What a change of inputs does: which properties, in place or by replacement, the old object first or last; and what is drift."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given

from tests.unit.toolchain.test_providers_values import TREES
from toolchain.kubernetes_provider import kinds
from toolchain.kubernetes_provider.difference import between
from toolchain.kubernetes_provider.kinds import AUTONAMED, Address, Urn, autoname, field_manager
from toolchain.providers.changes import moved
from toolchain.providers.paths import parse, put, render


def manifest(api_version: str, kind: str, **rest: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "one", "namespace": "space"}, **rest}


DEPLOYMENT = manifest(
    "apps/v1",
    "Deployment",
    spec={
        "replicas": 1,
        "selector": {"matchLabels": {"app": "one"}},
        "template": {"spec": {"containers": [{"name": "server", "image": "a:1", "resources": {"limits": {"cpu": "1000m"}}}]}},
    },
)


def changed(old: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    new = copy.deepcopy(old)
    put(new, parse(path), value)
    return new


@given(TREES)
def test_nothing_differs_from_itself(tree: dict[str, Any]) -> None:
    assert between(tree, copy.deepcopy(tree), live_name="").changes == ()


def test_a_change_is_named_by_its_own_path() -> None:
    found = between(DEPLOYMENT, changed(DEPLOYMENT, "spec.template.spec.containers[0].image", "a:2"), live_name="one")
    assert [(render(change.path), change.kind, change.is_replacing) for change in found.changes] == [
        ("spec.template.spec.containers[0].image", "update", False)
    ]
    assert not found.is_deleted_first


def test_added_and_deleted_properties_and_items() -> None:
    old = manifest("v1", "Service", spec={"ports": [{"port": 80}], "type": "ClusterIP"})
    new = manifest("v1", "Service", spec={"ports": [{"port": 80, "name": "http"}, {"port": 81}]})
    assert sorted((render(change.path), change.kind) for change in between(old, new, live_name="one").changes) == [
        ("spec.ports[0].name", "add"),
        ("spec.ports[1]", "add"),
        ("spec.type", "delete"),
    ]


def test_one_is_not_true() -> None:
    assert between({"a": 1}, {"a": True}, live_name="").changes and not between({"a": 1}, {"a": 1.0}, live_name="").changes


@pytest.mark.parametrize(
    ("old", "path", "value"),
    [
        (DEPLOYMENT, "spec.selector.matchLabels.app", "two"),
        (DEPLOYMENT, "kind", "StatefulSet"),
        (manifest("apps/v1", "StatefulSet", spec={"selector": {}, "serviceName": "a"}), "spec.serviceName", "b"),
        (manifest("v1", "Service", spec={"clusterIP": "10.0.0.1"}), "spec.clusterIP", "None"),
        (manifest("batch/v1", "Job", spec={"template": {"spec": {"containers": []}}}), "spec.template.spec.containers", [{"name": "a"}]),
        (manifest("batch/v1", "Job", spec={"selector": {"matchLabels": {"a": "b"}}}), "spec.selector.matchLabels.a", "c"),
        (manifest("v1", "ConfigMap", data={"a": "1"}), "data.a", "2"),
        (manifest("v1", "Secret", type="Opaque", stringData={"a": "1"}), "type", "other"),
        (manifest("v1", "Secret", type="Opaque", stringData={"a": "1"}), "stringData.a", "2"),
        (manifest("v1", "Pod", spec={"containers": [{"image": "a"}]}), "spec.containers[0].image", "b"),
        (manifest("v1", "PersistentVolumeClaim", spec={"accessModes": ["ReadWriteOnce"]}), "spec.accessModes[0]", "ReadWriteMany"),
        (manifest("rbac.authorization.k8s.io/v1", "RoleBinding", roleRef={"name": "a"}), "roleRef.name", "b"),
        (manifest("storage.k8s.io/v1", "StorageClass", provisioner="a"), "provisioner", "b"),
    ],
)
def test_what_can_not_change_in_place_is_replaced_and_its_name_freed_first(old: dict[str, Any], path: str, value: object) -> None:
    found = between(old, changed(old, path, value), live_name="one")
    assert [change.is_replacing for change in found.changes] == [True]
    assert found.is_deleted_first


@pytest.mark.parametrize(
    ("old", "path", "value"),
    [
        (manifest("argoproj.io/v1alpha1", "Rollout", spec={"selector": {"matchLabels": {"a": "b"}}}), "spec.selector.matchLabels.a", "c"),
        (DEPLOYMENT, "spec.replicas", 2),
        (manifest("v1", "Service", spec={"selector": {"a": "b"}}), "spec.selector.a", "c"),
        (
            manifest("v1", "PersistentVolumeClaim", spec={"resources": {"requests": {"storage": "1Gi"}}}),
            "spec.resources.requests.storage",
            "2Gi",
        ),
        (manifest("v1", "ConfigMap", data={"a": "1"}), "metadata.labels", {"a": "b"}),
        (manifest("traefik.io/v1alpha1", "TraefikService", spec={"weighted": {}}), "spec.weighted.services", [{"name": "a"}]),
    ],
)
def test_the_rest_changes_in_place(old: dict[str, Any], path: str, value: object) -> None:
    found = between(old, changed(old, path, value), live_name="one")
    assert [change.is_replacing for change in found.changes] == [False]


def test_a_new_name_or_namespace_replaces_without_deleting_first() -> None:
    for path in ("metadata.name", "metadata.namespace"):
        found = between(DEPLOYMENT, changed(DEPLOYMENT, path, "other"), live_name="one")
        assert found.is_replacing and not found.is_deleted_first


def test_an_automatic_name_lets_the_new_object_come_first() -> None:
    old = changed(DEPLOYMENT, "metadata.annotations", {AUTONAMED: "true"})
    found = between(old, changed(old, "spec.selector.matchLabels.app", "two"), live_name="one")
    assert found.is_replacing and not found.is_deleted_first


def test_selectors_inside_what_is_added_or_deleted_count() -> None:
    bare = {key: value for key, value in DEPLOYMENT.items() if key != "spec"}
    assert between(bare, DEPLOYMENT, live_name="one").is_replacing
    assert between(DEPLOYMENT, bare, live_name="one").is_replacing


def test_data_changes_in_place_where_the_provider_allows_it_unless_it_is_immutable() -> None:
    old = manifest("v1", "ConfigMap", data={"a": "1"})
    assert not between(old, changed(old, "data.a", "2"), live_name="one", mutable={"ConfigMap"}).is_replacing
    fixed = manifest("v1", "ConfigMap", data={"a": "1"}, immutable=True)
    assert between(fixed, changed(fixed, "data.a", "2"), live_name="one", mutable={"ConfigMap"}).is_replacing


@pytest.mark.parametrize("ignored", ["spec.replicas", "spec", "spec.template.spec.containers[*].image"])
def test_ignored_changes_are_none(ignored: str) -> None:
    path = "spec.replicas" if ignored != "spec.template.spec.containers[*].image" else "spec.template.spec.containers[0].image"
    assert not between(DEPLOYMENT, changed(DEPLOYMENT, path, "9"), live_name="one", ignored=[ignored]).changes


def test_a_patch_resource_replaces_for_its_identity_only() -> None:
    old = manifest("v1", "ConfigMap", data={"a": "1"})
    assert not between(old, changed(old, "data.a", "2"), live_name="one", is_patch=True).is_replacing
    assert between(old, changed(old, "metadata.name", "b"), live_name="one", is_patch=True).is_replacing


def test_what_the_server_writes_is_no_difference() -> None:
    assert not between(changed(DEPLOYMENT, "metadata.uid", "1"), changed(DEPLOYMENT, "metadata.uid", "2"), live_name="one").changes


SEEN = changed(
    changed(DEPLOYMENT, "spec.template.spec.containers[0].resources.limits.cpu", "1"), "spec.strategy", {"type": "RollingUpdate"}
)


def test_how_the_server_writes_a_value_is_no_drift() -> None:
    assert moved(DEPLOYMENT, SEEN, SEEN) == DEPLOYMENT


def test_a_change_behind_pulumis_back_is_drift_at_that_place_alone() -> None:
    live = changed(changed(SEEN, "spec.replicas", 5), "spec.strategy.type", "Recreate")
    assert moved(DEPLOYMENT, SEEN, live) == changed(DEPLOYMENT, "spec.replicas", 5)


def test_what_others_took_away_is_drift() -> None:
    old = manifest("v1", "ConfigMap", data={"a": "1", "b": "2"})
    live = manifest("v1", "ConfigMap", data={"a": "1"})
    assert moved(old, old, live) == live


def test_what_the_server_never_showed_is_no_drift() -> None:
    old = manifest("v1", "Secret", stringData={"a": "1"})
    live = manifest("v1", "Secret", data={"a": "MQ=="})
    assert moved(old, live, live) == old


def test_what_a_controller_adds_beside_the_program_is_no_drift() -> None:
    old = manifest("v1", "Service", spec={"selector": {"app": "iris"}})
    live = manifest("v1", "Service", spec={"selector": {"app": "iris", "rollouts-pod-template-hash": "abc"}})
    assert moved(old, old, live) == old


def test_a_longer_list_is_drift() -> None:
    old = manifest("v1", "Service", spec={"ports": [{"port": 80}]})
    seen = manifest("v1", "Service", spec={"ports": [{"port": 80, "protocol": "TCP"}]})
    live = manifest("v1", "Service", spec={"ports": [{"port": 80, "protocol": "TCP"}, {"port": 9, "protocol": "TCP"}]})
    assert moved(old, seen, live)["spec"]["ports"] == [{"port": 80}, {"port": 9, "protocol": "TCP"}]


def test_an_automatic_name_is_the_resources_with_eight_digits() -> None:
    name = autoname("iris", b"seed")
    assert name == autoname("iris", b"seed") != autoname("iris", b"other")
    assert name.startswith("iris-") and len(name) == len("iris-") + 8
    assert len(autoname("x" * 300, b"seed")) == 253


def test_a_urn_says_what_it_is() -> None:
    urn = Urn("urn:pulumi:dev::shop::mldelivery:kubernetes:ModelServer$kubernetes:argoproj.io/v1alpha1:Rollout::iris::x")
    assert (urn.api_version, urn.kind, urn.name) == ("argoproj.io/v1alpha1", "Rollout", "iris::x")
    assert Urn("urn:pulumi:dev::shop::kubernetes:core/v1:ServicePatch::a").is_patch
    assert not Urn("urn:pulumi:dev::shop::kubernetes:fixes.example.com/v1:HotPatch::a").is_patch
    assert Urn("urn:pulumi:dev::shop::kubernetes:core/v1:ConfigMapList::a").is_list
    assert Urn("urn:pulumi:dev::shop::kubernetes:helm.sh/v3:Release::a").is_chart
    assert Urn("urn:pulumi:dev::shop::kubernetes:core/v1:Service::a").api_version == "v1"


def test_the_owner_of_fields_is_the_same_in_every_run() -> None:
    urn = Urn("urn:pulumi:dev::shop::kubernetes:core/v1:Service::a")
    assert field_manager(urn) == field_manager(urn) != field_manager(Urn(urn.text + "b"))


def test_an_address_is_an_id() -> None:
    assert Address.of(DEPLOYMENT).id == "space/one"
    assert Address("v1", "Namespace", "", "space").id == "space"
    assert kinds.group("core/v1") == kinds.group("v1") == "" and kinds.group("apps/v1") == "apps"
