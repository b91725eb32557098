"""How the application sits in BentoML: as a middleware that answers all requests.

Mounted as ``bentoml.asgi_app`` it would come after BentoML's own ``/livez``, ``/readyz`` and ``/metrics``, which know nothing of a release.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from serving.app import Application
from serving.receive import Message, Receive, Send


class AnswersEverything:
    """ASGI middleware: HTTP goes to the release's application, everything else (start and stop) to BentoML's own."""

    _application: ClassVar[Application | None] = None

    def __init__(self, app: object) -> None:
        self._bentoml = app

    @classmethod
    def start(cls, folder: Path, request_log: Path | None) -> Application:
        """Load the release of this worker process. Raises CannotServe."""
        application = Application(folder, request_log)
        application.load_model()
        cls._application = application
        return application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._application is not None:
            await self._application(scope, receive, send)
        else:
            await self._bentoml(scope, receive, send)  # type: ignore[operator]
