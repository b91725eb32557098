"""What checkov, kube-score and parliament say of what a stack declares, in one form: which rule, at which resource, what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy.resource import Finding
from policy.scan import terraform
from policy.scan.documents import documents, unseen
from policy.scan.manifests import manifests
from policy.scan.preview import Declared, of_provider

KUBERNETES = "v1.34"
"""The version whose objects kube-score takes for current."""
_OFFLINE = {"EVAL_TF_PLAN_AFTER_UNKNOWN": "true", "CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false", "LOG_LEVEL": "ERROR", "NO_COLOR": "1"}


class ScanError(Exception):
    """A tool did not do its work; the text says which, and its last words."""


@dataclass(frozen=True)
class Tools:
    """Where the tools are: the Python with checkov and parliament, and the program kube-score."""

    python: Path
    kube_score: Path


@dataclass(frozen=True)
class Found:
    """A finding of a tool's rule at a resource."""

    tool: str
    rule: str
    declared: Declared
    finding: Finding

    @property
    def text(self) -> str:
        """What a person reads: rule, resource, what is wrong, where it is made, what to do."""
        resource, got = self.declared.resource, str(self.finding.got)
        lines = [f"{self.rule}: {resource.name} ({resource.type}): {self.finding.what}"]
        lines += [f"  at:      {self.finding.at}"] if self.finding.at else []
        lines += [f"  got:     {got if len(got) <= 200 else got[:199] + '…'}"] if got else []
        return "\n".join([*lines, f"  by:      {self.tool}", f"  do:      {self.finding.act}"])


@dataclass(frozen=True)
class Seen:
    """What was shown to the tools, in numbers, what they found, and what could not be shown, in words."""

    resources: int
    manifests: int
    documents: int
    found: Sequence[Found]
    hidden: Sequence[str] = ()


def scan(declared: Sequence[Declared], tools: Tools) -> Seen:
    """Show all resources to the tools. Raises ScanError."""
    with tempfile.TemporaryDirectory(prefix="mldelivery-scan-") as folder:
        root = Path(folder)
        if not any(each.resource.type.startswith(("aws:", "kubernetes:")) for each in declared):
            raise ScanError("the stack declares nothing of AWS or Kubernetes; allowed: dev, staging, prod, cluster")
        places = _written(declared, root)
        found = [*checkov(tools, root, places), *kube_score(tools, root / "manifests", places), *parliament(tools, root, places)]
    unique = {(each.rule, each.declared.resource.urn, each.finding.at, each.finding.what, str(each.finding.got)): each for each in found}
    clouds, shown, read = (sum(1 for place in places if place.startswith(kind)) for kind in ("aws_", "manifests/", "documents/"))
    return Seen(clouds, shown, read, list(unique.values()), list(_hidden(declared)))


def _hidden(declared: Sequence[Declared]) -> Iterator[str]:
    for each in declared:
        name = f"{each.resource.name} ({each.resource.type})"
        if each.resource.type.startswith("kubernetes:helm.sh/"):
            yield f"{name}: the objects inside the chart"
        yield from (f"{name}: {key}, which only an update knows" for key in unseen(each.resource))


Places = Mapping[str, tuple[Declared, str]]
"""What a tool names (an address of the plan, a file) -> the resource it is, and the property that it stands in."""


def _written(declared: Sequence[Declared], root: Path) -> Places:
    """Write what the tools read into ``root``."""
    import yaml

    (root / "plan").mkdir()
    (root / "manifests").mkdir()
    (root / "documents").mkdir()
    places: dict[str, tuple[Declared, str]] = {}
    cloud = list(of_provider(declared, "aws"))
    if cloud:
        plan = terraform.plan([each.resource for each in cloud])
        (root / "plan" / "plan.json").write_text(json.dumps(plan, indent=1), encoding="utf-8")
    places |= {terraform.address(each.resource): (each, "") for each in cloud}
    for number, each in enumerate(declared):
        for part, manifest in enumerate(manifests(each.resource) if each.resource.type.startswith("kubernetes:") else ()):
            path = f"manifests/{number}-{part}.yaml"
            (root / path).write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
            places[path] = (each, "")
        for part, (at, text) in enumerate(documents(each.resource)):
            path = f"documents/{number}-{part}.json"
            (root / path).write_text(text, encoding="utf-8")
            places[path] = (each, at)
    return places


