"""What stands in the cluster before any stack does: definitions of resources, roles of the parts, the address of DNS."""

from __future__ import annotations

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
        _dns_role(),
        _binding("dns", "dns"),
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


def _dns_role() -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "dns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ],
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
