"""The cluster's programs that no package carries, built from pinned Go modules into a cache that all clones of one user share."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from pathlib import Path

from toolchain import ROOT
from toolchain.engine.find import module_version
from toolchain.golang import Go
from toolchain.process import cache_dir, exclusive, say

SOURCE = ROOT / "toolchain" / "cluster"
MODULES = ("parts", "dns", "gateway", "store", "policies")
VERSION = "k8s.io/component-base/version"
ARGO = "github.com/argoproj/argo-rollouts"
TRAEFIK = "github.com/traefik/traefik/v3"
STORE = "versitygw"
POLICIES = "kube-router"
DONE = "complete"


def prepare() -> Path:
    """The folder with the programs, and the definitions of Argo's and Traefik's resources.

    Built where it is not there yet; raises SetupError with the compiler's last lines.
    """
    folder = _folder()
    if (folder / DONE).is_file():
        return folder
    with exclusive(folder.with_suffix(".lock"), "the cluster's programs"):
        if not (folder / DONE).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            _build(folder)
    return folder


def store() -> Path:
    """The S3 server alone, where the others are not needed; ``prepare`` goes on from there. Raises SetupError like it."""
    program = _folder() / STORE
    if not program.is_file():
        with exclusive(program.parent.with_suffix(".lock"), "the cluster's programs"):
            if not program.is_file():
                say("building an S3 server from its pinned Go module: some 2 minutes on 2 cores the first time")
                program.parent.mkdir(parents=True, exist_ok=True)
                _build_store(Go(ROOT, [SOURCE / "store"]), program.parent)
    return program


def _folder() -> Path:
    return cache_dir() / "cluster" / f"{recipe()[:16]}-{platform.system().lower()}-{platform.machine()}"


def recipe() -> str:
    """Digest of all that the programs are made from."""
    digest = hashlib.sha256()
    for module in MODULES:
        for path in sorted((SOURCE / module).rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(SOURCE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _build(folder: Path) -> None:
    parts, dns, gateway, _, policies = modules = [SOURCE / module for module in MODULES]
    go = Go(ROOT, modules)
    version = module_version(parts / "go.mod", "k8s.io/kubernetes")
    major, minor, _ = version.split(".")
    what = f"Kubernetes {version}, Argo Rollouts, CoreDNS, kube-router and an S3 server"
    say(f"building {what} from their pinned Go modules: some 11 minutes on 2 cores the first time")
    say("if interrupted, the next call goes on from there")
    stamped = f"-X {VERSION}.gitVersion=v{version} -X {VERSION}.gitMajor={major} -X {VERSION}.gitMinor={minor}"
    _once(go, parts, ".", folder / "kubernetes", stamped)
    _once(go, parts, "./pause", folder / "pause")
    _once(go, parts, f"{ARGO}/cmd/rollouts-controller", folder / "rollouts-controller")
    _once(go, dns, "github.com/coredns/coredns", folder / "coredns")
    _once(go, policies, "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router", folder / POLICIES)
    _build_store(go, folder)
    definitions = folder / "definitions"
    shutil.rmtree(definitions, ignore_errors=True)
    definitions.mkdir()
    argo, traefik = go.folder(parts, ARGO), go.folder(gateway, TRAEFIK)
    for path in sorted((argo / "manifests" / "crds").glob("*-crd.yaml")):
        shutil.copyfile(path, definitions / path.name)
    shutil.copyfile(argo / "manifests" / "role" / "argo-rollouts-clusterrole.yaml", definitions / "argo-rollouts-role.yaml")
    documents = traefik / "docs" / "content" / "reference" / "dynamic-configuration"
    for name in ("kubernetes-crd-definition-v1.yml", "kubernetes-crd-rbac.yml"):
        shutil.copyfile(documents / name, definitions / name)
    (folder / DONE).touch()


def _build_store(go: Go, folder: Path) -> None:
    _once(go, SOURCE / "store", "github.com/versity/versitygw/cmd/versitygw", folder / STORE)


def _once(go: Go, module: Path, package: str, target: Path, variables: str = "") -> None:
    if target.exists():
        return
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        go.build(module, package, partial, variables=variables)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
