"""``python -m policy.reference``: writes docs/how-to/policy.md from the rules themselves."""

from __future__ import annotations

from pathlib import Path

from policy import access, cloud, models, storage, workloads
from policy.check import read_waivers

FILE = Path(__file__).parents[1] / "docs" / "how-to" / "policy.md"

INTRODUCTION = """\
# What no stack may do

Rules that the engine asks at every preview and update of dev, staging and prod, and at `make policy STACK=…` of any stack. They look at
what the program declares, whoever wrote it. A return asks none: what it brings back has served before. This page is written by
`python -m policy.reference` from the rules in `policy/`; a test keeps it current.

```
make policy STACK=cluster
```

A finding names the rule, the resource, the property, the value, what is allowed and the next act:

```
first-step: rollout-iris (pulumi-python:dynamic/mldelivery:RolloutWatch): the first step of a canary of prod is too large
  at:      policy.steps
  got:     50 %
  allowed: at most 25 %
  do:      begin rollout.steps in the stack's file with a smaller one
```

*mandatory* ends the preview or update with an error; in an update the resource is not made. *advisory* is a warning. A value that a preview
can't know is not held against anybody: the update, which knows it, asks again. What is inside a Helm chart is not seen.
"""

WAIVING = """\
## To waive one
Add an entry to `policy/waivers.yaml`, in the pull request that needs it: the rule, what it is for, and the reason. A rule is never waived
whole.

| key | says |
|---|---|
| `rule` | the rule's name |
| `type`, `name`, `at`, `got` | at least one of them: the resource's type, its name, the property, the value, as the finding shows them |
| `reason` | why, in a sentence |
| `stack` | only in this stack, if it is not all |
| `until` | the last day, YYYY-MM-DD, if it is not for ever |

`*` stands for anything; a list is any of them.

## To add one
A function `(resource, limits) -> findings`, or of all resources of a stack, in the module that fits, and its `Rule` at the end of that
module. In `tests/unit/policy/examples.py` a good resource, and a change of it that the rule must find: the tests ask for both, and show
them to the engine. Then `python -m policy.reference`.
"""

SECTIONS = {
    models: "Models",
    workloads: "What runs in a cluster",
    storage: "What keeps data on AWS",
    access: "Who may do what on AWS",
    cloud: "Network, cluster and costs on AWS",
}


def page() -> str:
    """The page's text."""
    lines = [INTRODUCTION]
    for module, title in SECTIONS.items():
        lines += [f"## {title}", "| rule | asks | why | level | CIS EKS 1.5 |", "|---|---|---|---|---|"]
        lines += [f"| `{rule.name}` | {rule.asks} | {rule.why} | {rule.level} | {rule.cis} |" for rule in module.RULES]
        lines.append("")
    lines += [WAIVING, "## Waived now", "| rule | what | reason |", "|---|---|---|"]
    for waiver in read_waivers():
        given = [(key, getattr(waiver, key)) for key in ("stack", "type", "name", "at", "got")]
        what = "; ".join(f"{key} " + ", ".join(f"`{each}`" for each in value) for key, value in given if value != ("*",))
        what += f"; until {waiver.until}" if waiver.until else ""
        lines.append(f"| `{waiver.rule}` | {what} | {waiver.reason} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page."""
    FILE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
