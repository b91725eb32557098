"""Resources that no rule has anything against, and one change of one of them for each thing that a rule must find.

The engine's own test declares the same resources, so that each rule is seen to work through the engine too.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.kubernetes import manifests
from tests.unit.infra.kubernetes_models import challenger_rollout, everything, model, workload

Props = dict[str, Any]

IMAGE = "registry.test/tool@sha256:" + "b" * 64
ARN = "arn:aws:s3:::mldelivery-artifacts/*"
ANY_KEY = "arn:aws:kms:eu-central-1:111122223333:key/*"
KMS = "arn:aws:kms:eu-central-1:111122223333:key/1"
TAGS = {"project": "mldelivery", "environment": "prod", "owner": "platform", "cost-center": "ml"}
ROOT_OF_ACCOUNT = "arn:aws:iam::111122223333:root"
GITHUB = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"


@dataclass(frozen=True)
class Ref:
    """The output of another resource: what makes a property belong to it, and unknown in a first preview."""

    name: str


def statement(**parts: Any) -> Props:
    """A policy document of one statement."""
    return {"Version": "2012-10-17", "Statement": [{"Sid": "One", "Effect": "Allow", **parts}]}


def _kubernetes(manifest: Mapping[str, Any]) -> tuple[str, Props]:
    group = manifest["apiVersion"] if "/" in manifest["apiVersion"] else f"core/{manifest['apiVersion']}"
    return f"kubernetes:{group}:{manifest['kind']}", copy.deepcopy(dict(manifest))


def _evidence() -> Props:
    line = {"made": "2026-11-24T12:00:00Z by data-science", "golden": "30 requests (1ab)", "gates": "data pass, evaluation pass"}
    return {"champion": line}


def _served(strategy: str = "canary") -> Props:
    return {
        "model": "iris",
        "champion": 5,
        "evidence": _evidence(),
        "policy": {
            "strategy": strategy,
            "steps": [10, 50],
            "step_seconds": 10,
            "bake_seconds": 15,
            "minimum_sample": 50,
            "insufficient": "probe",
            "hold_seconds": 600,
            "rollback_window": 3,
            "slo": {"error_rate": 0.01, "p99_ms": 250},
        },
        "wiring": {"model": "iris", "role": "champion"},
    }


def _pod() -> Props:
    """The pod of a tool that runs beside the models."""
    return copy.deepcopy(manifests.pod_template(workload(model()))["spec"])


DENY_PLAIN = {
    "Sid": "TlsOnly",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ARN,
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}

GOOD: dict[str, tuple[str, Props]] = {
    **{
        f"{manifest['metadata']['name']}-{manifest['kind'].lower()}": _kubernetes(manifest)
        for manifest in everything(model(rollout={"steps": [10, 50]}))
    },
    "challenger": _kubernetes(challenger_rollout(model())),
    "watch": ("pulumi-python:dynamic/mldelivery:RolloutWatch", _served()),
    "watch-of-challenger": (
        "pulumi-python:dynamic/mldelivery:RolloutWatch",
        {**_served(), "role": "challenger", "wiring": {"model": "iris", "role": "challenger"}},
    ),
    "route": ("pulumi-python:dynamic/mldelivery:Route", _served()),
    "deployment": (
        "kubernetes:apps/v1:Deployment",
        {"metadata": {"name": "tool"}, "spec": {"template": {"spec": {**_pod(), "initContainers": [_pod()["containers"][0]]}}}},
    ),
    "role": (
        "kubernetes:rbac.authorization.k8s.io/v1:Role",
        {"rules": [{"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["get"]}]},
    ),
    "binding": (
        "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
        {"roleRef": {"kind": "Role", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}},
    ),
    "balancer": (
        "kubernetes:core/v1:Service",
        {
            "metadata": {"annotations": {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"}},
            "spec": {"type": "LoadBalancer"},
        },
    ),
    "chart": ("kubernetes:helm.sh/v3:Release", {"chart": "traefik", "version": "40.2.0", "values": {"containers": [{"name": "a"}]}}),
    "bucket": ("aws:s3/bucket:Bucket", {"tags": TAGS}),
    "block": (
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        {
            "bucket": Ref("bucket"),
            "blockPublicAcls": True,
            "blockPublicPolicy": True,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        },
    ),
    "encryption": (
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        {
            "bucket": Ref("bucket"),
            "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KMS}, "bucketKeyEnabled": True}],
        },
    ),
    "versioning": (
        "aws:s3/bucketVersioning:BucketVersioning",
        {"bucket": Ref("bucket"), "versioningConfiguration": {"status": "Enabled"}},
    ),
    "bucket-policy": (
        "aws:s3/bucketPolicy:BucketPolicy",
        {"bucket": Ref("bucket"), "policy": json.dumps({"Version": "2012-10-17", "Statement": [DENY_PLAIN]})},
    ),
    "database": (
        "aws:rds/instance:Instance",
        {
            "instanceClass": "db.t4g.small",
            "storageEncrypted": True,
            "manageMasterUserPassword": True,
            "deletionProtection": True,
            "backupRetentionPeriod": 14,
            "skipFinalSnapshot": False,
            "tags": TAGS,
        },
    ),
    "parameters": (
        "aws:rds/parameterGroup:ParameterGroup",
        {"family": "postgres17", "parameters": [{"name": "rds.force_ssl", "value": "1"}], "tags": TAGS},
    ),
    "key": (
        "aws:kms/key:Key",
        {
            "enableKeyRotation": True,
            "policy": json.dumps(statement(Principal={"AWS": ROOT_OF_ACCOUNT}, Action="kms:*", Resource="*")),
            "tags": TAGS,
        },
    ),
    "log-group": ("aws:cloudwatch/logGroup:LogGroup", {"retentionInDays": 30, "kmsKeyId": KMS, "tags": TAGS}),
    "topic": ("aws:sns/topic:Topic", {"kmsMasterKeyId": KMS, "tags": TAGS}),
    "repository": (
        "aws:ecr/repository:Repository",
        {
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": True},
            "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": KMS}],
            "tags": TAGS,
        },
    ),
    "iam-role": (
        "aws:iam/role:Role",
        {
            "assumeRolePolicy": json.dumps(
                statement(
                    Principal={"Federated": GITHUB},
                    Action="sts:AssumeRoleWithWebIdentity",
                    Condition={"StringEquals": {"token.actions.githubusercontent.com:sub": "repo:example/mldelivery:environment:prod"}},
                )
            ),
            "tags": TAGS,
        },
    ),
    "role-policy": (
        "aws:iam/rolePolicy:RolePolicy",
        {"role": "reader", "policy": json.dumps(statement(Action=["s3:GetObject"], Resource=[ARN]))},
    ),
    "by-alias": (
        "aws:iam/rolePolicy:RolePolicy",
        {
            "role": "reader",
            "policy": json.dumps(
                statement(
                    Action="kms:Decrypt", Resource=ANY_KEY, Condition={"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/data"}}
                )
            ),
        },
    ),
    "attachment": (
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        {"role": "nodes", "policyArn": "arn:aws:iam::aws:policy/AmazonEKSWorkerNodeMinimalPolicy"},
    ),
    "cluster": (
        "aws:eks/cluster:Cluster",
        {
            "vpcConfig": {"endpointPrivateAccess": True, "endpointPublicAccess": True, "publicAccessCidrs": ["198.51.100.0/24"]},
            "encryptionConfig": {"provider": {"keyArn": Ref("key")}, "resources": ["secrets"]},
            "enabledClusterLogTypes": ["api", "audit", "authenticator", "controllerManager", "scheduler"],
            "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
            "deletionProtection": True,
            "tags": TAGS,
        },
    ),
    "nodes": ("aws:eks/nodeGroup:NodeGroup", {"clusterName": "prod", "launchTemplate": {"version": "1"}, "tags": TAGS}),
    "template": (
        "aws:ec2/launchTemplate:LaunchTemplate",
        {"metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1}, "tags": TAGS},
    ),
    "vpc": ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16", "tags": TAGS}),
    "flow-log": ("aws:ec2/flowLog:FlowLog", {"vpcId": Ref("vpc"), "trafficType": "ALL", "tags": TAGS}),
    "subnet": ("aws:ec2/subnet:Subnet", {"vpcId": Ref("vpc"), "tags": TAGS}),
    "ingress": (
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        {"cidrIpv4": "10.0.0.0/16", "ipProtocol": "tcp", "fromPort": 443, "toPort": 443},
    ),
    "group": ("aws:ec2/securityGroup:SecurityGroup", {"ingress": [{"cidrBlocks": ["10.0.0.0/16"], "protocol": "tcp"}], "tags": TAGS}),
    "old-rule": ("aws:ec2/securityGroupRule:SecurityGroupRule", {"type": "ingress", "cidrBlocks": ["10.0.0.0/16"], "protocol": "tcp"}),
    "load-balancer": ("aws:lb/loadBalancer:LoadBalancer", {"internal": True, "tags": TAGS}),
}


@dataclass(frozen=True)
class Bad:
    """A good resource with one change, and what must be found in it: by which rule, at which property."""

    of: str
    path: tuple[str | int, ...]
    value: Any
    rule: str
    at: str

    def props(self) -> Props:
        """The changed properties; a value of None takes the property away."""
        props = copy.deepcopy(GOOD[self.of][1])
        place: Any = props
        for key in self.path[:-1]:
            place = place[key]
        if self.value is None:
            del place[self.path[-1]]
        else:
            place[self.path[-1]] = self.value
        return props


def _document(of: str, rule: str, at: str, *, key: str = "policy", **parts: Any) -> Bad:
    return Bad(of, (key,), json.dumps(statement(**parts)), rule, at)


_CONTAINER = ("spec", "template", "spec", "containers", 0)
_AT = "spec.template.spec.containers[0]"
_JOB = ("spec", "metrics", 0, "provider", "job", "spec", "template", "spec")
_JOB_AT = "spec.metrics[0].provider.job.spec.template.spec"
_TRUST = {"Principal": {"Federated": GITHUB}, "Action": "sts:AssumeRoleWithWebIdentity"}
_SUBJECT = "token.actions.githubusercontent.com:sub"

BAD = (
    Bad("watch", ("evidence", "champion", "made"), "2026-11-24T12:00:00Z by ", "model-owner", "evidence.champion.made"),
    Bad("route", ("evidence", "champion", "golden"), "0 requests ()", "model-golden", "evidence.champion.golden"),
    Bad("watch", ("evidence", "champion", "gates"), "data pass, evaluation fail", "model-gates", "evidence.champion.gates"),
    Bad("watch", ("policy", "slo", "error_rate"), 1, "model-slo", "policy.slo.error_rate"),
    Bad("watch", ("policy", "slo", "p99_ms"), None, "model-slo", "policy.slo.p99_ms"),
    Bad("watch", ("policy", "minimum_sample"), 0, "model-rollout", "policy.minimum_sample"),
    Bad("watch", ("policy", "bake_seconds"), 0, "model-rollout", "policy.bake_seconds"),
    Bad("watch", ("policy", "rollback_window"), 0, "model-rollout", "policy.rollback_window"),
    Bad("watch", ("policy", "strategy"), "recreate", "model-rollout", "policy.strategy"),
    Bad("watch", ("policy", "steps"), [26, 50], "first-step", "policy.steps"),
    Bad("route", ("policy", "steps"), [], "first-step", "policy.steps"),
    Bad("iris-rollout", ("spec", "strategy", "canary", "steps", 2, "setWeight"), 50, "first-step", "spec.strategy.canary.steps"),
    Bad("watch", ("policy", "strategy"), "blue-green", "not-at-once", "policy.strategy"),
    Bad(
        "iris-rollout",
        ("spec", "strategy", "canary", "steps"),
        [{"setWeight": 10}, {"analysis": {}}],
        "rollout-verified",
        "spec.strategy.canary.steps[0]",
    ),
    Bad(
        "challenger",
        ("spec", "strategy", "blueGreen", "prePromotionAnalysis"),
        None,
        "rollout-verified",
        "spec.strategy.blueGreen.prePromotionAnalysis",
    ),
    Bad("iris-rollout", ("metadata", "name"), "unwatched", "rollout-watched", "metadata.name"),
    Bad("deployment", (*_CONTAINER, "image"), "registry.test/tool:latest", "image-by-digest", f"{_AT}.image"),
    Bad("iris-rollout", (*_CONTAINER, "image"), "registry.test/iris", "image-by-digest", f"{_AT}.image"),
    Bad("iris-golden-analysistemplate", (*_JOB, "containers", 0, "image"), "a:1", "image-by-digest", f"{_JOB_AT}.containers[0].image"),
    Bad(
        "iris-rollout",
        ("spec", "strategy", "canary", "steps", 1, "analysis", "args", 1, "value"),
        "a:1",
        "image-by-digest",
        "spec.strategy.canary.steps[1].analysis.args[1].value",
    ),
    Bad("deployment", (*_CONTAINER, "resources", "limits"), {"cpu": "1"}, "pod-limits", f"{_AT}.resources.limits"),
    Bad(
        "deployment",
        ("spec", "template", "spec", "initContainers", 0, "resources", "requests"),
        None,
        "pod-limits",
        "spec.template.spec.initContainers[0].resources.requests",
    ),
    Bad("deployment", (*_CONTAINER, "securityContext", "runAsNonRoot"), False, "pod-not-root", f"{_AT}.securityContext.runAsNonRoot"),
    Bad("deployment", (*_CONTAINER, "securityContext", "runAsUser"), 0, "pod-not-root", f"{_AT}.securityContext.runAsUser"),
    Bad("deployment", (*_CONTAINER, "securityContext", "privileged"), True, "pod-not-privileged", f"{_AT}.securityContext.privileged"),
    Bad(
        "deployment",
        (*_CONTAINER, "securityContext", "allowPrivilegeEscalation"),
        None,
        "pod-not-privileged",
        f"{_AT}.securityContext.allowPrivilegeEscalation",
    ),
    Bad(
        "deployment",
        (*_CONTAINER, "securityContext", "capabilities"),
        {"drop": ["ALL"], "add": ["NET_ADMIN"]},
        "pod-not-privileged",
        f"{_AT}.securityContext.capabilities",
    ),
    Bad(
        "deployment",
        (*_CONTAINER, "securityContext", "seccompProfile"),
        {"type": "Unconfined"},
        "pod-not-privileged",
        f"{_AT}.securityContext.seccompProfile.type",
    ),
    Bad("deployment", (*_CONTAINER, "ports", 0, "hostPort"), 80, "pod-not-privileged", f"{_AT}.ports[0].hostPort"),
    Bad("deployment", ("spec", "template", "spec", "hostNetwork"), True, "pod-not-privileged", "spec.template.spec.hostNetwork"),
    Bad(
        "deployment",
        ("spec", "template", "spec", "volumes", 0),
        {"name": "tmp", "hostPath": {"path": "/"}},
        "pod-not-privileged",
        "spec.template.spec.volumes[0].hostPath",
    ),
    Bad(
        "deployment",
        (*_CONTAINER, "securityContext", "readOnlyRootFilesystem"),
        None,
        "pod-read-only",
        f"{_AT}.securityContext.readOnlyRootFilesystem",
    ),
    Bad(
        "iris-golden-analysistemplate",
        (*_JOB, "automountServiceAccountToken"),
        None,
        "pod-no-token",
        f"{_JOB_AT}.automountServiceAccountToken",
    ),
    Bad("deployment", (*_CONTAINER, "readinessProbe"), None, "pod-has-probe", f"{_AT}.readinessProbe"),
    Bad(
        "deployment",
        (*_CONTAINER, "env", 0),
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}},
        "secret-as-file",
        f"{_AT}.env[0].valueFrom.secretKeyRef",
    ),
    Bad(
        "mldelivery-namespace",
        ("metadata", "labels"),
        {},
        "namespace-restricted",
        'metadata.labels["pod-security.kubernetes.io/enforce"]',
    ),
    Bad("role", ("rules", 0, "verbs"), ["*"], "rights-named", "rules[0].verbs"),
    Bad("binding", ("roleRef", "name"), "cluster-admin", "rights-named", "roleRef.name"),
    Bad(
        "balancer",
        ("metadata", "annotations"),
        {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing"},
        "service-internal",
        'metadata.annotations["service.beta.kubernetes.io/aws-load-balancer-scheme"]',
    ),
    Bad("chart", ("version",), "~40", "chart-pinned", "version"),
    Bad("database", ("storageEncrypted",), None, "store-encrypted", "storageEncrypted"),
    Bad("log-group", ("kmsKeyId",), None, "store-encrypted", "kmsKeyId"),
    Bad("topic", ("kmsMasterKeyId",), None, "store-encrypted", "kmsMasterKeyId"),
    Bad("repository", ("encryptionConfigurations",), None, "store-encrypted", "encryptionConfigurations[0].encryptionType"),
    Bad(
        "encryption",
        ("rules", 0, "applyServerSideEncryptionByDefault", "sseAlgorithm"),
        "AES256",
        "store-encrypted",
        "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm",
    ),
    Bad("block", ("restrictPublicBuckets",), False, "bucket-private", "restrictPublicBuckets"),
    Bad("bucket", ("acl",), "public-read", "bucket-private", "acl"),
    Bad("versioning", ("versioningConfiguration", "status"), "Suspended", "bucket-complete", "versioningConfiguration.status"),
    Bad("database", ("publiclyAccessible",), True, "database-private", "publiclyAccessible"),
    Bad("database", ("deletionProtection",), False, "database-kept", "deletionProtection"),
    Bad("database", ("skipFinalSnapshot",), True, "database-kept", "skipFinalSnapshot"),
    Bad("database", ("backupRetentionPeriod",), 1, "database-kept", "backupRetentionPeriod"),
    Bad("database", ("manageMasterUserPassword",), None, "database-password", "manageMasterUserPassword"),
    Bad("parameters", ("parameters",), None, "database-tls", 'parameters["rds.force_ssl"]'),
    Bad("bucket", ("forceDestroy",), True, "stateful-protected", "forceDestroy"),
    Bad("cluster", ("deletionProtection",), False, "stateful-protected", "deletionProtection"),
    Bad("key", ("enableKeyRotation",), False, "key-rotated", "enableKeyRotation"),
    Bad("repository", ("imageTagMutability",), "MUTABLE", "images-immutable", "imageTagMutability"),
    Bad("repository", ("imageScanningConfiguration",), None, "images-immutable", "imageScanningConfiguration.scanOnPush"),
    Bad("log-group", ("retentionInDays",), 0, "logs-end", "retentionInDays"),
    _document("role-policy", "iam-actions", "policy: Statement[One].Action", Action="s3:*", Resource=ARN),
    _document("role-policy", "iam-actions", "policy: Statement[One].Action", NotAction="iam:*", Resource=ARN),
    _document("role-policy", "iam-resources", "policy: Statement[One].Resource", Action=["s3:GetObject"], Resource="*"),
    _document("role-policy", "iam-resources", "policy: Statement[One].Resource", Action="s3:GetObject", Resource="arn:aws:s3:::*"),
    _document("role-policy", "iam-resources", "policy: Statement[One].Resource", Action="kms:Decrypt", Resource=ANY_KEY),
    Bad(
        "iam-role",
        ("inlinePolicies",),
        [{"name": "a", "policy": json.dumps(statement(Action="s3:GetObject", Resource="*"))}],
        "iam-resources",
        "inlinePolicies[0].policy: Statement[One].Resource",
    ),
    _document("key", "iam-strangers", "policy: Statement[One].Principal", Principal={"AWS": "*"}, Action="kms:Decrypt", Resource="*"),
    _document(
        "iam-role",
        "iam-trust",
        "assumeRolePolicy: Statement[One].Principal",
        key="assumeRolePolicy",
        Principal="*",
        Action="sts:AssumeRole",
    ),
    _document("iam-role", "iam-trust", "assumeRolePolicy: Statement[One].Condition", key="assumeRolePolicy", **_TRUST),
    _document(
        "iam-role",
        "iam-trust",
        "assumeRolePolicy: Statement[One].Condition",
        key="assumeRolePolicy",
        **_TRUST,
        Condition={"StringLike": {_SUBJECT: "repo:example/*:*"}},
    ),
    Bad("attachment", ("policyArn",), "arn:aws:iam::aws:policy/AdministratorAccess", "iam-managed", "policyArn"),
    Bad("cluster", ("vpcConfig", "endpointPrivateAccess"), False, "endpoint-private", "vpcConfig.endpointPrivateAccess"),
    Bad("cluster", ("vpcConfig", "publicAccessCidrs"), ["0.0.0.0/0"], "endpoint-private", "vpcConfig.publicAccessCidrs"),
    Bad("cluster", ("vpcConfig", "publicAccessCidrs"), None, "endpoint-private", "vpcConfig.publicAccessCidrs"),
    Bad("cluster", ("encryptionConfig",), None, "cluster-secrets", "encryptionConfig"),
    Bad("cluster", ("enabledClusterLogTypes",), ["api"], "cluster-logs", "enabledClusterLogTypes"),
    Bad("cluster", ("accessConfig", "authenticationMode"), "CONFIG_MAP", "cluster-access", "accessConfig.authenticationMode"),
    Bad(
        "cluster",
        ("accessConfig", "bootstrapClusterCreatorAdminPermissions"),
        None,
        "cluster-access",
        "accessConfig.bootstrapClusterCreatorAdminPermissions",
    ),
    Bad("nodes", ("remoteAccess",), {"ec2SshKey": "mine"}, "nodes-closed", "remoteAccess"),
    Bad("nodes", ("launchTemplate",), None, "nodes-closed", "launchTemplate"),
    Bad("template", ("metadataOptions", "httpTokens"), "optional", "no-imdsv1", "metadataOptions.httpTokens"),
    Bad("template", ("metadataOptions", "httpPutResponseHopLimit"), 2, "no-imdsv1", "metadataOptions.httpPutResponseHopLimit"),
    Bad("ingress", ("cidrIpv4",), "0.0.0.0/0", "no-open-port", "cidrIpv4"),
    Bad("group", ("ingress", 0, "cidrBlocks"), ["0.0.0.0/0"], "no-open-port", "ingress[0].cidrBlocks"),
    Bad("old-rule", ("ipv6CidrBlocks",), ["::/0"], "no-open-port", "ipv6CidrBlocks"),
    Bad("load-balancer", ("internal",), None, "balancer-internal", "internal"),
    Bad("subnet", ("mapPublicIpOnLaunch",), True, "subnet-private", "mapPublicIpOnLaunch"),
    Bad("vpc", ("tags",), {**TAGS, "owner": ""}, "cost-tags", "tags"),
)
"""What takes a resource away, or a new one, is in ``LONE``."""

LONE: dict[str, tuple[str, Props, dict[str, tuple[str, ...]]]] = {
    "lone-bucket": ("aws:s3/bucket:Bucket", {"tags": TAGS}, {"bucket-complete": ("bucket", "bucket", "bucket", "policy")}),
    "lone-vpc": ("aws:ec2/vpc:Vpc", {"tags": TAGS}, {"flow-logs": ("vpcId",)}),
    "somebody": ("aws:iam/user:User", {"tags": TAGS}, {"iam-no-keys": ("type",)}),
}
"""Resources that are wrong as they are: their findings by rule."""
