"""What stands in the cluster before any stack does: definitions of resources, roles of the parts, the address of DNS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from toolchain.cluster import DNS_SERVICE, NODE


def documents(binaries: Path) -> str:
    """Everything as one stream of YAML documents, for kubectl."""
    texts = [path.read_text() for path in sorted((binaries / "definitions").iterdir())]
    return "\n---\n".join([*texts, *(yaml.safe_dump(each, sort_keys=False) for each in own())])


def own() -> list[dict[str, Any]]:
    """What this repository adds to the definitions that Argo Rollouts and Traefik bring."""
    return [
        _binding("rollouts", "argo-rollouts"),
        _binding("gateway", "traefik-ingress-controller"),
        _reader("dns", {"": ["services", "pods", "namespaces"], "discovery.k8s.io": ["endpointslices"]}),
        _binding("dns", "dns"),
        _reader(
            "policies",
            {
                "": ["pods", "namespaces", "nodes", "services", "endpoints"],
                "discovery.k8s.io": ["endpointslices"],
                "networking.k8s.io": ["networkpolicies"],
            },
        ),
        _binding("policies", "policies"),
        _dns_service(),
        _dns_endpoints(),
    ]


def _binding(user: str, role: str) -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"node-{user}"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }


def _reader(name: str, resources: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A role that may read these resources, by API group, and nothing else."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{"apiGroups": [group], "resources": list(each), "verbs": ["get", "list", "watch"]} for group, each in resources.items()],
    }


def _dns_service() -> dict[str, Any]:
    ports = [{"name": "udp", "port": 53, "protocol": "UDP"}, {"name": "tcp", "port": 53, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {"clusterIP": DNS_SERVICE, "ports": ports},
    }


def _dns_endpoints() -> dict[str, Any]:
    """CoreDNS runs on the node itself, so its Service has no selector."""
    ports = [{"name": "udp", "port": 53, "protocol": "UDP"}, {"name": "tcp", "port": 53, "protocol": "TCP"}]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kube-dns-node", "namespace": "kube-system", "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [{"addresses": [NODE], "conditions": {"ready": True}}],
    }
