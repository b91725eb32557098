"""``python -m pipelines rebuild iris 3``: make release 3 again from its snapshot and commit, and compare it with what was released.

What allows it is compared by digest: snapshot, code, environment, each file of the package (ONNX is written the same each time). What does
not is compared by answers, to the golden requests and to the snapshot's rows: a model in skops, whose files hold times and addresses, and
everything where the packages or Python are not those of then.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.errors import DeliveryError
from infra.release import Release, file_digest, load, record_path, tree_digest
from pipelines.commit import unpack
from pipelines.digests import code_files, environment_parts, of_value
from pipelines.failures import StepFailed
from pipelines.record import FILES_SUFFIX
from pipelines.register import tracking_uri
from pipelines.release import ROOT, of_stack
from pipelines.snapshot import described, find, path_of

if TYPE_CHECKING:
    from pipelines.artifacts import Snapshot

SAME, SAME_ANSWERS, DIFFERENT, ALTERED = "the same by digest", "the same by answers", "DIFFERENT", "ALTERED"
"""How it ends. The first two are a proof; after the others the exit code is 1."""
NEVER_THE_SAME = {"release/model.skops"}
"""Files that are another time by time, made from the same things."""
MOST_ROWS = 100_000
TINY = 1e-6
"""Metrics that are so close are the same."""


@dataclass
class Findings:
    """A line for each thing that was compared, and how it ended."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    verdict: str = ""

    def add(self, what: str, found: str) -> None:
        """Note what was found of one thing, and say it."""
        self.lines.append((what, found))
        print(f"  {what:<12} {found}", flush=True)


def main(arguments: list[str]) -> int:
    """0 when the release is the same by digest or by answers, 1 when it is not, was altered, or cannot be made again."""
    if arguments[:1] == ["--request"]:
        return _inside(Path(arguments[1]))
    parser = argparse.ArgumentParser(
        prog="python -m pipelines rebuild", description="Make a release again from its snapshot and commit, and compare."
    )
    parser.add_argument("model", help="a model's name")
    parser.add_argument("release", type=int, help="a release's number")
    parser.add_argument("--stack", default="local", help="the stack whose releases are meant (default: local)")
    parser.add_argument("--store", type=Path, metavar="DIR", help="where releases lie (default: where the stack's do, .local)")
    parser.add_argument("--models", type=Path, default=ROOT / "models", metavar="DIR", help="where model folders lie (default: models)")
    read = parser.parse_args(arguments)
    store = (read.store or of_stack(read.stack)[0]).absolute()
    return 0 if rebuild(store, read.models.absolute(), read.model, read.release).verdict in {SAME, SAME_ANSWERS} else 1


def rebuild(store: Path, models: Path, model: str, number: int) -> Findings:
    """Make a release again and compare. Raises ReleaseError for its record, StepFailed when it cannot be made again."""
    record = load(store, model, number)
    print(f"{model} {number}, made {record.created} from {record.snapshot.rows} rows", flush=True)
    found = Findings()
    find(store, model, record.snapshot.digest, whose=f"release {number}", tracking=tracking_uri(store))
    found.add("snapshot", f"as recorded, {record.snapshot.digest}")
    bento = store / record.bento.path
    is_whole = tree_digest(bento) == record.bento.digest
    found.add("package", "as recorded" if is_whole else f"ALTERED: {bento} is not what was recorded")
    with tempfile.TemporaryDirectory(prefix="mldelivery-rebuild-") as scratch:
        place = Path(scratch)
        root, folder = _source(record, store, models, place / "checkout", found)
        made = _make(record, store, root, folder, place, found)
        again = place / "store" / made["packaged"]["bento"] / "src"
        _compare_inputs(record, made, _differences(record, store, root, folder), found)
        agree = [
            _compare_metrics(record, made, found),
            _compare_files(bento, again, found) <= NEVER_THE_SAME or made["environment"] != record.environment,
            _compare_answers(bento, again, store / path_of(model, record.snapshot.digest), found),
        ]
        is_same = made["packaged"]["digest"] == record.bento.digest
        if is_same and not is_whole:
            found.add("made again", "it is what was recorded: what lies in the store was altered afterwards")
        found.verdict = ALTERED if not is_whole else DIFFERENT if not all(agree) else SAME if is_same else SAME_ANSWERS
    print(f"verdict: {found.verdict}", flush=True)
    return found


