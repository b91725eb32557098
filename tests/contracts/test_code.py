"""Rules over every Python file, each seen to fail on a small bad example."""

from __future__ import annotations

import ast
import sys

import pytest

from tests.contracts import code
from tests.contracts.repository import python_files, text_of

PRODUCT = ("infra", "stacks", "serving", "pipelines", "models")


def violations_of(paths: tuple[str, ...], rule: object) -> list[str]:
    """``path:violation`` for each violation of ``rule``, which takes a file's text."""
    return [f"{path}:{found}" for path in paths for found in rule(text_of(path))]  # type: ignore[operator]


def test_no_module_has_an_empty_name() -> None:
    assert [path for path in python_files() if code.banned_name(path)] == []


@pytest.mark.parametrize("path", ["infra/utils.py", "infra/common/config.py", "pipelines/_helpers.py", "serving/lib/x.py", "a/Manager.py"])
def test_an_empty_name_is_found(path: str) -> None:
    assert code.banned_name(path)


def test_a_name_that_says_something_is_fine() -> None:
    assert code.banned_name("infra/library_card.py") is None


def test_nothing_loads_what_runs_code_when_read() -> None:
    shipped = tuple(path for path in python_files() if not path.startswith("tests/") and "/tests/" not in path)
    tests = tuple(path for path in python_files() if path not in shipped)
    assert violations_of(shipped, code.unsafe_loading) == []
    assert violations_of(tests, lambda text: code.unsafe_loading(text, is_test=True)) == []


@pytest.mark.parametrize(
    "source",
    ["import pickle", "import joblib.externals", "from dill import dumps", "from joblib import load", "def f():\n    import cloudpickle"],
)
def test_unsafe_imports_are_found(source: str) -> None:
    assert code.unsafe_loading(source)


def test_a_test_may_write_a_pickle_but_not_read_one() -> None:
    assert code.unsafe_loading("import pickle\npickle.dumps(1)", is_test=True) == []
    assert code.unsafe_loading("import pickle\npickle.loads(b'')", is_test=True) == ["2: pickle.loads"]
    assert code.unsafe_loading("from pickle import loads", is_test=True)


def test_no_assert_outside_tests() -> None:
    shipped = tuple(path for path in python_files(*PRODUCT, "toolchain", "__main__.py") if "/tests/" not in path)
    assert violations_of(shipped, code.asserts) == []


def test_an_assert_is_found() -> None:
    assert code.asserts("def f(x):\n    assert x") == ["2: assert"]


def test_nothing_reads_the_environment_while_it_is_imported() -> None:
    assert violations_of(python_files(*PRODUCT), code.environment_reads_at_import) == []


@pytest.mark.parametrize("source", ["import os\nHOME = os.environ['HOME']", "import os\nclass A:\n    x = os.getenv('X')"])
def test_a_read_of_the_environment_at_import_is_found(source: str) -> None:
    assert len(code.environment_reads_at_import(source)) == 1


def test_a_read_of_the_environment_in_a_function_is_fine() -> None:
    assert code.environment_reads_at_import("import os\ndef f():\n    return os.environ['X']") == []


def test_set_up_reads_on_an_old_python() -> None:
    assert violations_of(python_files("toolchain"), lambda text: code.newer_than(text, (3, 8))) == []


def test_newer_syntax_is_found() -> None:
    assert code.newer_than("match x:\n    case 1: pass", (3, 8))


IN_THE_ENVIRONMENT = tuple(f"toolchain/{name}/" for name in ("cluster", "images", "providers", "kubernetes_provider", "aws_provider"))
"""What runs only when the environment is there."""


def outside_the_standard_library(source: str) -> list[str]:
    """Modules imported that neither Python nor toolchain itself brings."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        names |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
        names |= {node.module or ""} if isinstance(node, ast.ImportFrom) else set()
    return sorted(name for name in names if name.split(".")[0] not in {*sys.stdlib_module_names, "toolchain"})


def test_set_up_needs_nothing_that_it_has_yet_to_install() -> None:
    files = tuple(path for path in python_files("toolchain") if not path.startswith(IN_THE_ENVIRONMENT))
    assert violations_of(files, outside_the_standard_library) == []


def test_a_third_party_import_is_found() -> None:
    assert outside_the_standard_library("import os, yaml\nfrom httpx import get") == ["httpx", "yaml"]