def checkov(tools: Tools, root: Path, places: Places) -> Iterator[Found]:
    """What checkov finds in the plan and in the manifests. It asks nothing of the network."""
    kinds = [kind for kind, inside in (("terraform_plan", "plan"), ("kubernetes", "manifests")) if any((root / inside).iterdir())]
    options = ["-o", "json", "--quiet", "--compact", "--skip-download", "--framework", *kinds]
    # Its script begins with the path of its Python, which may be too long for a system to start.
    command = [
        str(tools.python),
        "-c",
        "import sys; from checkov.main import Checkov; sys.exit(Checkov().run())",
        "-d",
        str(root),
        *options,
    ]
    done = _run("checkov", command, root, allowed=(0, 1)) if kinds else "[]"
    for report in _reports(done, kinds):
        for each in report["results"]["failed_checks"]:
            path = str(each["file_path"]).lstrip("/")
            declared, _ = places[path if path in places else str(each["resource"])]
            keys = ", ".join(str(key) for key in (each["check_result"].get("evaluated_keys") or []) if key)
            yield Found("checkov", each["check_id"], declared, _finding(each["check_name"], keys, "", declared))
        errors = report["results"].get("parsing_errors")
        if errors:
            raise ScanError(f"checkov could not read {', '.join(errors)}")


def _reports(text: str, kinds: Sequence[str]) -> list[Any]:
    found = json.loads(text)
    reports = found if isinstance(found, list) else [found]
    missing = set(kinds) - {report.get("check_type") for report in reports}
    if missing:
        raise ScanError(f"checkov did not look at {', '.join(sorted(missing))}: {text[:300]}")
    return reports


def kube_score(tools: Tools, folder: Path, places: Places) -> Iterator[Found]:
    """What kube-score finds critical or worth a warning in the manifests, seen together."""
    files = sorted(path.name for path in folder.iterdir())
    if not files:
        return
    command = [str(tools.kube_score), "score", "-o", "json", "--kubernetes-version", KUBERNETES, *files]
    for scored in json.loads(_run("kube-score", command, folder, allowed=(0, 1))):
        declared, _ = places[f"manifests/{Path(scored['file_name']).name}"]
        for check in scored["checks"]:
            if check["skipped"] or check["grade"] > _WARNING:
                continue
            for comment in check["comments"] or [{}]:
                what = comment.get("summary") or check["check"]["comment"]
                yield Found("kube-score", check["check"]["id"], declared, _finding(what, comment.get("path", ""), "", declared))


_WARNING = 5
"""kube-score's grades: 1 critical, 5 warning, 7 almost ok, 10 ok."""


def parliament(tools: Tools, root: Path, places: Places) -> Iterator[Found]:
    """What parliament finds in the policy documents."""
    for path, (declared, at) in places.items():
        if path.startswith("documents/") and at == _TRUST:
            file = root / path
            file.write_text(json.dumps(_as_policy(json.loads(file.read_text(encoding="utf-8")), declared.resource.name)), encoding="utf-8")
    script = Path(__file__).with_name("ask_parliament.py")
    done = _run("parliament", [str(tools.python), str(script), str(root / "documents")], root, allowed=(0,))
    for line in done.splitlines():
        each = json.loads(line)
        path = f"documents/{each['file']}"
        declared, at = places[path]
        sid = _statement((root / path).read_text(encoding="utf-8"), each["where"].get("column"))
        where = f"{at}: Statement[{sid}]" if sid else at
        for got in _details(each["detail"]):
            yield Found("parliament", each["issue"], declared, _finding(each["title"], where, got, declared))


_TRUST = "assumeRolePolicy"


def _as_policy(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A role's trust as parliament reads it: it wants a resource, which IAM refuses here. It is the role itself."""
    statements = [{**each, "Resource": f"arn:aws:iam::123456789012:role/{name}"} for each in document["Statement"]]
    return {**document, "Statement": statements}


def _statement(text: str, column: int | None) -> str:
    """The name or number of the statement around a column of a document of one line."""
    if column is None:
        return ""
    document = json.loads(text)
    decoder, at = json.JSONDecoder(), text.index("[", text.index('"Statement"')) + 1
    for number, each in enumerate(document["Statement"]):
        _, end = decoder.raw_decode(text, at)
        if column - 1 < end:
            return str(each.get("Sid", number))
        at = end + len(text[end:]) - len(text[end:].lstrip(", "))
    return ""


def _details(detail: Any) -> Iterator[str]:
    """What a finding is about, action by action where it says what each would need; else in one line."""
    if isinstance(detail, list) and all(isinstance(each, Mapping) for each in detail):
        yield from dict.fromkeys(str(each.get("action", each)) for each in detail)
    elif isinstance(detail, list):
        yield ", ".join(str(each) for each in detail)
    else:
        yield str(detail)


def _finding(what: str, at: str, got: str, declared: Declared) -> Finding:
    place = f"mend {declared.line}" if declared.line else "mend what makes it"
    act = f"{place}, or waive it with a reason in policy/scan/waivers.yaml"
    return Finding(what=what.rstrip("."), at=at, got=got, allowed="", act=act)


def _run(name: str, command: Sequence[str], folder: Path, *, allowed: Sequence[int]) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **_OFFLINE},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ScanError(f"{name} did not run: {error}") from None
    if done.returncode not in allowed:
        raise ScanError(f"{name} ended with exit code {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout
