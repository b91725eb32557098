from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.process import Server, running
from tests.serving.source import build


@pytest.fixture(scope="session")
def onnx_src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release that onnxruntime answers."""
    return build(tmp_path_factory.mktemp("onnx") / "src")


@pytest.fixture(scope="session")
def skops_src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same release answered by scikit-learn, the fallback."""
    return build(tmp_path_factory.mktemp("skops") / "src", runtime="skops")


@pytest.fixture(scope="module")
def server(onnx_src: Path) -> Iterator[Server]:
    """One server for all tests of a module: what one test does to it, the next must survive."""
    with running(onnx_src) as found:
        yield found
