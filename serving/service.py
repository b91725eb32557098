"""The release as a BentoML service: ``bentoml serve`` and ``bentoml containerize`` answer exactly as ``python -m serving`` does.

The pipeline copies this file to ``<bento>/src/service.py``, the package to ``<bento>/src/serving/`` and adds ``<bento>/src/release/``;
nothing else is needed (``bentoml build`` with ``service: "service:ReleaseService"``). The environment variable SERVING_REQUEST_LOG names
the file of the request log.
"""

from __future__ import annotations

import os
from pathlib import Path

import bentoml

from serving.bento_middleware import AnswersEverything
from serving.release_file import load

_FOLDER = Path(__file__).resolve().parent / "release"


class _Release:
    """BentoML's side of a release: loads the model when the worker starts."""

    def __init__(self) -> None:
        request_log = os.environ.get("SERVING_REQUEST_LOG")
        self.application = AnswersEverything.start(_FOLDER, Path(request_log) if request_log else None)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        self.application.close()


# BentoML's access log and metrics would repeat ours at several times their cost.
ReleaseService = bentoml.service(name=load(_FOLDER).model, workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})(
    _Release
)
ReleaseService.add_asgi_middleware(AnswersEverything)
