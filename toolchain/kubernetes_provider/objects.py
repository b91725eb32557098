"""Makes, changes, reads and ends objects, and waits for what the official provider waits for. Knows the cluster; knows no gRPC."""

from __future__ import annotations

import copy
import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from toolchain.kubernetes_provider import kinds, readiness
from toolchain.kubernetes_provider.api import ApiError, ApiUnreachable, NoSuchKind
from toolchain.kubernetes_provider.expression import BadExpression
from toolchain.kubernetes_provider.kinds import Address, Urn
from toolchain.kubernetes_provider.managed import without_ignored
from toolchain.kubernetes_provider.session import Session
from toolchain.providers.service import Refused
from toolchain.providers.values import at

DELETE_SECONDS = 600.0
# The order in a program is not always that of what objects need: a namespace or a kind may come a moment later.
PATIENCE = (0.5, 1.0, 2.0, 4.0)
_STATUS_EVERY_SECONDS = 5.0
_SKIPS_WAITING_FOR_ITS_END = frozenset(
    {"/Namespace", "/Pod", "/ReplicationController", "apps/DaemonSet", "apps/Deployment", "apps/StatefulSet", "batch/Job"}
)


@dataclass
class Unready(Exception):
    """The object is there and is not, or not yet, what it should become; ``live`` is how it was last seen."""

    live: dict[str, Any]
    words: str
    reasons: list[str]

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Objects:
    """The objects of one resource in one cluster."""

    session: Session
    urn: Urn
    manager: str

    def create(self, manifest: dict[str, Any], *, seconds: float, is_preview: bool) -> dict[str, Any]:
        """Make an object and wait until it is ready. Raises `Refused`, `Unready`."""
        with self.session.about(self.urn.text):
            live = self._created(manifest, is_preview=is_preview)
            if is_preview:
                return live
            self._after_kind(manifest)
            return self._ready(manifest, live, seconds)

    def _created(self, manifest: dict[str, Any], *, is_preview: bool) -> dict[str, Any]:
        api, address = self.session.api, Address.of(manifest)
        for pause in self._pauses(is_preview):
            try:
                if not self.session.is_on("enableServerSideApply"):
                    return api.create(manifest, manager=self.manager, is_dry=is_preview)
                if self.urn.is_patch:
                    api.get(address)
                elif not is_preview and not self.session.is_on("upsertExistingObjects") and self._exists(address):
                    raise Refused(
                        f"{address} already exists and is not in this stack's state. To take it over: pulumi import, or the provider's"
                        " upsertExistingObjects; else delete it or choose another name"
                    )
                return self._applied(manifest, is_preview=is_preview, may_replace=True)
            except (ApiError, NoSuchKind) as error:
                is_early = isinstance(error, NoSuchKind) or (error.is_without_namespace and not is_preview)
                if pause is None or not is_early:
                    raise
                self.session.log.status(self.urn.text, f"not yet: {error}; trying again")
                if self.session.cancelled.wait(pause):
                    raise
                api.forget_kinds()
        raise Refused(f"{address} could not be made")

    @staticmethod
    def _pauses(is_preview: bool) -> Iterator[float | None]:
        if not is_preview:
            yield from PATIENCE
        yield None

    def _exists(self, address: Address) -> bool:
        try:
            self.session.api.get(address)
        except ApiError as error:
            if error.is_gone:
                return False
            raise
        return True

    def _applied(self, manifest: dict[str, Any], *, is_preview: bool, may_replace: bool = False) -> dict[str, Any]:
        api = self.session.api
        is_forced = kinds.is_annotated(manifest, kinds.PATCH_FORCE) or self.session.is_on("enablePatchForce")
        try:
            return api.apply(manifest, manager=self.manager, is_forced=is_forced, is_dry=is_preview)
        except ApiError as error:
            if is_preview and may_replace and error.status == 422:
                found = self._beside(manifest, is_forced=is_forced)
                if found is not None:
                    return found
            if error.conflicts and all(is_by_hand(manager) for _, manager in error.conflicts):
                return api.apply(manifest, manager=self.manager, is_forced=True, is_dry=is_preview)
            raise self._in_words(error, manifest) from None

    def _beside(self, manifest: dict[str, Any], *, is_forced: bool) -> dict[str, Any] | None:
        """A dry run under another name, or None where that is refused too.

        When a replacement is previewed the old object has the name still, and the server would not let it become the new one.
        """
        other = copy.deepcopy(manifest)
        other["metadata"]["name"] = f"{other['metadata']['name'][:240]}-{secrets.token_hex(3)}"
        try:
            found = self.session.api.apply(other, manager=self.manager, is_forced=is_forced, is_dry=True)
        except ApiError:
            return None
        found["metadata"]["name"] = manifest["metadata"]["name"]
        return found

    def _in_words(self, error: ApiError, manifest: dict[str, Any]) -> Exception:
        if error.status != 409 or not error.conflicts:
            return error
        lines = "\n".join(f"  {field} is owned by {manager!r}" for field, manager in error.conflicts)
        return Refused(
            f"{Address.of(manifest)}: others own what is to be changed:\n{lines}\n"
            "Server-Side Apply field conflict: nothing was changed. Take the fields out of the program or add them to ignore_changes, so"
            f' that their owner keeps them; or take them over with the annotation {kinds.PATCH_FORCE}: "true"'
        )

    def update(
        self,
        manifest: dict[str, Any],
        before: dict[str, Any],
        *,
        name: str,
        ignored: Collection[str],
        seconds: float,
        is_preview: bool,
    ) -> dict[str, Any]:
        """Change an object to a manifest (``before`` is the last one) and wait until it is ready. Raises `Refused`, `Unready`."""
        api = self.session.api
        address = Address.of(manifest)
        with self.session.about(self.urn.text):
            try:
                live = api.get(Address(address.api_version, address.kind, address.namespace, name))
            except ApiError as error:
                if error.is_gone:
                    raise Refused(
                        f"{address} is in the state but not in the cluster: it was deleted by others. Do: pulumi refresh"
                    ) from None
                raise
            if address.kind == "CustomResourceDefinition":
                wanted = copy.deepcopy(manifest)
                wanted["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
                changed = api.replace(wanted, manager=self.manager, is_dry=is_preview)
            elif self.session.is_on("enableServerSideApply"):
                changed = self._applied(without_ignored(manifest, live, self.manager, ignored), is_preview=is_preview)
            else:
                patch = merge_patch(before, without_ignored(manifest, live, self.manager, ignored))
                changed = api.merge(address, patch, manager=self.manager, is_dry=is_preview)
            if is_preview:
                return changed
            self._after_kind(manifest)
            return self._ready(manifest, changed, seconds)

    def _after_kind(self, manifest: dict[str, Any]) -> None:
        if manifest.get("kind") == "CustomResourceDefinition":
            self.session.api.forget_kinds()

    def read(self, address: Address, inputs: dict[str, Any] | None) -> dict[str, Any] | None:
        """An object as it is, or None when it is gone. With ``inputs``, raises `Unready` when it is not ready now."""
        api = self.session.api
        try:
            live = api.get(address)
        except NoSuchKind:
            return None
        except ApiError as error:
            if error.is_gone:
                return None
            raise
        if inputs is not None:
            wait = self._awaited(inputs)
            progress = wait.check(api, live) if wait else readiness.READY
            if not progress.is_ready:
                raise Unready(live, f"{address} is there but not ready: {progress.words}", readiness.reasons(api, live))
        return live

    def _awaited(self, manifest: Mapping[str, Any]) -> readiness.Awaited | None:
        try:
            return readiness.awaited(manifest, self.session.environment)
        except BadExpression as error:
            raise Refused(str(error)) from None

    def _ready(self, manifest: dict[str, Any], live: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Wait until the object is ready; how it is then."""
        wait = self._awaited(manifest)
        if wait is None or self.urn.is_patch:
            return live
        limit = seconds or timeout_seconds(manifest) or wait.seconds
        api, address, uid = self.session.api, Address.of(live), at(live, "metadata", "uid")
        started, told, pause = time.monotonic(), 0.0, 0.1
        words, seen = "", live
        while True:
            try:
                progress = wait.check(api, seen)
                words = progress.words
                if progress.is_ready:
                    return seen
                if progress.is_failed:
                    raise Unready(seen, f"{address}: {words}", readiness.reasons(api, seen))
            except ApiUnreachable as error:
                words = str(error)
            waited = time.monotonic() - started
            if waited >= limit:
                raise Unready(seen, f"{address} timed out after {limit:.0f} s waiting to be ready: {words}", readiness.reasons(api, seen))
            if waited - told > _STATUS_EVERY_SECONDS or not told:
                told = waited or 0.001
                self.session.log.status(self.urn.text, words)
            if self.session.cancelled.wait(min(pause, max(0.01, limit - waited))):
                raise Unready(seen, f"{address}: waiting was cancelled; it is not known to be ready: {words}", [])
            pause = min(1.0, pause * 1.3)
            try:
                seen = api.get(address)
            except ApiUnreachable as error:
                words = str(error)
            except ApiError as error:
                if error.is_gone:
                    raise Unready(seen, f"{address} was deleted by others while it was waited for", []) from None
                raise
            if at(seen, "metadata", "uid") != uid:
                raise Unready(seen, f"{address} was replaced by others while it was waited for", [])

    def delete(self, address: Address, inputs: dict[str, Any], *, uid: str | None, seconds: float) -> None:
        """End an object and wait until it is gone; one that is gone already is fine. Raises `Refused`, `Unready`."""
        api = self.session.api
        if self.urn.is_patch:
            self._relinquish(address)
            return
        wanted = kinds.annotation(inputs, kinds.DELETION_PROPAGATION).lower()
        propagation = {"orphan": "Orphan", "background": "Background"}.get(wanted, "Foreground")
        try:
            api.delete(address, propagation=propagation)
        except NoSuchKind:
            return
        except ApiError as error:
            if error.is_gone:
                return
            raise
        key = f"{kinds.group(address.api_version)}/{address.kind}"
        if not (kinds.is_annotated(inputs, kinds.SKIP_AWAIT) and key in _SKIPS_WAITING_FOR_ITS_END):
            self._gone(address, uid, seconds or timeout_seconds(inputs) or DELETE_SECONDS)
        if address.kind == "CustomResourceDefinition":
            api.forget_kinds()

    def _gone(self, address: Address, uid: str | None, limit: float) -> None:
        api, started, pause = self.session.api, time.monotonic(), 0.05
        live: dict[str, Any] = {}
        while True:
            try:
                live = api.get(address)
            except ApiError as error:
                if error.is_gone:
                    return
                raise
            except NoSuchKind:
                return
            if uid and at(live, "metadata", "uid") != uid:
                return
            held = ", ".join(at(live, "metadata", "finalizers") or [])
            why = f"finalizers hold it: {held}" if held else "the API server has not removed it yet"
            if time.monotonic() - started >= limit:
                raise Unready(
                    live, f"{address} was told to end and is still there after {limit:.0f} s: {why}", readiness.reasons(api, live)
                )
            if self.session.cancelled.wait(pause):
                raise Unready(live, f"{address} was told to end; waiting for it was cancelled", [])
            pause = min(1.0, pause * 1.3)

    def _relinquish(self, address: Address) -> None:
        """Give up what a Patch resource owns: an apply of nothing."""
        metadata = {"name": address.name, **({"namespace": address.namespace} if address.namespace else {})}
        empty = {"apiVersion": address.api_version, "kind": address.kind, "metadata": metadata}
        try:
            self.session.api.get(address)
            self.session.api.apply(empty, manager=self.manager)
        except NoSuchKind:
            return
        except ApiError as error:
            if not error.is_gone:
                raise Refused(
                    f"{address}: this Patch owns fields that the object needs, so they can't be given up ({error}). Use retain_on_delete,"
                    " or let another manager own them first"
                ) from None


def is_by_hand(manager: str) -> bool:
    """Whether a manager of fields is a person's kubectl, or Pulumi without server-side apply: what they changed, an update puts right."""
    return manager.startswith(("kubectl", "before-first-apply", "pulumi-resource-kubernetes")) or manager == "pulumi-kubernetes"


def timeout_seconds(manifest: Mapping[str, Any]) -> float:
    """What ``pulumi.com/timeoutSeconds`` says, or 0."""
    text = kinds.annotation(dict(manifest), kinds.TIMEOUT_SECONDS)
    return float(text) if text.isdigit() else 0.0


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch that brings old inputs to new ones and leaves alone what neither has."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = merge_patch(before, value)
            if inner:
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch
