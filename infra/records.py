"""The records that a model's config asks for, checked so that what can't be right is refused at preview."""

from __future__ import annotations

from pathlib import Path

from infra.config import PROJECT, KubernetesConfig, ModelConfig, stack_name
from infra.errors import ReleaseError
from infra.ladder import check_climb
from infra.release import Release, check_may_serve, load


def records_in_use(
    store: Path, name: str, model: ModelConfig, *, file: str, root: Path | None = None, kubernetes: KubernetesConfig | None = None
) -> tuple[Release | None, Release | None]:
    """Records of the champion and of the challenger; None where config names none.

    For a cluster (``kubernetes``, with the checkout's ``root``) they have an image too, and the signature that config asks for; the stack
    below (``infra.ladder``) has served them. Raises ReleaseError that names file and key.
    """
    found: list[Release | None] = []
    for number, where in asked_for(name, model, file=file):
        stack = stack_name(file)
        found.append(
            checked(store, name, number, where=where, stack=stack, root=root, kubernetes=kubernetes) if number is not None else None
        )
    return found[0], found[1]


def asked_for(name: str, model: ModelConfig, *, file: str) -> tuple[tuple[int | None, str], tuple[int | None, str]]:
    """The numbers of champion and challenger, None where config names none, each with the file and key that ask for it."""
    key = f"{file}: {PROJECT}:models.{name}"
    return (model.champion, f"{key}.champion"), (model.challenger.release if model.challenger else None, f"{key}.challenger.release")


def checked(
    store: Path, model: str, number: int, *, where: str, stack: str, root: Path | None = None, kubernetes: KubernetesConfig | None = None
) -> Release:
    """One record that may serve on a stack. Raises ReleaseError as ``records_in_use`` does."""
    record = load(store, model, number, where=where)
    # A cluster runs the image, by digest; the Bento that it was made of lies where it was made.
    has_bento = kubernetes is None or (store / record.bento.path).exists()
    check_may_serve(record, store, where=where, has_bento=has_bento, stack=stack)
    if kubernetes is not None:
        _check_image(record, where, stack, is_in_git=store == root)
        check_climb(record, store, stack, where=where)
        if kubernetes.public_key is not None and root is not None:
            from infra.signature import verify

            verify(record, store, root / kubernetes.public_key, where=where)
    return record


def _check_image(record: Release, where: str, stack: str, *, is_in_git: bool) -> None:
    if record.image is None:
        make = f"python -m pipelines image {record.model} {record.release} --stack {stack}"
        raise ReleaseError(
            f"release {record.release} of {record.model} has no image, which a cluster needs",
            where=where,
            got=record.release,
            allowed="a release with an image",
            act=f"where its Bento lies: {make}, and commit what it writes"
            if is_in_git
            else f"make up STACK={stack} makes it; so does: {make}",
        )
