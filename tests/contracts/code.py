"""Rules over one Python file's text. Each returns its violations, as ``line: what``."""

from __future__ import annotations

import ast

BANNED_NAMES = ("utils", "util", "helpers", "helper", "common", "lib", "manager", "misc")
UNSAFE_MODULES = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
UNSAFE_CALLS = ("load", "loads", "Unpickler")


def banned_name(path: str) -> str | None:
    """The part of a path that says nothing about what it holds, if any."""
    for part in path.removesuffix(".py").split("/"):
        if part.lower().strip("_") in BANNED_NAMES:
            return part
    return None


def unsafe_loading(source: str, is_test: bool = False) -> list[str]:
    """Use of formats that run code when they are read. Tests may write them, to see them refused."""
    violations = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".")[0]
            names = [base] if not is_test or any(alias.name in UNSAFE_CALLS for alias in node.names) else []
        elif isinstance(node, ast.Attribute) and node.attr in UNSAFE_CALLS and isinstance(node.value, ast.Name):
            if node.value.id in UNSAFE_MODULES:
                violations.append(f"{node.lineno}: {node.value.id}.{node.attr}")
            continue
        if is_test and isinstance(node, ast.Import):
            continue
        violations += [f"{getattr(node, 'lineno', 0)}: imports {name}" for name in names if name in UNSAFE_MODULES]
    return violations


def asserts(source: str) -> list[str]:
    """``assert`` statements: outside tests a wrong state is an error with a text, and is raised under -O too."""
    return [f"{node.lineno}: assert" for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert)]


def environment_reads_at_import(source: str) -> list[str]:
    """Reads of the process environment while a file is imported, where no caller can decide and no test can see them."""
    violations = []
    stack: list[ast.AST] = [ast.parse(source)]
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            continue
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
            and node.attr in ("environ", "getenv")
        ):
            violations.append(f"{node.lineno}: os.{node.attr}")
        stack += ast.iter_child_nodes(node)
    return violations


def newer_than(source: str, version: tuple[int, int]) -> list[str]:
    """Syntax that a Python of ``version`` can't read."""
    try:
        ast.parse(source, feature_version=version)
    except SyntaxError as error:
        return [f"{error.lineno}: {error.msg}"]
    return []
