"""The cluster: closed, encrypted, logged, with nodes by Auto Mode or a node group; or one that stands already."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pulumi.output import Unknown

from infra.aws.gateway import PREFIX
from infra.aws.kubeconfig import document
from infra.kubernetes import guard
from tests.unit.aws.declared import CLOUD, Declared, declare, declared


@pytest.mark.parametrize("stack", CLOUD)
def test_it_is_hardened_everywhere(stack: str) -> None:
    cloud = declared(stack)
    found = cloud.named("Cluster", "cluster")
    assert found["accessConfig"] == {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}
    assert found["encryptionConfig"]["resources"] == ["secrets"] and found["encryptionConfig"]["provider"]["keyArn"]
    assert found["enabledClusterLogTypes"] == ["api", "audit", "authenticator", "controllerManager", "scheduler"]
    assert found["upgradePolicy"] == {"supportType": "STANDARD"}
    assert found["vpcConfig"]["endpointPrivateAccess"] is True
    assert "0.0.0.0/0" not in found["vpcConfig"].get("publicAccessCidrs", [])
    group = cloud.named("LogGroup", "cluster")
    assert group["name"] == f"/aws/eks/mldelivery-{stack}/cluster" and group["kmsKeyId"]


def test_prods_api_is_private_and_it_can_not_be_deleted() -> None:
    cloud = declared("prod")
    found = cloud.named("Cluster", "cluster")
    assert found["vpcConfig"]["endpointPublicAccess"] is False
    assert found["deletionProtection"] is True


def test_a_private_api_is_reached_from_the_vpc_and_from_named_networks_alone() -> None:
    cloud = declared("prod", aws={"cluster": {"private-cidrs": ["10.200.0.0/16"]}})
    # EKS's own group lets in nodes and pods; a runner, a VPN or a peered network would wait for an answer without end.
    assert cloud.named("Cluster", "cluster")["vpcConfig"]["securityGroupIds"] == ["cluster-api-id"]
    assert cloud.named("SecurityGroup", "cluster-api")["vpcId"] == "network-id"
    rules = [each.inputs for each in cloud.of("SecurityGroupIngressRule") if each.inputs["securityGroupId"] == "cluster-api-id"]
    assert {each["cidrIpv4"] for each in rules} == {"10.30.0.0/16", "10.200.0.0/16"}
    assert {(each["ipProtocol"], each["fromPort"], each["toPort"]) for each in rules} == {("tcp", 443, 443)}


def test_auto_mode_runs_nodes_disks_and_load_balancers() -> None:
    cloud = declared("dev")
    found = cloud.named("Cluster", "cluster")
    assert found["computeConfig"]["nodePools"] == ["general-purpose", "system"]
    assert found["kubernetesNetworkConfig"]["elasticLoadBalancing"]["enabled"] is True
    assert found["storageConfig"]["blockStorage"]["enabled"] is True
    assert not cloud.of("NodeGroup") and [each.inputs["addonName"] for each in cloud.of("Addon")] == ["metrics-server"]
    assert cloud.named("StorageClass", "encrypted-storageclass")["provisioner"] == "ebs.csi.eks.amazonaws.com"
    # Without it Auto Mode takes no notice of network policies.
    assert cloud.named("ConfigMap", "amazon-vpc-cni-configmap")["data"] == {"enable-network-policy-controller": "true"}
    order = [each.name for each in cloud.resources]
    assert order.index("encrypted-storageclass") < order.index("prometheus")


def test_a_node_group_brings_hardened_machines_and_the_add_ons() -> None:
    cloud = declared("dev", aws={"cluster": {"compute": "node-groups", "node-group": {"minimum": 1, "maximum": 3}}})
    assert "computeConfig" not in cloud.named("Cluster", "cluster")
    template = cloud.named("LaunchTemplate", "cluster-nodes")
    assert template["metadataOptions"] == {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1}
    assert template["blockDeviceMappings"][0]["ebs"]["encrypted"] == "true"
    assert {tag for each in template["tagSpecifications"] for tag in each["tags"]} >= {"environment", "cost-center"}
    group = cloud.of("NodeGroup")[0]
    assert group.inputs["scalingConfig"] == {"minSize": 1, "maxSize": 3, "desiredSize": 1}
    assert group.ignored == ("scalingConfig.desiredSize",)
    addons = {each.inputs["addonName"] for each in cloud.of("Addon")}
    assert addons == {"eks-pod-identity-agent", "kube-proxy", "vpc-cni", "coredns", "metrics-server", "aws-ebs-csi-driver"}
    # Nodes need their network first; what runs on them comes after.
    order = [each.name for each in cloud.resources]
    assert order.index("cluster-nodes-vpc-cni") < order.index("cluster-nodes-coredns")
    assert cloud.named("StorageClass", "encrypted-storageclass")["provisioner"] == "ebs.csi.aws.com" and not cloud.of("ConfigMap")
    cni = cloud.named("Addon", "cluster-nodes-vpc-cni")
    assert json.loads(cni["configurationValues"]) == {"enableNetworkPolicy": "true"}
    assert cni["podIdentityAssociations"][0]["serviceAccount"] == "aws-node"


def test_a_cluster_that_stands_is_used_and_not_touched(cloud: Declared) -> None:
    cloud.answers["aws:eks/getCluster:getCluster"] = {
        "name": "theirs",
        "endpoint": "https://theirs.test",
        "certificateAuthorities": [{"data": "Q0E="}],
        "vpcConfig": {"clusterSecurityGroupId": "sg-theirs"},
    }
    declare(cloud, "dev", aws={"cluster": {"existing": "theirs"}})
    assert not cloud.of("Cluster") and not cloud.of("StorageClass") and not cloud.of("Addon")
    assert {each.inputs["clusterName"] for each in cloud.of("AccessEntry")} == {"theirs"}
    assert cloud.named("SecurityGroupIngressRule", "database")["referencedSecurityGroupId"] == "sg-theirs"
    assert "https://theirs.test" in cloud.named("kubernetes", "cluster")["kubeconfig"]


def test_a_cluster_elsewhere_gets_nothing_of_eks() -> None:
    elsewhere = {
        "kubeconfig": "some/kubeconfig",
        "context": "there",
        "registry": "registry.test/models",
        "prometheus": "http://prometheus.test:9090",
        "gateway": {"url": "https://models.test", "internal-url": "http://traefik.test:8082"},
    }
    cloud = declared("dev", aws={"cluster": {"compute": "elsewhere"}}, kubernetes=elsewhere)
    assert not [each for each in cloud.resources if each.typ.startswith("aws:eks/")]
    assert cloud.named("kubernetes", "cluster") == {
        "kubeconfig": "some/kubeconfig",
        "context": "there",
        "enableServerSideApply": "true",
        "upsertExistingObjects": "true",
    }
    assert not [each for each in cloud.of("SecurityGroupIngressRule") if each.name == "database"]


def test_the_provider_enters_with_a_token_of_the_shells_login_and_no_secret() -> None:
    cloud = declared("dev")
    content = json.loads(cloud.named("kubernetes", "cluster")["kubeconfig"])
    user = content["users"][0]["user"]
    assert list(user) == ["exec"] and user["exec"]["command"] == "aws"
    assert user["exec"]["args"][:4] == ["--region", "eu-central-1", "eks", "get-token"]
    assert content["clusters"][0]["cluster"] == {"server": "https://cluster.test", "certificate-authority-data": "Q0E="}


def test_nobody_enters_before_it_is_known_who_may() -> None:
    cloud = declared("dev")
    provider = next(each for each in cloud.resources if each.typ == "pulumi:providers:kubernetes")
    entries = [each.name for each in cloud.of("AccessPolicyAssociation")]
    assert set(entries) <= set(provider.after)


@pytest.mark.parametrize("compute", ["auto", "node-groups"])
def test_pods_come_after_what_they_run_on_and_go_before_it(compute: str) -> None:
    cloud = declared("dev", aws={"cluster": {"compute": compute}})
    provider = next(each for each in cloud.resources if each.typ == "pulumi:providers:kubernetes")
    # Else a chart's time is over before there is a node, and a load balancer or a disk outlives whoever would remove it.
    assert {each.name for kind in ("Addon", "NodeGroup") for each in cloud.of(kind)} <= set(provider.after)


def test_kubectl_reads_the_kubeconfig(tmp_path: Any) -> None:
    import kubernetes.config

    path = tmp_path / "kubeconfig"
    path.write_text(document("eu-central-1", "mldelivery-dev", "https://cluster.test", "Q0E="))
    contexts, current = kubernetes.config.list_kube_config_contexts(str(path))  # type: ignore[no-untyped-call]
    assert current["name"] == "mldelivery-dev" and len(contexts) == 1


UNKNOWN = Unknown()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("kubeconfig", [UNKNOWN, document("eu-central-1", "dev", "https://nobody.test", "Q0E=")])
def test_a_preview_asks_nothing_of_a_cluster_that_the_same_stack_makes(kubeconfig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the cluster was asked")

    monkeypatch.setattr(guard, "connect", refuse)
    news = {"kubeconfig": kubeconfig, "context": None, "namespace": "mldelivery"}
    assert guard.RolloutGuardProvider().check({}, news).inputs == news
    with pytest.raises(AssertionError):
        guard.RolloutGuardProvider().check({}, {**news, "kubeconfig": "some/kubeconfig"})


@pytest.mark.parametrize(("compute", "internal"), [("auto", ("scheme", "internal")), ("node-groups", ("internal", "true"))])
def test_the_gateway_is_an_internal_load_balancer_with_a_certificate(compute: str, internal: tuple[str, str]) -> None:
    cloud = declared("prod", aws={"cluster": {"compute": compute}})
    service = cloud.named("Release", "traefik")["values"]["service"]
    annotations = {key.removeprefix(PREFIX): value for key, value in service["annotations"].items()}
    assert annotations[internal[0]] == internal[1]
    assert annotations["ssl-cert"].startswith("arn:aws:acm:")
    assert annotations["backend-protocol"] == "ssl"
    assert service["additionalServices"] == {"internal": {"spec": {"type": "ClusterIP"}}}
