"""What every stand-in answers alike: meeting the engine, one session a connection, and errors as one text that the engine shows."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from toolchain.providers.changes import Change
from toolchain.providers.values import decode, redacted

OPTIONS = (("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20))
_KINDS_OF_DIFFERENCE = {
    ("add", False): provider_pb2.PropertyDiff.ADD,
    ("add", True): provider_pb2.PropertyDiff.ADD_REPLACE,
    ("delete", False): provider_pb2.PropertyDiff.DELETE,
    ("delete", True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    ("update", False): provider_pb2.PropertyDiff.UPDATE,
    ("update", True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}
Method = TypeVar("Method", bound=Callable[..., Any])


class Refused(Exception):
    """What was asked for was not done; the text says why and what to do."""


class Partial(Exception):
    """A resource that is there but not ready: it goes into the state together with its reasons."""

    def __init__(self, text: str, detail: provider_pb2.ErrorResourceInitFailed) -> None:
        super().__init__(text)
        self.detail = detail


class Log:
    """Says things to the engine, which shows them beside the resource. What it can't take is lost: a log never fails an update."""

    def __init__(self, engine: engine_pb2_grpc.EngineStub | None) -> None:
        self._engine = engine
        self._said: set[tuple[str, str]] = set()

    def warn(self, urn: str, text: str) -> None:
        """A warning that stays, once for each resource."""
        if (urn, text) not in self._said:
            self._said.add((urn, text))
            self._log(engine_pb2.WARNING, urn, text, is_passing=False)

    def note(self, urn: str, text: str) -> None:
        """Something to know, once for each resource."""
        if (urn, text) not in self._said:
            self._said.add((urn, text))
            self._log(engine_pb2.INFO, urn, text, is_passing=False)

    def status(self, urn: str, text: str) -> None:
        """What a resource is doing now."""
        self._log(engine_pb2.INFO, urn, text, is_passing=True)

    def _log(self, severity: Any, urn: str, text: str, *, is_passing: bool) -> None:
        if self._engine is None:
            return
        request = engine_pb2.LogRequest(severity=severity, message=text, urn=urn, streamId=0, ephemeral=is_passing)
        with contextlib.suppress(Exception):
            self._engine.Log(request, timeout=5)


class Session(Protocol):
    """What a stand-in keeps for one provider of a program."""

    log: Log
    cancelled: threading.Event


S = TypeVar("S", bound=Session)


def answered(method: Method) -> Method:
    """Turn what a method raises into what the engine shows: one text, never a traceback of ours."""

    @functools.wraps(method)
    def answer(self: Service[Any], request: Any, context: grpc.ServicerContext) -> Any:
        properties = getattr(request, "properties", None) or getattr(request, "news", None)
        try:
            return method(self, request, context)
        except Partial as error:
            context.abort_with_status(_status(str(error), error.detail))
        except Exception as error:
            if isinstance(error, (Refused, *self.refusals)):
                shown = decode(properties) if properties is not None else {}
                context.abort(grpc.StatusCode.UNKNOWN, redacted(self.words(error, request), shown))
            traceback.print_exc(file=sys.stderr)
            text = f"a fault of the stand-in {self.title} provider itself: {type(error).__name__}: {error}"
            context.abort(grpc.StatusCode.INTERNAL, text)

    return answer  # type: ignore[return-value]


def difference_response(
    found: Sequence[Change], replaces: Sequence[str], *, path: Callable[[Change], str], is_deleted_first: bool
) -> provider_pb2.DiffResponse:
    """The answer to a Diff: each change at its ``path``, and what of it replaces the resource."""
    details = {
        path(change): provider_pb2.PropertyDiff(kind=_KINDS_OF_DIFFERENCE[change.kind, change.is_replacing], inputDiff=True)
        for change in found
    }
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if details or replaces else provider_pb2.DiffResponse.DIFF_NONE,
        # The engine shows these in its short form, by the names of inputs.
        diffs=sorted({str(change.path[0]) for change in found}),
        replaces=replaces,
        detailedDiff=details,
        hasDetailedDiff=True,
        deleteBeforeReplace=is_deleted_first,
    )


def _status(text: str, detail: provider_pb2.ErrorResourceInitFailed) -> grpc.Status:
    inner = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=text)
    inner.details.add().Pack(detail)
    status = grpc.Status()
    status.code, status.details = grpc.StatusCode.UNKNOWN, text
    status.trailing_metadata = (("grpc-status-details-bin", inner.SerializeToString()),)
    return status


class Service(provider_pb2_grpc.ResourceProviderServicer, Generic[S]):
    """A stand-in. The engine opens one connection for each provider of a program; each has a session of its own."""

    title: ClassVar[str]
    refusals: ClassVar[tuple[type[Exception], ...]] = ()
    """Exceptions, beside `Refused`, that are answers to the user and no faults."""

    def __init__(self, version: str, open_session: Callable[[Log], S]) -> None:
        self._version = version
        self._open = open_session
        self._lock = threading.Lock()
        self._sessions: dict[str, S] = {}
        self._latest: S | None = None
        self._engines: dict[str, Log] = {}

    def words(self, error: Exception, request: Any) -> str:
        """What a user reads of a refusal."""
        del request
        return str(error)

    def _session(self, context: grpc.ServicerContext) -> S:
        """The session of a connection; of one that was opened anew, the one that was configured last."""
        with self._lock:
            found = self._sessions.get(context.peer()) or self._latest
        if found is None:
            raise Refused("the engine did not introduce itself")
        return found

    def _configured(self, session: S) -> None:
        """Note that a session has its settings."""
        with self._lock:
            self._latest = session

    def _meet(self, context: grpc.ServicerContext, engine: str, *, is_new: bool) -> None:
        with self._lock:
            # The port of an earlier connection may be given to a new one, which must not find the other's settings.
            if not is_new and context.peer() in self._sessions:
                return
            if engine and engine not in self._engines:
                self._engines[engine] = Log(engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine, options=OPTIONS)))
            self._sessions[context.peer()] = self._open(self._engines.get(engine) or Log(None))

    @answered
    def Handshake(  # noqa: N802
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        """The engine says where it listens, and learns what this provider can take."""
        self._meet(context, request.engine_address, is_new=True)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    @answered
    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """The engine, of a version without handshake, says where it listens."""
        self._meet(context, request.address, is_new=False)
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:  # noqa: N802
        """The version that this provider stands in for."""
        del request, context
        return plugin_pb2.PluginInfo(version=self._version)

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """Ctrl-C: stop waiting. What was asked for stays asked."""
        del request
        self._session(context).cancelled.set()
        return empty_pb2.Empty()

    def GetMapping(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.GetMappingResponse:  # noqa: N802
        """No mapping from other tools."""
        del request, context
        return provider_pb2.GetMappingResponse()
