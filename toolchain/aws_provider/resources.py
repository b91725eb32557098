"""Makes, changes, reads and ends what a resource type stands for, or checks the calls that would. Knows the API; knows no gRPC."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from toolchain.aws_provider import shapes
from toolchain.aws_provider.kinds import UNTRANSLATED, Call, Kind, Prepared, Read, filled, found_at, names_of, prepare, with_tags
from toolchain.aws_provider.schema import Schema
from toolchain.aws_provider.session import Session
from toolchain.aws_provider.shapes import BadParameter
from toolchain.providers.changes import moved
from toolchain.providers.service import Refused
from toolchain.providers.urn import Urn
from toolchain.providers.values import UNKNOWN, Unknown

IDENTITY, LIVE = "__identity", "__live"
_GONE = ("NotFound", "NoSuch", "404", "DoesNotExist", "NotFoundException")


@dataclass
class Unfinished(Exception):
    """It is there, and not all that it should become; its ID and outputs belong into the state."""

    id: str
    outputs: dict[str, Any]
    words: str

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Resource:
    """What one resource of a program stands for."""

    session: Session
    urn: Urn
    kind: Kind
    schema: Schema

    def tags(self, inputs: Mapping[str, Any]) -> dict[str, Any] | Unknown:
        """All its tags: the provider's and its own."""
        own = inputs.get("tags") or {}
        return UNKNOWN if isinstance(own, Unknown) else {**self.session.default_tags, **own}

    def predicted(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs before it is made: what the program says, and unknown whatever AWS will say."""
        found: dict[str, Any] = {}
        for name, hint in self.schema.outputs.items():
            if name in inputs:
                found[name] = shapes.completed(hint, inputs[name])
            elif name == "region":
                found[name] = self.session.region
            elif name == "tagsAll":
                found[name] = self.tags(inputs)
            elif name in self.schema.always:
                found[name] = UNKNOWN
        return found

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Check the calls that would make it, against botocore's models. Raises `BadParameter`, `Refused`."""
        self._check_inputs(inputs)
        facts: dict[str, Any] = {**self.session.place(inputs), "id": UNKNOWN, "arn": UNKNOWN, "hash": UNKNOWN}
        made = prepare(self.kind, self.kind.create, self._with_name(inputs, UNKNOWN), facts)
        self._check_call(self.kind.create, made.params)
        facts |= {name: made.params.get(name, UNKNOWN) for name in names_of(self.kind)}
        for call in self.kind.sets:
            prepared = prepare(self.kind, call, inputs, facts)
            if prepared.is_needed and self._adds(prepared, made):
                self._check_call(call, prepared.params)

    def _check_call(self, call: Call, params: Mapping[str, Any]) -> None:
        shapes.checked(self.kind.service, call.operation, params)

    def _check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse what no call takes: nothing that the program says is passed over in silence."""
        for name in self.kind.empty.split():
            if inputs.get(name):
                raise Refused(f"{name}: this stand-in knows only an empty list; use the resource types that are made for it")
        known = {*UNTRANSLATED, *self.kind.silent.split(), *self.kind.empty.split(), self.kind.name}
        for call in (self.kind.create, *self.kind.sets):
            known |= prepare(self.kind, call, _switched(call, inputs), {}).used
        left = sorted(name for name in inputs if name not in known and not name.startswith("__"))
        if left:
            raise Refused(f"this stand-in for the AWS provider does not know what to do with {', '.join(left)} of {self.schema.token}")

    def _with_name(self, inputs: Mapping[str, Any], name: Any) -> Mapping[str, Any]:
        """The inputs with a name, where the program gives only how it begins."""
        return inputs if not self.kind.name or self.kind.name in inputs else {**inputs, self.kind.name: name}

    @staticmethod
    def _adds(prepared: Prepared, made: Prepared) -> bool:
        return bool(prepared.used - made.used)

    def create(self, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Make it: its ID and outputs. Raises `Unfinished` for what is made but not done, and what else `check` and the API raise."""
        self._check_inputs(inputs)
        place = self.session.place(inputs)
        prefix = next((value for key, value in inputs.items() if key.endswith(("namePrefix", "NamePrefix", "bucketPrefix"))), "")
        given = self._with_name(inputs, f"{prefix or self.urn.name}{secrets.token_hex(6)}")
        made = prepare(self.kind, self.kind.create, given, place)
        tagged = with_tags(self.kind, self.kind.create, made.params, self.tags(inputs)) if self.schema.has_tags else None
        params = tagged if tagged is not None else made.params
        if self.kind.is_kept:
            return self._keep(params, inputs, place)
        answer = self._ask(self.kind.create.operation, params, place)
        description = found_at(self.kind.result, answer) or {}
        identity = {
            name: str(value)
            for name, path in names_of(self.kind).items()
            if (value := found_at(path, description) or made.params.get(name) or found_at(path, made.params)) is not None
        }
        facts = self._facts(description, identity, place)
        try:
            for call in self.kind.sets:
                prepared = prepare(self.kind, call, inputs, facts)
                if prepared.is_needed and self._adds(prepared, made):
                    self._ask(call.operation, prepared.params, place)
            for call in self.kind.after:
                prepared = prepare(self.kind, call, inputs, facts)
                if prepared.is_needed:
                    self._ask(call.operation, prepared.params, place)
            if self.schema.has_tags and tagged is None and self.tags(inputs):
                self._tag(facts, self.tags(inputs), ())
            description = {**description, **(self._described(inputs, facts) or {})}
        except (ClientError, BotoCoreError, BadParameter) as error:
            raise Unfinished(str(facts["id"]), self._outputs(inputs, description, identity, place), self.words(error)) from None
        return str(facts["id"]), self._outputs(inputs, description, identity, place)

    def _keep(self, params: Mapping[str, Any], inputs: Mapping[str, Any], place: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """Stand for what the simulator lacks: parameters are checked, and the state alone knows of it."""
        shapes.checked(self.kind.service, self.kind.create.operation, params)
        self.session.log.warn(
            "",
            f"{self.schema.token} is checked against AWS's model and kept in Pulumi's state alone: the simulator has no"
            f" {self.kind.create.operation}",
        )
        hashed = {**place, "hash": hashlib.sha256(f"{self.urn.text}{sorted(params.items())}".encode()).hexdigest()[:17]}
        identity = {name: str(params.get(name) or filled(self.kind.outputs.get(name, ""), hashed)) for name in names_of(self.kind)}
        facts = self._facts(dict(params), identity, hashed)
        return str(facts["id"]), self._outputs(inputs, dict(params), identity, hashed)

    def _facts(self, description: Any, identity: Mapping[str, str], place: Mapping[str, str]) -> dict[str, Any]:
        """What is known of it, by the API's names, with its ID and ARN."""
        facts = {**(description if isinstance(description, Mapping) else {}), **identity, **place}
        facts["id"] = filled(self.kind.id, facts) if self.kind.id else ":".join(identity.values())
        path = self.kind.outputs.get("arn", "")
        arn = filled(path, facts) if "<" in path else found_at(path or "Arn || arn", facts)
        return {**facts, "arn": arn or UNKNOWN}

    def _outputs(
        self, inputs: Mapping[str, Any], description: Mapping[str, Any], identity: Mapping[str, str], place: Mapping[str, str]
    ) -> dict[str, Any]:
        live = self._live(description, identity, place)
        found = {key: value for key, value in shapes.merged(live, inputs).items() if key in self.schema.outputs}
        if self.schema.has_tags:
            found["tagsAll"] = self.tags(inputs)
        if "region" in self.schema.outputs:
            found["region"] = place["region"]
        return {**found, IDENTITY: dict(identity), LIVE: live}

    def _live(self, description: Mapping[str, Any], identity: Mapping[str, str], place: Mapping[str, str]) -> dict[str, Any]:
        """Its outputs as AWS says them, whatever the program says."""
        facts = self._facts(description, identity, place)
        live = shapes.from_api(self.schema.outputs, description)
        for name, path in self.kind.outputs.items():
            value = filled(path, facts) if "<" in path else found_at(path, description)
            converted = shapes.from_api({name: self.schema.outputs[name]}, {name: value}) if not isinstance(value, Unknown) else {}
            live |= converted
        return live

    def _described(self, inputs: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any] | None:
        """How AWS describes it now; None when it is gone."""
        if self.kind.read is None:
            return {}
        found = self._read(self.kind.read, inputs, facts)
        if found is None:
            return None
        for read in self.kind.also:
            found |= self._read(read, inputs, {**facts, **found}) or {}
        return found

    def _read(self, read: Read, inputs: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any] | None:
        # Only its own name is asked by: inputs such as a VPC's are of no use in a description.
        named = {key: value for key, value in inputs.items() if any(key in getattr(each, "inputs", ()) for each in read.takes.values())}
        prepared = prepare(self.kind, read, named, facts)
        if not prepared.is_needed:
            return None
        try:
            answer = self._ask(read.operation, prepared.params, facts, read.service)
        except ClientError as error:
            if is_gone(error):
                return None
            raise
        found = found_at(str(filled(read.path, facts)), answer)
        return None if found is None else dict(found)

    def update(
        self, id_: str, inputs: Mapping[str, Any], before: Mapping[str, Any], state: Mapping[str, Any], *, is_preview: bool
    ) -> dict[str, Any]:
        """Change it in place: its outputs. Raises `Refused` for what no call changes."""
        self._check_inputs(inputs)
        changed = {key for key in {*inputs, *before} if inputs.get(key) != before.get(key) and not key.startswith("__")}
        place = self.session.place(inputs)
        identity = dict(state.get(IDENTITY) or {})
        facts = self._standing(id_, state, place)
        todo, handled = [], {"tags", *self.kind.silent.split(), *self.kind.empty.split()}
        for call in self.kind.setters:
            prepared = prepare(self.kind, call, inputs, facts)
            # What the program no longer says is taken away by a call that says all of it anew.
            gone = prepare(self.kind, call, before, facts).used - set(inputs) if self.kind.is_put else frozenset()
            if not (prepared.used | gone) & changed:
                continue
            handled |= prepared.used | gone
            if prepared.is_needed:
                self._check_call(call, prepared.params)
                todo.append((call, prepared.params))
        left = sorted(changed - handled)
        if left:
            raise Refused(f"this stand-in for the AWS provider can't change {', '.join(left)} of {self.schema.token} in place")
        if is_preview:
            return {**state, **self.predicted_changes(inputs, changed, state)}
        if self.kind.is_kept:
            return {**state, **{key: value for key, value in inputs.items() if key in self.schema.outputs}, "tagsAll": self.tags(inputs)}
        for call, params in todo:
            self._ask(call.operation, params, place)
        old, new = state.get("tagsAll") or {}, self.tags(inputs)
        if self.schema.has_tags and old != new and not isinstance(new, Unknown):
            self._tag(facts, new, sorted(set(old) - set(new)))
        description = self._described(inputs, facts)
        if description is None:
            raise Refused(f"{self.urn.name} is in the state but not in the account: it was deleted by others. Do: pulumi refresh")
        return self._outputs(inputs, description, identity, place)

    def predicted_changes(self, inputs: Mapping[str, Any], changed: Iterable[str], state: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs that an update changes, as far as the program says them."""
        found = {key: shapes.merged(state.get(key), inputs[key]) for key in changed if key in inputs and key in self.schema.outputs}
        return {**found, **({"tagsAll": self.tags(inputs)} if self.schema.has_tags else {})}

    def read(self, id_: str, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Its inputs and outputs as they are now; None when it is gone. What AWS was not seen to change is as the program says it."""
        if self.kind.is_kept:
            return dict(inputs), dict(state)
        names = list(names_of(self.kind))
        identity = dict(state.get(IDENTITY) or {})
        if not identity and len(names) == 1:
            identity = {names[0]: id_}
        if not identity:
            raise Refused(f"this stand-in for the AWS provider can't import {self.schema.token}")
        place = self.session.place(inputs)
        description = self._described(inputs, self._facts({}, identity, place))
        if description is None:
            return None
        live = self._live(description, identity, place)
        given = (
            moved(dict(inputs), state.get(LIVE) or {}, live) if inputs else {key: live[key] for key in live if key in self.schema.inputs}
        )
        return given, self._outputs(given, description, identity, place)

    def _standing(self, id_: str, state: Mapping[str, Any], place: Mapping[str, str]) -> dict[str, Any]:
        """The facts of what is there, from the state."""
        facts = self._facts({}, dict(state.get(IDENTITY) or {}), place)
        return {**facts, "id": id_, **({"arn": state["arn"]} if "arn" in state else {})}

    def delete(self, id_: str, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """End it; one that is gone already is fine."""
        if self.kind.is_kept or self.kind.delete is None:
            return
        place = self.session.place(inputs)
        facts = self._standing(id_, state, place)
        self._empty(inputs, facts)
        for call in (*self.kind.before_delete, self.kind.delete):
            prepared = prepare(self.kind, call, inputs, facts)
            try:
                if prepared.is_needed:
                    self._ask(call.operation, prepared.params, place)
            except ClientError as error:
                if not is_gone(error):
                    raise

    def _empty(self, inputs: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Take out what is in it, where the program allows that."""
        read, call = self.kind.contents, self.kind.emptying
        if read is None or call is None:
            return
        try:
            while found := found_at(read.path, self._ask(read.operation, prepare(self.kind, read, {}, facts).params, facts)):
                prepared = prepare(self.kind, call, inputs, {**facts, "contents": found})
                if not prepared.is_needed:
                    return
                self._ask(call.operation, prepared.params, facts)
        except ClientError as error:
            if not is_gone(error):
                raise

    def _tag(self, facts: Mapping[str, Any], tags: Any, gone: Sequence[str]) -> None:
        if self.kind.tag is None:
            raise Refused(f"this stand-in for the AWS provider can't tag {self.schema.token}")
        prepared = prepare(self.kind, self.kind.tag, {}, {**facts, "Tags": tags})
        if prepared.is_needed:
            params = with_tags(self.kind, self.kind.tag, prepared.params, tags)
            self._ask(self.kind.tag.operation, params or prepared.params, facts)
        if gone and self.kind.untag is not None:
            keys = [{"Key": key} for key in gone]
            self._ask(
                self.kind.untag.operation,
                prepare(self.kind, self.kind.untag, {"tagKeys": list(gone)}, {**facts, "Keys": keys}).params,
                facts,
            )

    def _ask(self, operation: str, params: Mapping[str, Any], place: Mapping[str, Any], service: str = "") -> dict[str, Any]:
        shapes.checked(service or self.kind.service, operation, params)
        return self.session.ask(service or self.kind.service, operation, params, str(place["region"]))

    def words(self, error: Exception) -> str:
        """What a user reads when a call fails."""
        if isinstance(error, ClientError):
            found = error.response.get("Error", {})
            return f"{self.urn.name}: {self.kind.service} {error.operation_name} was refused: {found.get('Code')}: {found.get('Message')}"
        return f"{self.urn.name}: {error}"


def is_gone(error: ClientError) -> bool:
    """Whether an error says that the resource is not there."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return any(word in code for word in _GONE)


def _switched(call: Call, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Inputs at which a call is made, so that all that it would take is seen."""
    return inputs if call.when is None else {**inputs, call.when[0]: call.when[1]}
