"""The engine's side: gRPC ``ResourceProvider``, in the terms of the protocol (check, diff, create, read, update, delete)."""

from __future__ import annotations

import functools
import hashlib
import importlib
import secrets
from typing import Any

import grpc  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi import _types
from pulumi.runtime.proto import provider_pb2

from toolchain.aws_provider import functions
from toolchain.aws_provider.kinds import Kind
from toolchain.aws_provider.resources import Resource, Unfinished
from toolchain.aws_provider.schema import NoSuchType, schema
from toolchain.aws_provider.session import Session
from toolchain.aws_provider.shapes import BadParameter
from toolchain.aws_provider.table import KINDS
from toolchain.providers.changes import Change, changes, is_within
from toolchain.providers.paths import is_at_or_below, parse, render
from toolchain.providers.service import Partial, Refused, Service, answered, difference_response
from toolchain.providers.urn import Urn
from toolchain.providers.values import UNKNOWN, decode, encode, has_unknown, marked, plain

DEFAULTS = "__defaults"
"""Names of the inputs that the provider chose and not the program, as the official one keeps them."""


class Provider(Service[Session]):
    """The stand-in: one `Session` for each provider of a program."""

    title = "AWS"
    refusals = (BadParameter, ClientError, BotoCoreError, NoSuchType)

    def __init__(self, version: str, *, is_offline: bool = False) -> None:
        super().__init__(version, lambda log: Session(log, is_offline=is_offline))

    def words(self, error: Exception, request: Any) -> str:
        """What a user reads of a refusal."""
        urn = getattr(request, "urn", "")
        name = f"{Urn(urn).name}: " if urn else ""
        if isinstance(error, ClientError):
            found = error.response.get("Error", {})
            return f"{name}{error.operation_name} was refused: {found.get('Code')}: {found.get('Message')}"
        return f"{name}{error}"

    @staticmethod
    def _kind(urn: Urn) -> Kind:
        schema(urn.type)
        if urn.type not in KINDS:
            raise Refused(
                f"this stand-in for the AWS provider does not know {urn.type}: add it to toolchain/aws_provider/table.py, or let this"
                " machine fetch the official plugin (pulumi plugin install resource aws)"
            )
        return KINDS[urn.type]

    def _resource(self, session: Session, text: str) -> Resource:
        urn = Urn(text)
        return Resource(session, urn, self._kind(urn), schema(urn.type))

    @answered
    def CheckConfig(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:  # noqa: N802
        """Refuse settings that the official provider does not have."""
        del context
        known = _settings()
        failures = [
            provider_pb2.CheckFailure(property=key, reason=f"the AWS provider has no setting {key!r}")
            for key in decode(request.news)
            if key not in known and key not in ("version", "pluginDownloadURL")
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    @answered
    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:  # noqa: N802
        """Another region replaces the provider and all that it made; anything else does not."""
        del context
        olds, news = plain(decode(request.old_inputs if request.old_inputs.fields else request.olds)), plain(decode(request.news))
        changed = sorted(key for key in {*olds, *news} - {"version"} if olds.get(key) != news.get(key))
        kind = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=kind, diffs=changed, replaces=[key for key in changed if key == "region"])

    @answered
    def Configure(self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext) -> provider_pb2.ConfigureResponse:  # noqa: N802
        """Take the settings; say so where nothing will be asked of AWS."""
        session = self._session(context)
        session.configure(dict(request.variables), request.urn)
        self._configured(session)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True)

    @answered
    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:  # noqa: N802
        """Refuse unknown names and wrong types; complete the inputs with a name and the official provider's defaults."""
        del context
        urn = Urn(request.urn)
        kind, news, olds = self._kind(urn), decode(request.news), plain(decode(request.olds))
        found = schema(urn.type)
        chosen = {key: value for key, value in kind.defaults.items() if key not in news}
        if kind.name and kind.name not in news and not any(key.lower().endswith("prefix") for key in news if key in found.inputs):
            chosen[kind.name] = olds[kind.name] if kind.name in (olds.get(DEFAULTS) or []) else _name(request, urn.name)
        inputs = {**news, **chosen, **({DEFAULTS: sorted(chosen)} if chosen else {})}
        failures = [provider_pb2.CheckFailure(property=problem.property, reason=problem.words) for problem in found.problems(inputs)]
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=failures)

    @answered
    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:  # noqa: N802
        """Compare inputs, property by property, and the tags that come from the provider."""
        resource = self._resource(self._session(context), request.urn)
        olds, news, state = plain(decode(request.old_inputs)), plain(decode(request.news)), plain(decode(request.olds))
        chosen = set(news.pop(DEFAULTS, None) or [])
        olds.pop(DEFAULTS, None)
        ignored = [parse(path) for path in request.ignoreChanges]
        patterns = resource.kind.immutable()
        found = [
            Change(change.path, change.kind, change.value, is_within(change, patterns) and change.path[0] != "tags")
            for change in changes(olds, news)
            if not any(is_at_or_below(change.path, path) for path in ignored)
        ]
        tags = resource.tags(news)
        if resource.schema.has_tags and state.get("tagsAll", {}) != tags and not any(change.path[0] == "tags" for change in found):
            found.append(Change(("tagsAll",), "update", tags))
        replaces = [render(change.path) for change in found if change.is_replacing]
        name = resource.kind.name
        # A name of the program's own can't be given twice: without this the engine would make the new one first.
        is_deleted_first = bool(replaces and name and name in news and name not in chosen and news[name] == olds.get(name))
        return difference_response(found, replaces, path=lambda change: render(change.path), is_deleted_first=is_deleted_first)

    @answered
    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:  # noqa: N802
        """Make a resource; in a preview, check the calls that would make it."""
        resource = self._resource(self._session(context), request.urn)
        given = decode(request.properties)
        inputs = plain(_clean(given))
        if request.preview:
            resource.check(inputs)
            return provider_pb2.CreateResponse(properties=encode(marked(resource.predicted(inputs), given)))
        try:
            identity, outputs = resource.create(inputs)
        except Unfinished as error:
            detail = provider_pb2.ErrorResourceInitFailed(
                id=error.id, properties=encode(marked(error.outputs, given)), reasons=[error.words], inputs=request.properties
            )
            raise Partial(error.words, detail) from None
        return provider_pb2.CreateResponse(id=identity, properties=encode(marked(outputs, given)))

    @answered
    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:  # noqa: N802
        """Change a resource in place; in a preview, check the calls that would."""
        resource = self._resource(self._session(context), request.urn)
        given, state = decode(request.news), plain(decode(request.olds))
        inputs, before = plain(_clean(given)), plain(_clean(decode(request.old_inputs)))
        outputs = resource.update(request.id, inputs, before, state, is_preview=request.preview)
        return provider_pb2.UpdateResponse(properties=encode(marked(outputs, given)))

    @answered
    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:  # noqa: N802
        """A resource as it is: for a refresh (there are inputs), an import or a ``get`` (there are none)."""
        session = self._session(context)
        resource = self._resource(session, request.urn)
        given, state = decode(request.inputs), plain(decode(request.properties))
        if not session.is_live:
            return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        found = resource.read(request.id, plain(_clean(given)), state)
        if found is None:
            return provider_pb2.ReadResponse()
        inputs = {**found[0], **{key: value for key, value in given.items() if key == DEFAULTS}}
        return provider_pb2.ReadResponse(id=request.id, properties=encode(marked(found[1], given)), inputs=encode(marked(inputs, given)))

    @answered
    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """End a resource; one that is gone already is fine."""
        resource = self._resource(self._session(context), request.urn)
        resource.delete(request.id, plain(_clean(decode(request.old_inputs))), plain(decode(request.properties)))
        return empty_pb2.Empty()

    @answered
    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:  # noqa: N802
        """Answer a function."""
        args = plain(decode(request.args))
        if has_unknown(args):
            return provider_pb2.InvokeResponse(**{"return": encode({"id": UNKNOWN})})
        return provider_pb2.InvokeResponse(**{"return": encode(functions.call(self._session(context), request.tok, args))})


def _clean(inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs without the provider's own notes."""
    return {key: value for key, value in inputs.items() if not key.startswith("__")}


def _name(request: provider_pb2.CheckRequest, name: str) -> str:
    """A name of the resource's own: the engine's proposal, else its name in the program with seven digits, the same for the same seed."""
    if request.HasField("autonaming") and request.autonaming.proposed_name:
        return str(request.autonaming.proposed_name)
    digits = hashlib.sha256(request.randomSeed + name.encode()).hexdigest() if request.randomSeed else secrets.token_hex(4)
    return f"{name.lower()}-{digits[:7]}"


@functools.cache
def _settings() -> frozenset[str]:
    """Settings that the official provider has."""
    arguments = importlib.import_module("pulumi_aws.provider").ProviderArgs
    return frozenset(_types.input_type_types(arguments))
