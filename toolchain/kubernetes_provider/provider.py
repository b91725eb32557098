"""The engine's side: gRPC ``ResourceProvider``, in the terms of the protocol (check, diff, create, read, update, delete)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2, resource_pb2, resource_pb2_grpc

from toolchain.kubernetes_provider import difference, kinds
from toolchain.kubernetes_provider.api import ApiError, ApiUnreachable, NoSuchKind
from toolchain.kubernetes_provider.keys import from_api, to_api
from toolchain.kubernetes_provider.kinds import Address, Urn
from toolchain.kubernetes_provider.kubeconfig import KubeconfigError
from toolchain.kubernetes_provider.objects import Objects, Unready
from toolchain.kubernetes_provider.session import Session, same_cluster
from toolchain.providers.changes import Change, moved
from toolchain.providers.paths import render
from toolchain.providers.service import OPTIONS, Partial, Refused, Service, answered, difference_response
from toolchain.providers.values import at, decode, encode, has_unknown, marked, plain, redacted

INPUTS, MANAGER, INITIAL_VERSION = "__inputs", "__fieldManager", "__initialApiVersion"
HELM = (
    "needs Helm, which only the official Kubernetes provider has: let this machine fetch the plugin"
    " (pulumi plugin install resource kubernetes), or apply the chart's rendered manifests"
)
DROPPED = "the cluster is unreachable and deleteUnreachable is set: the resource is dropped from the state"


class Provider(Service[Session]):
    """The stand-in: one `Session` for each provider of a program."""

    title = "Kubernetes"
    refusals = (ApiError, ApiUnreachable, NoSuchKind, KubeconfigError)

    def __init__(self, version: str, *, is_offline: bool = False) -> None:
        super().__init__(version, lambda log: Session(log, is_offline=is_offline))

    def words(self, error: Exception, request: Any) -> str:
        """What a user reads of a refusal."""
        if isinstance(error, ApiUnreachable):
            return f"configured Kubernetes cluster is unreachable: {error}"
        if isinstance(error, NoSuchKind):
            return (
                f"the API server has {error}: the apiVersion or kind is wrong, or the CustomResourceDefinition is not installed."
                " Install what defines it first"
            )
        urn = getattr(request, "urn", "")
        if isinstance(error, ApiError) and error.status == 403:
            return f"not allowed by the cluster: {error}. Use a context whose user may, or let its administrator grant it"
        return f"{Urn(urn).name}: refused by the API server: {error}" if isinstance(error, ApiError) and urn else str(error)

    @answered
    def CheckConfig(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:  # noqa: N802
        """Refuse settings that this provider does not have."""
        del context
        news = plain(decode(request.news))
        failures = []
        if news.get("renderYamlToDirectory"):
            reason = "rendering to a folder needs the official Kubernetes provider"
            failures.append(provider_pb2.CheckFailure(property="renderYamlToDirectory", reason=reason))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    @answered
    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:  # noqa: N802
        """Another cluster replaces the provider and all that it made; anything else does not."""
        olds, news = plain(decode(request.old_inputs if request.old_inputs.fields else request.olds)), plain(decode(request.news))
        for settings in (olds, news):
            settings.pop("version", None)
        changed = sorted(key for key in {*olds, *news} if olds.get(key) != news.get(key))
        if not changed:
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
        selecting = [key for key in ("kubeconfig", "context", "cluster") if key in changed]
        replaces: list[str] = []
        if "clusterIdentifier" in olds and "clusterIdentifier" in news:
            replaces = ["clusterIdentifier"] if "clusterIdentifier" in changed else []
        elif any(has_unknown(news.get(key)) for key in selecting) or not same_cluster(olds, news, self._session(context).environment):
            replaces = selecting
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_SOME, diffs=changed, replaces=replaces)

    @answered
    def Configure(self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext) -> provider_pb2.ConfigureResponse:  # noqa: N802
        """Take the settings; a cluster that does not answer is told of now and refused when it is needed."""
        session = self._session(context)
        session.configure(dict(request.variables), request.urn)
        self._configured(session)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True)

    @answered
    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:  # noqa: N802
        """Complete the inputs: apiVersion, kind, a name, a namespace."""
        session, urn = self._session(context), Urn(request.urn)
        news, olds = decode(request.news), decode(request.olds)
        if session.unreachable is not None and session.is_on("skipUpdateUnreachable") and olds:
            return provider_pb2.CheckResponse(inputs=request.olds)
        if urn.is_list:
            raise Refused(f"{urn.kind} is a list and can't be made directly: use the kind that it lists")
        if urn.is_chart:
            return provider_pb2.CheckResponse(inputs=request.news)
        inputs = plain(news)
        inputs.setdefault("apiVersion", urn.api_version)
        inputs.setdefault("kind", urn.kind.removesuffix("Patch") if urn.is_patch else urn.kind)
        failures = []
        metadata = inputs.setdefault("metadata", {})
        if isinstance(metadata, dict):
            failures = self._name(request, urn, metadata, plain(olds))
            is_without = not metadata.get("namespace")
            if is_without and session.is_namespaced(inputs["apiVersion"], inputs["kind"]):
                metadata["namespace"] = session.namespace
            elif not is_without and not session.is_namespaced(inputs["apiVersion"], inputs["kind"]):
                del metadata["namespace"]
        inputs = difference.normalized(inputs)
        return provider_pb2.CheckResponse(inputs=encode(marked(inputs, news)), failures=failures)

    @staticmethod
    def _name(
        request: provider_pb2.CheckRequest, urn: Urn, metadata: dict[str, Any], olds: dict[str, Any]
    ) -> list[provider_pb2.CheckFailure]:
        """Give the object a name where the program does not: the old one, else one of its own that the engine or this provider proposes."""
        if metadata.get("name"):
            return []
        if metadata.get("generateName"):
            return [provider_pb2.CheckFailure(property="metadata", reason="metadata.generateName is not supported with Server-Side Apply")]
        if urn.is_patch:
            return [provider_pb2.CheckFailure(property="metadata", reason="a Patch needs metadata.name: the object that it changes")]
        old_name = at(olds, "metadata", "name")
        if old_name and kinds.is_annotated(olds, kinds.AUTONAMED):
            name = str(old_name)
        else:
            options = request.autonaming if request.HasField("autonaming") else None
            if options is not None and options.mode == provider_pb2.CheckRequest.AutonamingOptions.DISABLE:
                return [provider_pb2.CheckFailure(property="metadata", reason="automatic naming is disabled: give metadata.name")]
            proposed = options.proposed_name if options is not None else ""
            name = proposed or kinds.autoname(urn.name, request.randomSeed)
        annotations = metadata.setdefault("annotations", {})
        metadata["name"] = name
        if isinstance(annotations, dict):
            annotations[kinds.AUTONAMED] = "true"
        return []

    @answered
    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:  # noqa: N802
        """Compare inputs, property by property."""
        session, urn = self._session(context), Urn(request.urn)
        state, news = plain(decode(request.olds)), plain(decode(request.news))
        olds = plain(decode(request.old_inputs)) if request.old_inputs.fields else state.get(INPUTS) or {}
        found = difference.between(
            to_api(olds),
            to_api(news),
            live_name=str(at(state, "metadata", "name") or at(olds, "metadata", "name") or ""),
            ignored=list(request.ignoreChanges),
            mutable=session.mutable,
            is_patch=urn.is_patch,
        )
        replaces = [difference_path(change) for change in found.changes if change.is_replacing]
        is_deleted_first = found.is_deleted_first
        if not urn.is_chart and kinds.is_annotated(news, kinds.REPLACE_UNREADY) and not self._is_ready(session, urn, state, news):
            replaces.append(f'metadata.annotations["{kinds.REPLACE_UNREADY}"]')
            is_deleted_first = not kinds.is_annotated(news, kinds.AUTONAMED)
        return difference_response(found.changes, replaces, path=difference_path, is_deleted_first=is_deleted_first)

    @staticmethod
    def _is_ready(session: Session, urn: Urn, state: dict[str, Any], news: dict[str, Any]) -> bool:
        if news.get("kind") != "Job" or session.unreachable is not None:
            return True
        try:
            return Objects(session, urn, "").read(Address.of(state), news) is not None
        except Unready:
            return False

    @answered
    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:  # noqa: N802
        """Make an object. A preview asks the server for a dry run where it can."""
        session, urn = self._session(context), Urn(request.urn)
        inputs = decode(request.properties)
        if urn.is_chart:
            if request.preview:
                session.log.warn(urn.text, f"{urn.name}: a chart's parts can't be shown: it {HELM}")
                return provider_pb2.CreateResponse(properties=request.properties)
            raise Refused(f"{urn.name}: {urn.type.split(':')[-1]} {HELM}")
        manifest = to_api(plain(inputs))
        objects = Objects(session, urn, self._manager(session, urn, {}, manifest))
        if request.preview and not self._can_preview(session, urn, manifest):
            return provider_pb2.CreateResponse(properties=request.properties)
        try:
            live = objects.create(manifest, seconds=request.timeout, is_preview=request.preview)
        except Unready as error:
            raise self._partial(error, inputs, manifest, objects) from None
        except (ApiError, Refused) as error:
            if request.preview and _is_beyond_preview(error):
                return provider_pb2.CreateResponse(properties=request.properties)
            raise
        if request.preview:
            live.pop("status", None)
        return provider_pb2.CreateResponse(
            id="" if request.preview else Address.of(live).id, properties=encode(state_of(inputs, live, manifest, objects.manager))
        )

    @staticmethod
    def _can_preview(session: Session, urn: Urn, manifest: dict[str, Any]) -> bool:
        is_known = not has_unknown(manifest) and session.knows(str(manifest.get("apiVersion")), str(manifest.get("kind")))
        return is_known and not urn.is_patch and session.is_on("enableServerSideApply")

    @staticmethod
    def _manager(session: Session, urn: Urn, state: Mapping[str, Any], manifest: dict[str, Any]) -> str:
        """The name that owns what is applied: the annotation's, the one that the state remembers, or the resource's own."""
        if not session.is_on("enableServerSideApply"):
            return "pulumi-kubernetes"
        return kinds.annotation(manifest, kinds.PATCH_FIELD_MANAGER) or str(state.get(MANAGER) or kinds.field_manager(urn))

    @staticmethod
    def _partial(error: Unready, inputs: dict[str, Any], manifest: dict[str, Any], objects: Objects) -> Partial:
        words = [redacted(text, inputs) for text in (error.words, *error.reasons)]
        detail = provider_pb2.ErrorResourceInitFailed(
            id=Address.of(error.live).id,
            properties=encode(state_of(inputs, error.live, manifest, objects.manager)),
            reasons=words,
            inputs=encode(inputs),
        )
        return Partial("\n".join(words), detail)

    @answered
    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:  # noqa: N802
        """Change an object in place."""
        session, urn = self._session(context), Urn(request.urn)
        inputs, state = decode(request.news), plain(decode(request.olds))
        if urn.is_chart:
            if request.preview:
                return provider_pb2.UpdateResponse(properties=request.news)
            raise Refused(f"{urn.name}: {urn.type.split(':')[-1]} {HELM}")
        manifest = to_api(plain(inputs))
        objects = Objects(session, urn, self._manager(session, urn, state, manifest))
        if request.preview and not self._can_preview(session, urn, manifest):
            return provider_pb2.UpdateResponse(properties=request.news)
        before = to_api(plain(decode(request.old_inputs)) if request.old_inputs.fields else state.get(INPUTS) or {})
        try:
            live = objects.update(
                manifest,
                before,
                name=str(at(state, "metadata", "name") or at(manifest, "metadata", "name")),
                ignored=list(request.ignoreChanges),
                seconds=request.timeout,
                is_preview=request.preview,
            )
        except Unready as error:
            raise self._partial(error, inputs, manifest, objects) from None
        except (ApiError, Refused) as error:
            if request.preview and _is_beyond_preview(error):
                return provider_pb2.UpdateResponse(properties=request.news)
            raise
        return provider_pb2.UpdateResponse(properties=encode(state_of(inputs, live, manifest, objects.manager)))

    @answered
    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:  # noqa: N802
        """An object as it is: for a refresh (there are inputs), an import or a ``get`` (there are none)."""
        session, urn = self._session(context), Urn(request.urn)
        inputs, state = decode(request.inputs), plain(decode(request.properties))
        if session.unreachable is not None:
            return self._read_unreachable(request, session, urn)
        if urn.is_chart:
            raise Refused(f"{urn.name}: {urn.type.split(':')[-1]} {HELM}")
        is_import = not state.get("kind") and not inputs.get("kind")
        address = self._address(session, urn, request.id, {**state, **plain(inputs)})
        objects = Objects(session, urn, self._manager(session, urn, state, to_api(plain(inputs))))
        unready: Unready | None = None
        try:
            live = objects.read(address, None if is_import else to_api(plain(inputs)))
        except Unready as error:
            unready, live = error, error.live
        if live is None:
            return provider_pb2.ReadResponse()
        seen = to_api({key: value for key, value in state.items() if not key.startswith("__")})
        now = importable(live) if is_import else moved(to_api(plain(inputs)), seen, live)
        read_inputs = marked(from_api(now), inputs)
        properties = state_of(read_inputs, live, now, objects.manager)
        if unready is not None:
            detail = provider_pb2.ErrorResourceInitFailed(
                id=request.id, properties=encode(properties), reasons=[unready.words, *unready.reasons], inputs=encode(read_inputs)
            )
            raise Partial(unready.words, detail)
        return provider_pb2.ReadResponse(id=request.id, properties=encode(properties), inputs=encode(read_inputs))

    @staticmethod
    def _read_unreachable(request: provider_pb2.ReadRequest, session: Session, urn: Urn) -> provider_pb2.ReadResponse:
        if session.is_on("deleteUnreachable"):
            session.log.warn(urn.text, DROPPED)
            return provider_pb2.ReadResponse()
        if session.is_on("skipUpdateUnreachable"):
            return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        raise Refused(
            f"failed to read resource state due to unreachable cluster: {session.unreachable}. If the cluster was deleted, run again with"
            " PULUMI_K8S_DELETE_UNREACHABLE=true to drop its resources from the state"
        )

    @staticmethod
    def _address(session: Session, urn: Urn, identity: str, known: dict[str, Any]) -> Address:
        """Where a resource's object is, from what is known of it, its ID and its type."""
        namespace, _, name = identity.rpartition("/")
        api_version = str(known.get("apiVersion") or urn.api_version)
        kind = str(known.get("kind") or (urn.kind.removesuffix("Patch") if urn.is_patch else urn.kind))
        if not namespace and session.is_namespaced(api_version, kind):
            namespace = str(at(known, "metadata", "namespace") or session.namespace)
        return Address(api_version, kind, namespace, name)

    @answered
    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """End an object; one that is gone already is fine."""
        session, urn = self._session(context), Urn(request.urn)
        state = plain(decode(request.properties))
        if session.unreachable is not None:
            if session.is_on("deleteUnreachable"):
                session.log.warn(
                    urn.text, "the cluster is unreachable and deleteUnreachable is set: the resource is dropped from the state"
                )
                return empty_pb2.Empty()
            raise Refused(
                f"configured Kubernetes cluster is unreachable: {session.unreachable}. If the cluster was deleted, run again with"
                " PULUMI_K8S_DELETE_UNREACHABLE=true to drop its resources from the state"
            )
        if urn.is_chart:
            raise Refused(f"{urn.name}: {urn.type.split(':')[-1]} {HELM}")
        inputs = to_api(state.get(INPUTS) or {})
        objects = Objects(session, urn, self._manager(session, urn, state, inputs))
        address = self._address(session, urn, request.id, state)
        try:
            objects.delete(address, inputs, uid=at(state, "metadata", "uid"), seconds=request.timeout)
        except Unready as error:
            raise Refused("\n".join((error.words, *error.reasons))) from None
        return empty_pb2.Empty()

    @answered
    def Construct(self, request: provider_pb2.ConstructRequest, context: grpc.ServicerContext) -> provider_pb2.ConstructResponse:  # noqa: N802
        """Components of the official plugin (charts, YAML files, kustomizations): named in a preview, refused in an update."""
        if not request.dryRun:
            raise Refused(f"{request.name}: {request.type} {HELM}")
        channel = grpc.insecure_channel(request.monitorEndpoint, options=OPTIONS)
        try:
            monitor = resource_pb2_grpc.ResourceMonitorStub(channel)
            made = monitor.RegisterResource(
                resource_pb2.RegisterResourceRequest(type=request.type, name=request.name, parent=request.parent, object=request.inputs)
            )
        finally:
            channel.close()
        self._session(context).log.warn(made.urn, f"{request.name}: its parts can't be shown: {request.type} {HELM}")
        return provider_pb2.ConstructResponse(urn=made.urn)

    @answered
    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:  # noqa: N802
        """No functions: they are the official plugin's."""
        del context
        raise Refused(f"{request.tok} {HELM}")


def difference_path(change: Change) -> str:
    """A change's path as the engine reads it, with the SDK's names of keys."""
    return render([next(iter(from_api({part: 0}))) if isinstance(part, str) else part for part in change.path])


def state_of(inputs: dict[str, Any], live: dict[str, Any], manifest: dict[str, Any], manager: str) -> dict[str, Any]:
    """What goes into the state: the object as it is, secret wherever the inputs are, with the inputs and the manager's name beside it."""
    seen = from_api(live)
    metadata = dict(seen.get("metadata") or {})
    # Kilobytes that nobody reads from the state, and that the server has anyway.
    metadata.pop("managedFields", None)
    outputs = marked({**seen, "metadata": metadata}, inputs)
    if live.get("kind") == "Secret" and "stringData" in inputs and "data" in outputs:
        outputs["data"] = marked(outputs["data"], inputs["stringData"])
    return {**outputs, INPUTS: inputs, INITIAL_VERSION: str(manifest.get("apiVersion", "")), MANAGER: manager}


def importable(live: dict[str, Any]) -> dict[str, Any]:
    """Inputs for an object that no program made yet: all but the status and what the server writes."""
    inputs = difference.normalized({key: value for key, value in live.items() if key != "status"})
    annotations = dict(at(inputs, "metadata", "annotations") or {})
    for key in ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"):
        annotations.pop(key, None)
    if at(inputs, "metadata", "annotations") is not None:
        inputs["metadata"]["annotations"] = annotations
        if not annotations:
            del inputs["metadata"]["annotations"]
    return inputs


def _is_beyond_preview(error: Exception) -> bool:
    """Whether a dry run failed for a reason that says nothing of the update: who previews may not write, or the namespace comes with it."""
    if not isinstance(error, ApiError):
        return False
    is_dry_run_unsupported = error.status == 400 and "dry run" in error.message
    return error.status == 403 or error.is_without_namespace or error.reason == "AlreadyExists" or is_dry_run_unsupported