def _source(record: Release, store: Path, models: Path, checkout: Path, found: Findings) -> tuple[Path, Path]:
    """The root and the model's folder to make the release from: its commit; of a dirty tree, whichever has the recorded digests."""
    sha = record.commit.sha
    in_commit = checkout / "models" / record.model.replace("-", "_")
    if not record.commit.dirty:
        unpack(ROOT, sha, checkout)
        found.add("commit", sha)
        return checkout, in_commit
    found.add("commit", f"{sha}, but files that it is made of differed from it: what has the recorded digests is looked for")
    here = ROOT, models / record.model.replace("-", "_")
    if _digests(*here) == (record.code, record.environment):
        found.add("source", f"{here[1]}, which has them")
        return here
    with contextlib.suppress(DeliveryError):
        unpack(ROOT, sha, checkout)
        if _digests(checkout, in_commit) == (record.code, record.environment):
            found.add("source", "that commit after all, which has them")
            return checkout, in_commit
    raise StepFailed(
        "was made from files that no commit holds, and they have changed since",
        where=f"{record.model} {record.release}",
        got="; ".join(_differences(record, store, *here)) or "other digests than recorded",
        allowed=f"code {record.code}, environment {record.environment}",
        act="bring those files back; releases that are made from a clean commit can always be made again",
    )


def _digests(root: Path, folder: Path) -> tuple[str, str] | None:
    if not (folder / "model.yaml").is_file():
        return None
    return of_value(code_files(folder, _batches(folder))), of_value(environment_parts(root))


def _batches(folder: Path) -> str:
    """Where a model's batches lie; another commit's model.yaml may have keys that this one does not know."""
    import yaml

    document = yaml.safe_load((folder / "model.yaml").read_text(encoding="utf-8"))
    return str(document.get("data", {}).get("batches", "data/batches"))


def _make(record: Release, store: Path, root: Path, folder: Path, place: Path, found: Findings) -> dict[str, Any]:
    """Run the pipeline of the checkout, in a process and a store of their own. Raises StepFailed."""
    lent = place / "store"
    champion = _lend(record, store, lent, found)
    request = place / "request.json"
    asked = {"store": str(lent), "folder": str(folder), "digest": record.snapshot.digest, "number": record.release, "champion": champion}
    request.write_text(json.dumps(asked), encoding="utf-8")
    python = _python(record, root, found)
    kept = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(python), "-m", "pipelines", "rebuild", "--request", str(request)],
        cwd=root,
        env={**kept, "PYTHONPATH": str(root), "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StepFailed(
            "cannot be made again: its pipeline ended as told above",
            where=f"{record.model} {record.release}",
            got=f"exit {done.returncode}",
            act="a gate that fails now and passed then is a finding; a commit from before this command cannot be asked",
        )
    made: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return made


