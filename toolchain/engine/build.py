"""The engine built from the Go modules that cli/ and python-host/ pin; go.sum holds the checksum of every one of them."""

from __future__ import annotations

import shutil
from pathlib import Path

from toolchain.engine.find import module_version
from toolchain.golang import Go
from toolchain.process import say

CLI = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SDK = "github.com/pulumi/pulumi/sdk/v3"
HOST = f"{SDK}/python/cmd/pulumi-language-python"
# Scripts of the host's module that `go build` does not build and that the engine looks for beside itself.
SCRIPTS = ("cmd/pulumi-language-python-exec", "dist/pulumi-resource-pulumi-python", "dist/pulumi-analyzer-policy-python")


def engine(root: Path, version: str, into: Path) -> str:
    """Build the CLI and the language host into ``into`` and say what they are made from. Raises `SetupError` with Go's own last lines."""
    source = root / "toolchain" / "engine"
    go = Go(root, [source / "cli", source / "python-host"])
    say(f"building Pulumi {version} from its pinned Go modules: some minutes and 3.5 GB of disk the first time")
    say("if interrupted, the next call goes on from there")
    host = module_version(source / "python-host" / "go.mod", SDK)
    go.build(source / "python-host", HOST, into / "pulumi-language-python", variables=_version(f"v{host}"))
    folder = go.folder(source / "python-host", SDK)
    for script in SCRIPTS:
        target = into / Path(script).name
        shutil.copyfile(folder / "python" / script, target)
        target.chmod(0o755)
    go.build(source / "cli", CLI, into / "pulumi", variables=_version(f"v{version}"))
    return f"built from the modules pinned in toolchain/engine (Python language host {host}), checked against go.sum"


def _version(version: str) -> str:
    return f"-X {SDK}/go/common/version.Version={version}"
