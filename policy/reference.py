"""``python -m policy.reference``: writes docs/how-to/policy.md from the rules themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from policy import access, cloud, models, storage, workloads
from policy.check import read_waivers
from policy.scan import waived
from policy.waivers import Waiver

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

SCANNING = """\
## What scanners find

```
make scan STACK=prod
```

Shows all that a stack declares to three scanners that know nothing of this repository: [checkov](https://www.checkov.io), which reads
resources of AWS as Terraform's plan would have them, and manifests; [kube-score](https://kube-score.com), which reads manifests; and
[parliament](https://github.com/duo-labs/parliament), which reads every policy document: of roles, trust, buckets, keys, repositories.
It previews offline, against the stand-ins (`OFFLINE=1`): no account, plugin, cluster or network is asked; of the stack `cluster` its
cluster must run. The tools are had at the first use: packages by hash, kube-score built from its pinned modules.

```
CKV_AWS_7: keys-data (aws:kms/key:Key): Ensure rotation for customer created CMKs is enabled
  at:      enable_key_rotation
  by:      checkov
  do:      mend infra/aws/keys.py:31, or waive it with a reason in policy/scan/waivers.yaml
```

Exit code 1 where something is found that is not waived, and where a waiver covers nothing. Waivers stand in `policy/scan/waivers.yaml`,
with the keys above; `rule` is the tool's own. A waiver must cover something in each stack that has resources of its `type`; `sometimes:
true` excepts one for what comes and goes with sizes in the stack's file.

What a controller of Argo's makes is shown as Kubernetes' own kinds: a Rollout as a Deployment, an analysis as its Job. What can't be
shown is told first: what is inside Helm charts, and documents that only an update knows.
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
    lines += [WAIVING, "## Waived now", *_table(read_waivers()), "", SCANNING, "### Waived in scans", *_table(waived.read())]
    return "\n".join(lines) + "\n"


def _table(given: Sequence[Waiver]) -> list[str]:
    lines = ["| rule | what | reason |", "|---|---|---|"]
    for waiver in given:
        said = [(key, getattr(waiver, key)) for key in ("stack", "type", "name", "at", "got")]
        what = "; ".join(f"{key} " + ", ".join(f"`{each}`" for each in value) for key, value in said if value != ("*",))
        what += f"; until {waiver.until}" if waiver.until else ""
        what += "; sometimes" if waiver.sometimes else ""
        lines.append(f"| `{waiver.rule}` | {what} | {waiver.reason} |")
    return lines


def main() -> None:
    """Write the page."""
    FILE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
