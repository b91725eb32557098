"""What MLflow's server needs of the development cluster: a PostgreSQL database, an S3 store, and the Secrets by which it reaches them.

Passwords are made at random, once for each cluster, and lie in ``.cluster/tracking``, readable by their owner only.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
from pathlib import Path
from typing import Any

import yaml

from toolchain.cluster import DATA, NAME, Place
from toolchain.cluster.node import Node
from toolchain.cluster.packages import database_programs
from toolchain.cluster.pki import write_private
from toolchain.cluster.settings import OWNER, as_owner

NAMESPACE = f"{NAME}-tracking"
MLFLOW = "mlflow"
"""The database, its user, the bucket, and the account of people and pipelines."""


def make_accounts(place: Place) -> None:
    """Write the passwords; nothing where they are there already."""
    place.accounts.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("database", "users"):
        _once(place.accounts / f"{name}.json", json.dumps({"username": MLFLOW, "password": secrets.token_urlsafe(32)}))
    _once(place.accounts / "store.env", f"ROOT_ACCESS_KEY_ID={secrets.token_hex(10)}\nROOT_SECRET_ACCESS_KEY={secrets.token_urlsafe(32)}\n")


def make_folders(place: Place) -> None:
    """Make the folders that the database and the store start from."""
    # A bucket is a folder.
    (place.store / MLFLOW).mkdir(parents=True, exist_ok=True, mode=0o700)
    place.database.mkdir(exist_ok=True, mode=0o700)
    for name in ("database.key", "database.crt"):
        shutil.copyfile(place.pki / name, place.database / name)
        (place.database / name).chmod(0o600)
    (place.database / "hba.conf").write_text(f"hostssl all {MLFLOW} 0.0.0.0/0 scram-sha-256\n")
    owner = pwd.getpwnam(OWNER)
    for path in (place.database, *(path for path in place.database.iterdir() if path.is_file())):
        os.chown(path, owner.pw_uid, owner.pw_gid)


def make_database(place: Place, node: Node) -> None:
    """Make PostgreSQL's folder, with the one user that may enter and its database; nothing where it is there. Raises SetupError."""
    if (place.database / "data").is_dir():
        return
    partial, programs = DATA / "partial", database_programs()
    node.run("rm", "-rf", str(partial))
    initialise = [str(programs / "initdb"), f"--pgdata={partial}", "--auth=reject", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    node.run(*as_owner(*initialise))
    password = json.loads((place.accounts / "database.json").read_text())["password"]
    # May make databases, as tests do; may do nothing else.
    statements = f"CREATE ROLE {MLFLOW} LOGIN CREATEDB PASSWORD '{password}'\nCREATE DATABASE {MLFLOW} OWNER {MLFLOW}\n"
    node.run(*as_owner(str(programs / "postgres"), "--single", "-D", str(partial), "postgres"), text=statements)
    node.run("mv", str(partial), str(DATA / "data"))


def documents(place: Place, namespace: str = NAMESPACE) -> str:
    """A namespace for MLflow's server with the Secrets that ``Pulumi.cluster.yaml`` names, as YAML documents for kubectl."""
    database, users = (json.loads((place.accounts / f"{name}.json").read_text()) for name in ("database", "users"))
    store = dict(line.split("=", 1) for line in (place.accounts / "store.env").read_text().split())
    keys = {"access-key-id": store["ROOT_ACCESS_KEY_ID"], "secret-access-key": store["ROOT_SECRET_ACCESS_KEY"]}
    found = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        _secret(namespace, "mlflow-users", "kubernetes.io/basic-auth", users),
        _secret(namespace, "mlflow-database", "kubernetes.io/basic-auth", database),
        _secret(namespace, "mlflow-artifacts", "Opaque", keys),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "mlflow-database-ca", "namespace": namespace},
            "data": {"ca.crt": (place.pki / "ca.crt").read_text()},
        },
    ]
    return "\n---\n".join(yaml.safe_dump(each, sort_keys=False) for each in found)


def _secret(namespace: str, name: str, kind: str, values: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "type": kind, "stringData": values}


def _once(path: Path, text: str) -> None:
    if not path.is_file():
        write_private(path, text.encode())
