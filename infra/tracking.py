"""Where a stack's MLflow server is, and which image it runs: what the program and the commands share of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from infra.config import PROJECT, KubernetesConfig
from infra.errors import ConfigError

LAYOUT = "tracking/image"
"""The OCI layout of the image made here, from the store's root."""
IMAGE = "tracking/image.txt"
"""Beside it: the image as a stack's file would name it."""


def image_in_use(kubernetes: KubernetesConfig, store: Path, *, file: str) -> str:
    """The server's image, ``name@sha256:…`` below the registry: what config names, or what was made here. Raises ConfigError."""
    named = kubernetes.tracking.image if kubernetes.tracking else None
    if named is not None:
        return named
    try:
        return (store / IMAGE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise ConfigError(
            "MLflow's server has no image yet",
            where=f"{file}: {PROJECT}:kubernetes.tracking.image",
            allowed="an image by digest, or none where `make up` makes it",
            act="make up STACK=" + file.split(".")[1],
        ) from None


def is_server(uri: str) -> bool:
    """Whether MLflow at ``uri`` is a server, which others reach too, and not a store's own database."""
    return uri.startswith(("http://", "https://"))


def without_account(text: str) -> str:
    """A text without the names and passwords of the addresses in it: what is shown ends up in logs that many read."""
    return re.sub(r"(\w://)[^/\s]*@", r"\1…@", text)


def client_environment(kubernetes: KubernetesConfig, root: Path, *, file: str) -> dict[str, str]:
    """What MLflow's client is told to reach a stack's server; empty where the stack has none.

    ``root`` is the checkout's. Raises ConfigError where the account's file is not there or not such a file.
    """
    tracking = kubernetes.tracking
    if tracking is None:
        return {}
    found = {"MLFLOW_TRACKING_URI": tracking.url}
    if kubernetes.gateway.ca is not None:
        found["MLFLOW_TRACKING_SERVER_CERT_PATH"] = str(root / kubernetes.gateway.ca)
    if tracking.account is not None:
        try:
            account = json.loads((root / tracking.account).read_text(encoding="utf-8"))
            found["MLFLOW_TRACKING_USERNAME"] = str(account["username"])
            found["MLFLOW_TRACKING_PASSWORD"] = str(account["password"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(
                "the account for MLflow cannot be read",
                where=f"{file}: {PROJECT}:kubernetes.tracking.account",
                got=tracking.account,
                allowed='a JSON file {"username": …, "password": …}',
                act="make the cluster first (`make cluster` for the repository's own), or correct the path",
            ) from None
    return found
