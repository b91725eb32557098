"""Drives the engine: bring a stack up, preview it, promote one model by its number, take the stack down."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from infra.config import PROJECT, KubernetesConfig, ModelConfig, StackConfig, file_name, load
from infra.errors import ConfigError, DeliveryError, PlatformError, RolloutAborted
from infra.ladder import served_path
from infra.records import asked_for, checked, records_in_use
from infra.release import Release, numbers
from pipelines import tracking
from pipelines.cluster import check_before_first, gone_for_good, refreshing
from pipelines.engine import Ended, Engine
from pipelines.mirror import mirror
from pipelines.number import replace_champion
from pipelines.recover import recover
from pipelines.served import record_served


def up(root: Path, stack: str, *, quiet: bool = False) -> Ended:
    """Reconcile a stack with its file. Raises DeliveryError where the file or a record is wrong, or the update failed."""
    config = load(root, stack)
    engine = Engine(root, stack)
    engine.ensure_stack()
    for line in recover(engine):
        print(f"recovered: {line}")
    check_before_first(engine, config)
    flags = (*refreshing(engine, config), *(["--suppress-outputs"] if quiet else []))
    prepare(root, stack, config)
    # A return waits for no rule: what it brings back has served before.
    ended = engine.run("up", "--yes", "--skip-preview", *flags, is_policed=False if quiet else None)
    if ended.code:
        raise PlatformError(f"the update of {stack} failed: {ended.reason}", act=_next_act(ended, stack))
    record_served(root, stack, config)
    mirror(root, stack, config)
    return ended


def preview(root: Path, stack: str, *, is_policed: bool | None = None) -> Ended:
    """Show what ``up`` would change: the evidence beside the number. Changes nothing. For ``is_policed`` see ``Engine.run``."""
    config = load(root, stack)
    engine = Engine(root, stack)
    engine.ensure_stack()
    for line in recover(engine):
        print(f"recovered: {line}")
    ended = engine.run("preview", "--diff", "--suppress-outputs", *refreshing(engine, config), is_policed=is_policed)
    if ended.code:
        raise PlatformError(f"the preview of {stack} failed: {ended.reason}", act=_next_act(ended, stack))
    return ended


def down(root: Path, stack: str) -> None:
    """End everything that a stack runs. Releases, data and MLflow's records stay, and so does an image registry that holds images."""
    engine = Engine(root, stack)
    if engine.state_file is not None and not engine.state_file.is_file():
        print(f"{stack} is not up")
        return
    recover(engine)
    ended = engine.run("destroy", "--yes", "--skip-preview")
    if _is_full_registry(ended):
        # It fails at once, and the engine begins nothing after a failure: clusters and databases would stay, and their bill.
        ended = engine.run("destroy", "--yes", "--skip-preview", "--continue-on-error")
        if _is_full_registry(ended):
            print(f"the image registry of {stack} holds images, and stays with its key: other environments may run them")
            return
    if ended.code:
        raise PlatformError(f"{stack} could not be taken down: {ended.reason}", act=gone_for_good(ended.reason, stack))


def _is_full_registry(ended: Ended) -> bool:
    """Whether repositories that hold images are all that the engine could not delete."""
    return bool(ended.code and ended.errors) and all("RepositoryNotEmptyException" in error for error in ended.errors)


