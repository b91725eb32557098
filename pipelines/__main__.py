"""The command line: ``python -m pipelines <command>``. A command's module is imported when it is asked for, so that help is instant."""

from __future__ import annotations

import importlib
import sys

COMMANDS = {
    "up": ("pipelines.operate:up", "bring a stack in line with its file"),
    "preview": ("pipelines.operate:preview", "show what up would change, with the evidence beside each number"),
    "scan": ("pipelines.operate:scan", "show all that a stack declares to checkov, kube-score and parliament; offline"),
    "promote": ("pipelines.operate:promote", "edit one number, preview, up; the old number comes back where the release does not pass"),
    "status": ("pipelines.status:main", "what serves, since when, on what evidence, and how the last return came about"),
    "logs": ("pipelines.operate:logs", "the end of each process' log"),
    "down": ("pipelines.operate:down", "end what a stack runs; releases and data stay"),
    "recover": ("pipelines.operate:recover", "clear what a killed update left behind; safe to run always"),
    "release": ("pipelines.release:main", "make a release of a model; nothing changed, nothing made"),
    "card": ("pipelines.card:main", "where the evidence card of a release lies; with --markdown its summary for a pull request"),
    "image": ("pipelines.image:main", "show a release's image, layer by layer; make it where there is none, or the store lost it; push it"),
    "sign": ("pipelines.sign:main", "sign a release anew, such as with a new key"),
    "changed": ("pipelines.changed:main", "tell which models need a release, and why"),
    "demo": ("pipelines.demo:main", "the journey from a first release to a return, narrated and checked, on a copy"),
    "new-model": ("pipelines.new_model:main", "make a model folder that can be released at once"),
    "expectations": ("pipelines.expectations:main", "make the suite that a model's data must fulfil, from data that is trusted"),
    "rebuild": ("pipelines.rebuild:main", "make a release again from its snapshot and commit, and compare"),
}
"""Name -> module and its function ``(arguments) -> exit code``, and what it does. One line adds a command."""


def main(arguments: list[str]) -> int:
    """Run one command; its exit code, or 2 when there is no such command."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(_help())
        return 0 if arguments else 2
    if arguments[0] not in COMMANDS:
        print(f"no such command: {arguments[0]}\n\n{_help()}", file=sys.stderr)
        return 2
    from infra.errors import DeliveryError

    try:
        module, function = COMMANDS[arguments[0]][0].split(":")
        code: int = getattr(importlib.import_module(module), function)(arguments[1:])
    except DeliveryError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one was", file=sys.stderr)
        return 130
    return code


def _help() -> str:
    lines = [f"  {name:<12} {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["usage: python -m pipelines <command> [options]", "", *lines, "", "python -m pipelines <command> --help tells more"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
