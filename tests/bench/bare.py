"""The engine without us: a Pulumi program of the same shape whose resources do nothing. What it costs, no code of ours can save."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import command

ROOT = Path(__file__).parents[2]
AS_OURS = ("--suppress-progress", "--skip-plugin-pre-install")
"""As ``pipelines.engine`` runs the engine: else it first looks for the plugins of every Pulumi package that is installed, for seconds."""

_PROJECT = "name: bare\nruntime: python\nmain: .\n"
_PROVIDER = '''"""Resources that are there and do nothing."""
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult


class NothingProvider(ResourceProvider):
    serialize_as_secret_always = False

    def diff(self, _id, olds, news):
        return DiffResult(changes=olds.get("number") != news["number"])

    def create(self, props):
        return CreateResult("nothing", props)

    def update(self, _id, _olds, news):
        return UpdateResult(news)


class Nothing(Resource, module="bare", name="Nothing"):
    def __init__(self, name, number, opts=None):
        super().__init__(NothingProvider(), name, {"number": number}, opts)
'''
_FLAT = """from nothing import Nothing
from sdk import quicken

quicken()
for number in range({resources}):
    Nothing(f"nothing-{{number}}", 1)
"""
_PROGRAM = """import pulumi
from nothing import Nothing
from sdk import quicken

quicken()
platform = pulumi.ComponentResource("bare:Platform", "platform")
for name in ("supervisor", "gateway", "mlflow"):
    Nothing(name, 1, pulumi.ResourceOptions(parent=platform))
for model in range({models}):
    component = pulumi.ComponentResource("bare:Model", f"model-{{model}}")
    child = pulumi.ResourceOptions(parent=component)
    Nothing(f"route-{{model}}", 1, pulumi.ResourceOptions(parent=component, depends_on=[Nothing(f"serve-{{model}}", 1, child)]))
"""


@dataclass(frozen=True)
class Bare:
    """A program and a state of its own in a folder."""

    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def make(cls, folder: Path, environment: Mapping[str, str], *, models: int | None) -> Bare:
        """Write a program of the shape of a laptop's with ``models``, None for one of no line at all, and bring it up once."""
        bare = cls._written(folder, environment, "" if models is None else _PROGRAM.format(models=models))
        bare.up()
        return bare

    @classmethod
    def new(cls, folder: Path, environment: Mapping[str, str], *, resources: int) -> Bare:
        """Write a program of so many resources that depend on nothing, with an empty state: it can be previewed, as offline."""
        home = folder / "home"
        home.mkdir(parents=True)
        (home / "logs").touch()
        return cls._written(folder, {**environment, "GOGC": "400"}, _FLAT.format(resources=resources), PULUMI_HOME=str(home))

    @classmethod
    def _written(cls, folder: Path, environment: Mapping[str, str], program: str, **settings: str) -> Bare:
        (folder / "state").mkdir(parents=True)
        (folder / "Pulumi.yaml").write_text(_PROJECT, encoding="utf-8")
        (folder / "__main__.py").write_text(program, encoding="utf-8")
        (folder / "nothing.py").write_text(_PROVIDER, encoding="utf-8")
        # What spares our program some of the SDK's time spares this one too.
        shutil.copy2(ROOT / "stacks" / "sdk.py", folder / "sdk.py")
        kept = {key: value for key, value in environment.items() if not key.startswith("PULUMI_")}
        own = {"PULUMI_BACKEND_URL": f"file://{folder / 'state'}", "PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_SKIP_UPDATE_CHECK": "true"}
        bare = cls(folder, {**kept, **own, **settings, "DO_NOT_TRACK": "1", "PYTHONPATH": str(folder)})
        bare._pulumi("stack", "init", "bare")
        return bare

    def up(self) -> None:
        """``pulumi up``; nothing to do but for the first time."""
        self._pulumi("up", "--yes", "--skip-preview", "--stack", "bare", *AS_OURS)

    def preview(self) -> None:
        """``pulumi preview``."""
        self._pulumi("preview", "--diff", "--stack", "bare", *AS_OURS)

    def _pulumi(self, *arguments: str) -> None:
        pulumi = shutil.which("pulumi", path=self.environment["PATH"])
        assert pulumi, "pulumi is not on PATH: use make bench, or source toolchain/activate"
        command([pulumi, *arguments, "--non-interactive"], folder=self.folder, environment=self.environment)
