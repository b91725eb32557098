"""A Pulumi project of a test's own, run by the real engine in an environment that has no plugins and can't fetch any."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchain import ROOT


def without_plugins(folder: Path) -> dict[str, str]:
    """An environment whose engine has no plugins and was told a moment ago that it can't fetch any."""
    (folder / "cache" / "mldelivery").mkdir(parents=True)
    (folder / "cache" / "mldelivery" / "provider-plugins-out-of-reach").touch()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "KUBE", "AWS_"))}
    return {
        **kept,
        "PULUMI_HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }


@dataclass
class Project:
    """A project in a folder, with its state beside the program. ``environment`` is what the engine runs with."""

    folder: Path
    environment: dict[str, str]
    stack: str = field(default="test", kw_only=True)

    def init(self) -> None:
        """Make the project and its stack."""
        (self.folder / "Pulumi.yaml").write_text("name: try\nruntime: python\n", encoding="utf-8")
        self.environment = {**self.environment, "PULUMI_BACKEND_URL": f"file://{self.folder}"}
        command = ["pulumi", "stack", "init", "test", "--non-interactive"]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True, capture_output=True)

    def write(self, program: str) -> None:
        (self.folder / "__main__.py").write_text(program, encoding="utf-8")

    def run(
        self, *arguments: str, command: tuple[str, ...] = ("pulumi",), environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments, "--stack", self.stack, "--non-interactive"],
            cwd=self.folder,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )

    def ok(self, *arguments: str, **environment: str) -> str:
        done = self.run(*arguments, environment=environment)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def refused(self, *arguments: str, **environment: str) -> str:
        """What a command says that must fail."""
        done = self.run(*arguments, environment=environment)
        assert done.returncode != 0, done.stdout
        assert "fault of the stand-in" not in done.stdout, done.stdout
        # The old language host prints where the program was when the engine gave up.
        return done.stdout

    def up(self) -> str:
        return self.ok("up", "--yes", "--skip-preview")

    def fails(self) -> str:
        return self.refused("up", "--yes", "--skip-preview")

    def has_no_changes(self, *arguments: str) -> None:
        self.ok("preview", "--expect-no-changes", *arguments)

    def steps(self, *arguments: str) -> list[dict[str, Any]]:
        """The steps of a preview, as the engine tells them."""
        out = self.ok("preview", "--json", *arguments)
        return list(json.loads(out[out.index("{") :])["steps"])

    def changes(self, *arguments: str) -> dict[str, str]:
        """What a preview would do, ``Type::name`` -> operation, without what stays the same and the parts of a replacement."""
        parts = ("same", "create-replacement", "delete-replaced")
        return {
            step["urn"].rsplit(":", 3)[1] + "::" + step["urn"].split("::")[-1]: step["op"]
            for step in self.steps(*arguments)
            if step["op"] not in parts
        }

    def state(self) -> str:
        return (self.folder / ".pulumi" / "stacks" / "try" / "test.json").read_text(encoding="utf-8")

    def resource(self, name: str) -> dict[str, Any]:
        """A resource of the state, by its name or by ``Type::name``."""
        resources = json.loads(self.state())["checkpoint"]["latest"]["resources"]
        found = [each for each in resources if each["urn"].endswith((f"::{name}", f":{name}"))]
        assert len(found) == 1, [each["urn"] for each in resources]
        return dict(found[0])
