"""Rules over who imports whom. Each takes a tree of Python files and returns its violations, as ``file:line: what``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OURS = ("infra", "stacks", "serving", "pipelines", "models", "policy", "toolchain", "tests")
# Package -> what it never imports itself. Absent: anything but the tests.
NEVER = {
    "infra": ("stacks", "pipelines", "models", "policy", "toolchain"),
    "stacks": ("pipelines", "serving", "models", "policy", "toolchain"),
    "serving": ("infra", "stacks", "pipelines", "models", "policy", "toolchain"),
    "pipelines": ("stacks", "policy", "toolchain"),
    "models": ("infra", "stacks", "serving", "policy", "toolchain"),
    "policy": ("infra", "stacks", "serving", "pipelines", "models", "toolchain"),
    "toolchain": ("infra", "stacks", "serving", "pipelines", "models", "policy"),
}
# These never reach the engine's SDK, by whatever way round.
ENGINELESS = ("pipelines", "serving", "models")
# The one way from infra to the code inside a release: its golden replay.
ALLOWED_SERVING = "serving.replay"
# Each costs 0.3 to 14 seconds to import, or much memory in every server.
TARGETS = (("infra.local", "infra.kubernetes"), ("infra.kubernetes", "infra.local"))
"""A target knows nothing of another: what both need lies beside them."""

HEAVY = (
    "mlflow",
    "sklearn",
    "great_expectations",
    "evidently",
    "pandas",
    "bentoml",
    "pyarrow",
    "onnxruntime",
    "onnx",
    "skl2onnx",
    "skops",
    "scipy",
    "pulumi_aws",
    "pulumi_kubernetes",
)
# What people wait for, what is loaded anew for each resource of a dynamic provider, and what serves.
QUICK = ("__main__", "pipelines.__main__", "serving.__main__", "serving.replay", "stacks.local")


@dataclass(frozen=True)
class Import:
    """One import: the module it names, its line, and whether it runs when the file is imported."""

    module: str
    line: int
    is_at_top: bool


def imports(source: str, package: str = "") -> list[Import]:
    """Every import of a file, but for those that only a type checker sees. ``package`` is the one that the file is in."""
    return list(_walk(ast.parse(source), package, is_at_top=True))


def _walk(node: ast.AST, package: str, is_at_top: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, is_at_top) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                outer = ".".join(package.split(".")[: len(package.split(".")) - child.level + 1])
                base = f"{outer}.{base}".strip(".")
            # `from infra import release` may name a module: both readings are followed.
            yield from (Import(f"{base}.{alias.name}", child.lineno, is_at_top) for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _walk(other, package, is_at_top)
        else:
            is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from _walk(child, package, is_at_top and not is_function)


@dataclass(frozen=True)
class Tree:
    """The repository's own Python modules: name -> (path from the root, imports)."""

    modules: dict[str, tuple[str, list[Import]]]

    @classmethod
    def read(cls, root: Path) -> Tree:
        """Parse every module below ``root`` that is ours, and ``__main__.py`` beside them."""
        found: dict[str, tuple[str, list[Import]]] = {}
        paths = [path for name in OURS for path in sorted((root / name).rglob("*.py"))]
        for path in [*paths, *root.glob("__main__.py")]:
            relative = path.relative_to(root)
            parts = relative.with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            package = name if parts[-1] == "__init__" else ".".join(parts[:-1])
            found[name] = (str(relative), imports(path.read_text(), package))
        return cls(found)

    def resolve(self, imported: str) -> list[str]:
        """Our modules that an import runs: the one named and the packages above it."""
        parts = imported.split(".")
        return [name for length in range(1, len(parts) + 1) if (name := ".".join(parts[:length])) in self.modules]

    def reach(self, start: str, only_top: bool) -> Iterator[tuple[tuple[str, ...], Import]]:
        """Every import that running module ``start`` can lead to, each with the chain of our modules that leads there."""
        seen = {start}
        queue: list[tuple[str, ...]] = [(start,)]
        while queue:
            chain = queue.pop()
            for item in self.modules[chain[-1]][1]:
                if only_top and not item.is_at_top:
                    continue
                yield chain, item
                for name in self.resolve(item.module):
                    if name not in seen:
                        seen.add(name)
                        queue.append((*chain, name))


def wrong_directions(tree: Tree) -> list[str]:
    """Imports from one part of the house to another that it must not know."""
    violations = []
    for name, (path, items) in tree.modules.items():
        part = name.split(".")[0]
        for item in items:
            target = item.module.split(".")[0]
            is_forbidden = target in NEVER.get(part, ()) or (target == "tests" and part != "tests")
            is_past_replay = part == "infra" and target == "serving" and not _is_within(item.module, ALLOWED_SERVING)
            is_other_target = any(_is_within(name, one) and _is_within(item.module, other) for one, other in TARGETS)
            if is_forbidden or is_past_replay or is_other_target:
                violations.append(f"{path}:{item.line}: {part} imports {item.module}")
    return violations


def engine_imports(tree: Tree) -> list[str]:
    """Ways from pipelines, serving or models to the engine's SDK."""
    violations = []
    for name, (path, _) in tree.modules.items():
        if name.split(".")[0] in ENGINELESS:
            for chain, item in tree.reach(name, only_top=False):
                if item.module.split(".")[0].startswith("pulumi"):
                    violations.append(f"{path}: reaches {item.module} by {' -> '.join(chain)}")
    return violations


def heavy_imports(tree: Tree) -> list[str]:
    """Heavy modules that quick commands, providers or servers load before they do anything."""
    starts = [name for name in tree.modules if name in QUICK or _is_within(name, "infra.local")]
    return sorted(
        {
            f"{tree.modules[chain[-1]][0]}:{item.line}: {item.module.split('.')[0]} at the top, loaded by {chain[0]}"
            for start in starts
            for chain, item in tree.reach(start, only_top=True)
            if item.module.split(".")[0] in HEAVY
        }
    )


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