def promote(root: Path, stack: str, model: str, number: int, *, commit: bool) -> None:
    """Edit the number, preview, and bring the stack up; where the release does not pass, put the old number back.

    With ``commit`` the edit is a Git commit, and so is the way back, with the reason. Raises DeliveryError: after a RolloutAborted the
    file, the state and the traffic are as before, so that the next preview is empty.
    """
    from infra.local.place import locked

    with locked(root / ".local" / "promote.lock", wait_seconds=0, act="wait for that promotion to end, then look again"):
        config = load(root, stack)
        old = _config_of(config, stack, model).champion
        _check_not_challenger(config, stack, model, number)
        _ensure_image(root, config, model, number, where=f"{file_name(stack)}: {PROJECT}:models.{model}.champion")
        _check_release(root, config, stack, model, number)
        if old == number:
            print(f"{model}: {number} is the champion in {file_name(stack)} already; the stack is brought in line with it")
            up(root, stack)
            return
        if commit:
            _check_unchanged(root, file_name(stack))
        replace_champion(root, stack, model, expected=old, number=number)
        word = "none" if old is None else str(old)
        print(f"{file_name(stack)}: {model} champion: {word} -> {number}")
        moved = False
        began = time.time()
        try:
            preview(root, stack)
            if commit:
                _commit(root, file_name(stack), f"Promote {model} {word} -> {number} on {stack}")
            moved = True
            up(root, stack)
        except (DeliveryError, KeyboardInterrupt) as error:
            reason = str(error) if isinstance(error, DeliveryError) else "interrupted"
            print(f"\n{reason}\n", flush=True)
            if moved and config.target == "local":
                _remember_return(model, old=old, number=number, reason=_plain_reason(reason), since=began)
            _go_back(root, stack, model, old=old, number=number, commit=commit and moved, moved=moved, reason=_plain_reason(reason))
            back = f"{word} is back in {file_name(stack)} after {time.time() - began:.0f} s"
            raise RolloutAborted(
                f"{number} was not promoted; {back}, and the next preview is empty",
                where=f"{model} {word} -> {number}",
                act=f"the reason is above; mend it, then: make release MODEL={model}" + ("" if stack == "local" else f" STACK={stack}"),
            ) from error
        if commit:
            _commit_served(root, stack, model, number, config)
        back = f". To go back: make promote MODEL={model} RELEASE={old}{'' if stack == 'local' else f' STACK={stack}'}" if old else ""
        print(f"\n{model}: {number} serves on {stack} after {time.time() - began:.0f} s{back}")


def prepare(root: Path, stack: str, config: StackConfig) -> None:
    """Make what an update needs and nobody wrote: release 1 of a model that has none, images, and those in the cluster's registry."""
    if config.releases == "machine" or config.target == "local":
        make_first_releases(root, stack, config)
    make_missing_images(root, stack, config)
    if config.kubernetes is not None:
        push_images(root, stack, config, config.kubernetes)
        tracking.prepare_image(root, config)


def make_first_releases(root: Path, stack: str, config: StackConfig) -> None:
    """Make release 1 of every model whose file asks for it and that has no release yet."""
    for name, model in config.models.items():
        if model.champion == 1 and not numbers(config.store(root), name):
            print(f"{name} has no release yet: making release 1", flush=True)
            # In a process of its own: training's libraries are of no use to the rest of the command.
            command = [sys.executable, "-m", "pipelines", "release", name, "--first", "--stack", stack]
            if subprocess.run(command, cwd=root, check=False).returncode:
                raise PlatformError(
                    "its first release could not be made; the reason is above", where=name, act=f"mend it, then: make up STACK={stack}"
                )


def make_missing_images(root: Path, stack: str, config: StackConfig) -> None:
    """Give each release in use an image that a laptop made without one, such as before there was a cluster."""
    for name, model in config.models.items():
        for number, where in asked_for(name, model, file=file_name(stack)):
            if number is not None:
                _ensure_image(root, config, name, number, where=where)


def push_images(root: Path, stack: str, config: StackConfig, cluster: KubernetesConfig) -> None:
    """Bring the images of all releases in use into the cluster's registry, where they are not there yet."""
    from pipelines.image import push

    store = config.store(root)
    for name, model in config.models.items():
        for record in records_in_use(store, name, model, file=file_name(stack), root=root, kubernetes=cluster):
            if record is None:
                continue
            try:
                push(store, record, cluster.registry)
            except PlatformError as error:
                # A registry that is down must not stand in the way of a return.
                if not _has_run(cluster, record):
                    raise
                print(f"warning: {error}\n{name} {record.release} has served in this cluster before: going on", flush=True)


def _ensure_image(root: Path, config: StackConfig, model: str, number: int, *, where: str) -> None:
    """Make a release's image where a cluster needs it. Releases in Git are left to a person, who commits what is written."""
    if config.kubernetes is not None and config.releases == "machine":
        from pipelines.add_image import ensure_image

        ensure_image(root, config.store(root), model, number, where=where)


