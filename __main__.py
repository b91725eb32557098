"""The Pulumi program: whichever stack is chosen, with its typed config."""

from stacks.program import run

run()
