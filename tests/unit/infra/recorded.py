"""What a program would have made, recorded without an engine."""

from __future__ import annotations

from typing import Any

import pulumi


class Recorded(pulumi.runtime.Mocks):
    """Keeps every resource that the program registers."""

    def __init__(self) -> None:
        self.resources: list[pulumi.runtime.MockResourceArgs] = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.resources.append(args)
        outputs = dict(args.inputs)
        if args.typ.endswith(":ReleaseServer"):
            outputs["urls"] = [f"http://127.0.0.1:{8100 + int(args.inputs['release'])}"]
        return f"{args.name}-id", outputs

    def call(self, _args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        return {}, None

    def named(self, name: str) -> dict[str, Any]:
        found = [resource for resource in self.resources if resource.name == name]
        assert len(found) == 1, [resource.name for resource in self.resources]
        return dict(found[0].inputs)