def _has_run(cluster: KubernetesConfig, record: Release) -> bool:
    """Whether the cluster has proven exactly this image as the model's champion, so that its nodes should hold it."""
    from infra.kubernetes import api, ledger
    from infra.kubernetes.labels import Names, image

    account = ledger.read(api.connect(cluster.kubeconfig, cluster.context), cluster.namespace, Names(record.model).rollout)
    return image(cluster.registry, record.image or "") in {entry.image for entry in account.proven}


def _go_back(root: Path, stack: str, model: str, *, old: int | None, number: int, commit: bool, moved: bool, reason: str) -> None:
    replace_champion(root, stack, model, expected=number, number=old)
    word = "none" if old is None else str(old)
    print(f"{file_name(stack)}: {model} champion: {number} -> {word} (back)")
    if commit:
        _commit(root, file_name(stack), f"Return {model} {number} -> {word} on {stack}\n\n{reason}")
    if moved:
        # Ends the servers of the release that did not pass; the traffic is back already.
        up(root, stack, quiet=True)


def _remember_return(model: str, *, old: int | None, number: int, reason: str, since: float) -> None:
    """Note a return that no rollout could note, because the release did not even start."""
    from infra.local import ledger

    last = ledger.read(model).last_return
    if last is None or datetime.fromisoformat(last["at"]).timestamp() < int(since):
        ledger.record_return(model, gone_from=number, back_to=old, reason=reason)


def _config_of(config: StackConfig, stack: str, model: str) -> ModelConfig:
    found = config.models.get(model)
    if found is None:
        raise ConfigError(
            f"there is no model '{model}' in this stack",
            where=f"{file_name(stack)}: {PROJECT}:models",
            got=model,
            allowed=", ".join(config.models) or "none yet",
            act=f"add it to {file_name(stack)}",
        )
    return found


def _check_release(root: Path, config: StackConfig, stack: str, model: str, number: int) -> None:
    """Refuse before the edit what the preview would refuse after it."""
    where = f"{file_name(stack)}: {PROJECT}:models.{model}.champion"
    checked(config.store(root), model, number, where=where, stack=stack, root=root, kubernetes=config.kubernetes)


def _check_not_challenger(config: StackConfig, stack: str, model: str, number: int) -> None:
    beside = config.models[model].challenger
    if beside is not None and beside.release == number:
        raise ConfigError(
            f"{number} is the challenger of {model}, and cannot be its champion too",
            where=f"{file_name(stack)}: {PROJECT}:models.{model}.challenger",
            got=number,
            allowed="a challenger other than the champion, or none",
            act=f"take the 'challenger:' lines of {model} away, then: make promote MODEL={model} RELEASE={number}",
        )


def _next_act(ended: Ended, stack: str) -> str:
    if "do:" in ended.reason:
        return ""
    if "mldelivery" in ended.reason:
        return "as the message above says"
    return f"make status STACK={stack}; make logs STACK={stack}; then run the same command again"


def _plain_reason(text: str) -> str:
    """What happened, for a commit and the ledger: without the wrapping, and without advice that is followed already."""
    lines = [line.strip() for line in re.sub(r"^the (update|preview) of \w+ failed: ", "", text).splitlines()]
    told = itertools.takewhile(lambda line: not line.startswith("do:"), lines)
    return "\n".join(itertools.islice(told, 6))


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)


def _check_unchanged(root: Path, file: str) -> None:
    if _git(root, "diff", "--quiet", "HEAD", "--", file).returncode:
        raise ConfigError(
            "has changes that are not committed, or this is no Git checkout",
            where=file,
            act=f"commit or undo them first (git diff HEAD -- {file}), or promote without COMMIT=1",
        )


def _commit_served(root: Path, stack: str, model: str, number: int, config: StackConfig) -> None:
    """What the stack above asks for belongs into Git, where the store is."""
    path = str(served_path(config.store(root), model, stack, number))
    if config.releases == "repository" and Path(path).is_file() and _git(root, "status", "--porcelain", "--", path).stdout:
        _git(root, "add", "--", path)
        _commit(root, path, f"Record that {stack} serves {model} {number}")


def _commit(root: Path, path: str, message: str) -> None:
    done = _git(root, "commit", "--quiet", "--message", message, "--", path)
    if done.returncode:
        raise PlatformError(
            f"the commit failed: {(done.stderr or done.stdout).strip()}",
            where=path,
            act="mend it, then run the same command again",
        )
    print(f"committed: {message.splitlines()[0]}")