def _python(record: Release, root: Path, found: Findings) -> Path:
    """The interpreter with the packages of then: this one, or that of an environment in the cache. Raises StepFailed."""
    lock = root / "requirements.txt"
    if file_digest(lock) == file_digest(ROOT / "requirements.txt"):
        return Path(sys.executable)
    found.add("packages", "other ones were locked then: the release is made with those, in an environment of their own")
    done = subprocess.run([sys.executable, "-m", "toolchain.locked", str(lock)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise StepFailed(
            "the packages of then cannot be installed, as told above",
            where=f"{record.model} {record.release}",
            got=f"requirements.txt of {record.commit.sha}",
            act="run the same command where the package registry is reached; a package that it has no more cannot be had again",
        )
    return Path(done.stdout.strip())


def _lend(record: Release, store: Path, lent: Path, found: Findings) -> int | None:
    """A store with what the steps read: the snapshot, and the champion of then with its own. Gives the champion, None without one."""
    champion = record.comparison.champion if record.comparison else None
    snapshots = [record.snapshot.digest]
    if champion is not None:
        then = load(store, record.model, champion)
        find(store, record.model, then.snapshot.digest, whose=f"champion {champion}", tracking=tracking_uri(store))
        snapshots.append(then.snapshot.digest)
        beside = record_path(lent, record.model, champion)
        beside.parent.mkdir(parents=True)
        shutil.copy2(record_path(store, record.model, champion), beside)
        shutil.copytree(store / then.bento.path, lent / then.bento.path)
        found.add("champion", f"{champion}, as then")
    for digest in snapshots:
        target = lent / path_of(record.model, digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(store / path_of(record.model, digest), target)
    return champion


def _inside(request: Path) -> int:
    """The other half: runs in the checkout of then, prints the artifacts as its last line."""
    from pipelines import rows, table
    from pipelines.run import make_again

    asked = json.loads(request.read_bytes())
    store, folder = Path(asked["store"]), Path(asked["folder"])
    name = folder.name.replace("_", "-")
    path = find(store, name, asked["digest"], whose="the release", tracking="")
    snapshot: Snapshot = described(name, asked["digest"], table.look(rows.parts(path, MOST_ROWS, [rows.BATCH, rows.HOLDOUT])))
    made = make_again(
        ROOT,
        store,
        folder,
        snapshot=snapshot,
        number=asked["number"],
        champion=asked["champion"],
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    digests = {"code": of_value(code_files(folder, _batches(folder))), "environment": of_value(environment_parts(ROOT))}
    print(json.dumps({name: asdict(each) for name, each in made.items()} | digests))
    return 0


def _compare_inputs(record: Release, made: dict[str, Any], differences: list[str], found: Findings) -> None:
    for what, then in (("code", record.code), ("environment", record.environment)):
        named = [each for each in differences if each.startswith(what)] or ["other digests than recorded"]
        found.add(what, "as recorded" if made[what] == then else f"differs: {'; '.join(named)}")


def _compare_metrics(record: Release, made: dict[str, Any], found: Findings) -> bool:
    """Whether each metric is what was recorded; its interval too, unless other packages draw other samples."""
    ends = ("value", "low", "high") if made["environment"] == record.environment else ("value",)
    now = made["evaluation"]["metrics"]
    others = [
        f"{name}: {end} {getattr(then, end):.6g} recorded, {now[name][end]:.6g} made again"
        for name, then in record.metrics.items()
        for end in ends
        if abs(getattr(then, end) - now[name][end]) > TINY
    ]
    found.add("metrics", "DIFFER: " + "; ".join(others) if others else "as recorded")
    return not others


def _differences(record: Release, store: Path, root: Path, folder: Path) -> list[str]:
    """Each file, and other part of the environment, that is not as it was; none where nobody noted them."""
    path = record_path(store, record.model, record.release).with_suffix(FILES_SUFFIX)
    noted = json.loads(path.read_bytes()) if path.is_file() else {}
    if of_value(noted.get("code")) != record.code or of_value(noted.get("environment")) != record.environment:
        return []
    now = {"code": code_files(folder, _batches(folder)), "environment": environment_parts(root)}
    found = [f"code: {name}" for name in _changed(noted["code"], now["code"])]
    parts, parts_now = noted["environment"], now["environment"]
    found += [f"environment: {name}" for name in _changed(parts["server"], parts_now["server"])]
    found += ["environment: requirements.txt"] if parts["lock"] != parts_now["lock"] else []
    if parts["python"] != parts_now["python"]:
        found.append(f"environment: Python {'.'.join(map(str, parts['python']))}, here {'.'.join(map(str, parts_now['python']))}")
    return found


def _changed(then: dict[str, str], now: dict[str, str]) -> list[str]:
    return sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))


def _compare_files(bento: Path, again: Path, found: Findings) -> set[str]:
    """The files of the package that are not the same."""

    def digests(folder: Path) -> dict[str, str]:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
        return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}

    then = digests(bento)
    others = _changed(then, digests(again))
    found.add("files", f"{len(others)} of {len(then)} differ: {', '.join(others)}" if others else f"{len(then)}, all the same")
    return set(others)


def _compare_answers(bento: Path, again: Path, snapshot: Path, found: Findings) -> bool:
    """Whether both packages, and the recorded golden answers, agree: the same labels, each number within the tolerance made again."""
    import numpy

    from pipelines import rows
    from pipelines.kinds import KINDS
    from pipelines.runtime import open_release

    about = json.loads((again / "release" / "release.json").read_bytes())
    kind, names = KINDS[about["kind"]], [each["name"] for each in about["inputs"]]
    seen = kind.inputs.features(next(rows.parts(snapshot, MOST_ROWS, names)), names)
    try:
        lines = [json.loads(line) for line in (bento / "release" / "golden.jsonl").read_bytes().splitlines()]
        golden = kind.inputs.of_rows([[row[name] for name in names] for line in lines for row in line["request"]["rows"]])
        recorded = kind.outputs.of_predictions([each for line in lines for each in line["response"]["predictions"]])
        (theirs, labels), (ours, labels_now) = open_release(bento / "release"), open_release(again / "release")
        asked = numpy.concatenate([golden, golden, seen])
        then, now = numpy.concatenate([recorded, theirs(asked[len(golden) :])]), ours(asked)
        apart, turned = float(abs(then - now).max()), kind.outputs.turned(then, now)
    except Exception as error:  # an altered package may fail in any way
        found.add("answers", f"cannot be had: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        return False
    is_same = labels == labels_now and apart <= about["tolerance"] and turned == 0
    found.add(
        "answers",
        f"{'the same' if is_same else 'DIFFER'}: {len(golden)} golden, {len(seen)} of the snapshot; at most {apart:.2g} apart "
        f"({about['tolerance']:g} allowed), {turned} with another label",
    )
    return is_same
