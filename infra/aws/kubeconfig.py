"""How an EKS cluster is reached: a kubeconfig without a secret, whose token the AWS command line makes when it is asked for one."""

from __future__ import annotations

import json
from typing import Any

import pulumi


def kubeconfig(region: str, name: pulumi.Input[str], endpoint: pulumi.Input[str], authority: pulumi.Input[Any]) -> pulumi.Output[str]:
    """The kubeconfig as JSON, which is YAML. ``authority`` is EKS's own: an object with the CA as base64 in ``data``."""
    return pulumi.Output.all(name=name, endpoint=endpoint, authority=authority).apply(
        lambda found: document(region, found["name"], found["endpoint"], _data(found["authority"]))
    )


def document(region: str, name: str, endpoint: str, authority: str) -> str:
    """A kubeconfig for one cluster, with the shell's credentials for AWS."""
    command = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"],
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": False,
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": endpoint, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"exec": command}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    return json.dumps(content, sort_keys=True)


def _data(authority: Any) -> str:
    return str(authority["data"] if isinstance(authority, dict) else authority.data)
