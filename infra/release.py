"""Release records: the immutable evidence of a release, read and checked by digest.

A record is one YAML file, ``<store>/releases/<model>/<n>.yaml``. What it names (the Bento) lies in the same store, under paths relative to
the store's root. The store is ``.local/`` for the local stack and the repository itself for the others. The pipeline writes records with
``write``; everything else only reads them with ``load``.

A record never changes. A release that was made without an image gets one later by a file of its own beside the record, ``<n>.image.yaml``,
which names the record by its digest (``adding_image``); ``load`` gives the release with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, ValidationInfo, model_validator

from infra import files
from infra.errors import ReleaseError

FORMAT = 1
"""The newest record format that this checkout reads."""

LATER_KEYS = ("sbom", "card", "validation", "search")
"""Keys that records of this format did not have from the start; a record without them stands as it was."""

MODEL_NAME = r"[a-z][a-z0-9-]{0,38}"
"""A model's name is a path segment of the gateway and part of DNS labels in a cluster, hence lower case and short."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
ImageName = Annotated[str, Field(pattern=rf"^{MODEL_NAME}@sha256:[0-9a-f]{{64}}$")]
Verdict = Literal["pass", "fail", "not enough evidence"]


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=_kebab, populate_by_name=True, allow_inf_nan=False)


class Interval(_Part):
    """A metric on the holdout with its bootstrap interval; ``low <= value <= high`` is not required of a bootstrap."""

    value: float
    low: float
    high: float


class Commit(_Part):
    """The commit of the code that made a release; ``dirty`` when the model's or the pipeline's files differed."""

    sha: str
    dirty: bool


class Snapshot(_Part):
    """The data that a release was made from: content digest, rows, and the dates of the batches it holds."""

    digest: Digest
    rows: int = Field(gt=0)
    first: str
    last: str


class Comparison(_Part):
    """A challenger against the champion, on a holdout that neither was trained on.

    ``difference`` is challenger minus champion in ``metric`` (paired bootstrap, level 95 %); ``margin`` is how much worse is accepted.
    """

    champion: int = Field(gt=0)
    metric: str
    difference: Interval
    margin: float = Field(ge=0)
    rows: int = Field(gt=0)
    verdict: Verdict


class Search(_Part):
    """How the parameters were found: the best of ``trials`` by ``metric``, over the rows to learn from, cross-validated in ``folds`` parts.

    ``value`` is what the parameters of the release had, ``given`` what those of model.yaml had.
    """

    trials: int = Field(gt=0)
    folds: int = Field(gt=1)
    metric: str
    value: float
    given: float


class Golden(_Part):
    """Golden requests: their number and the digest of the file inside the Bento."""

    count: int = Field(gt=0)
    digest: Digest


class Artifact(_Part):
    """Something that lies in the store: its path from the store's root and its digest (``tree_digest`` for a folder)."""

    path: str
    digest: Digest

    @model_validator(mode="after")
    def _inside_store(self) -> Artifact:
        if Path(self.path).is_absolute() or ".." in Path(self.path).parts:
            raise ValueError("path must be relative and stay inside the store")
        return self


class Card(_Part):
    """The evidence card of a release: a page to look at, and its summary in Markdown."""

    page: Artifact
    summary: Artifact


class Run(_Part):
    """Where the training is tracked in MLflow."""

    run: str
    version: int = Field(gt=0)


class AddedImage(_Part):
    """The image of a release that was made without one. ``record`` is the digest of the record that it belongs to."""

    format: int
    model: str = Field(pattern=f"^{MODEL_NAME}$")
    release: int = Field(gt=0)
    record: Digest
    image: ImageName
    sbom: Artifact
    created: str
    digest: Digest


class Release(_Part):
    """One immutable, numbered, evidenced build of a model. See the module for where it lies.

    ``image`` and ``sbom`` are the record's own, or those that were added beside it.
    """

    format: int
    model: str = Field(pattern=f"^{MODEL_NAME}$")
    release: int = Field(gt=0)
    created: str
    reason: str
    owner: str
    commit: Commit
    code: Digest
    environment: Digest
    snapshot: Snapshot
    parameters: dict[str, str | int | float | bool | None]
    search: Search | None = None
    metrics: dict[str, Interval]
    comparison: Comparison | None
    gates: dict[str, Verdict] = Field(min_length=1)
    runtime: Literal["onnx", "skops"]
    golden: Golden
    bento: Artifact
    image: ImageName | None = None
    sbom: Artifact | None = None
    card: Card | None = None
    validation: Artifact | None = None
    interface: Digest
    tracking: Run | None
    digest: Digest
    _added: str | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _digest_fits(self, info: ValidationInfo) -> Release:
        if (info.context or {}).get("check_digest", True) and self.digest != record_digest(self.as_document()):
            raise ValueError(f"the record's content has digest {record_digest(self.as_document())}")
        return self

    def as_document(self) -> dict[str, Any]:
        """The record as it stands in the file: kebab-case keys, plain values; without what was added beside it."""
        document = self.model_dump(mode="json", by_alias=True)
        if self._added is not None:
            document |= {"image": None, "sbom": None}
        # Records from before a key was there lack it, and their digest is over what they have.
        return {key: value for key, value in document.items() if value is not None or key not in LATER_KEYS}

    @property
    def added(self) -> str | None:
        """Digest of the file beside the record that names the image; None where the record names it itself, or nothing does."""
        return self._added

    def with_image(self, added: AddedImage, file: str) -> Release:
        """The same release with the image that was added; ``file`` is the digest of the file that says so."""
        whole = self.model_copy(update={"image": added.image, "sbom": added.sbom})
        whole._added = file
        return whole

    @property
    def failed_gates(self) -> list[str]:
        """Names of the gates whose verdict is not ``pass``."""
        return [name for name, verdict in self.gates.items() if verdict != "pass"]


def record_digest(document: dict[str, Any]) -> str:
    """SHA-256 of a record's canonical JSON (sorted keys, no spaces), its own ``digest`` left out."""
    body = {key: value for key, value in document.items() if key != "digest"}
    return _sha256(json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def tree_digest(folder: Path) -> str:
    """SHA-256 over every file of a folder: sorted relative paths, each with its own SHA-256; bytecode caches are left out.

    Raises ReleaseError when the folder is missing or holds a symbolic link, which could point out of the store.
    """
    if not folder.is_dir():
        raise ReleaseError("not there", where=str(folder), act="make the release again: make release MODEL=… FORCE=1")
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if "__pycache__" in path.parts:
            continue
        if path.is_symlink():
            raise ReleaseError("a release may not hold symbolic links", where=str(path))
        if path.is_file():
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return "sha256:" + total.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of one file, as ``sha256:<hex>``."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def record_path(store: Path, model: str, number: int) -> Path:
    """Where the record of a release lies in a store."""
    return store / "releases" / model / f"{number}.yaml"


def added_image_path(store: Path, model: str, number: int) -> Path:
    """Where the image of a release lies on record that was made without one."""
    return record_path(store, model, number).with_suffix(".image.yaml")


def numbers(store: Path, model: str) -> list[int]:
    """The numbers of a model's releases in a store, ascending; half-written files and added images have other names and do not count."""
    found = (re.fullmatch(r"([1-9]\d*)\.yaml", path.name) for path in (store / "releases" / model).glob("*.yaml"))
    return sorted(int(match.group(1)) for match in found if match)


def load(store: Path, model: str, number: int, *, where: str = "") -> Release:
    """Read one record, and what was added beside it, and check both digests.

    ``where`` names the file and key that asked for the number, and leads every message. Raises ReleaseError when the record is missing,
    unreadable, of a newer format, altered, or filed under another name, and when what lies beside it is no image of this very record.
    """
    path = record_path(store, model, number)
    where = where or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        have = ", ".join(map(str, numbers(store, model))) or "none yet"
        raise ReleaseError(
            f"release {number} of {model} does not exist ({path} is missing)",
            where=where,
            got=number,
            allowed=have,
            act=f"choose one of these, or make one: make release MODEL={model}",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ReleaseError(f"{path} cannot be read: {error}", where=where, got=number) from error
    altered = _altered(path, where, number, f"restore it (git checkout -- {path}) or make a new release")
    document = _document(text, path, where, altered)
    try:
        record = Release.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "digest"
        raise altered(f"does not fit at key '{key}': {first['msg']}") from None
    if (record.model, record.release) != (model, number):
        raise altered(f"is the record of {record.model} {record.release}")
    return _with_added_image(record, store, where)


def anew(model: str, stack: str) -> str:
    """The command that makes another release of a model where those of a stack lie."""
    return f"make release MODEL={model} FORCE=1" + ("" if stack == "local" else f" STACK={stack}")


def check_may_serve(record: Release, store: Path, *, where: str, has_bento: bool = True, stack: str = "local") -> None:
    """Refuse a release whose gates did not all pass, or whose Bento (where there is one: ``has_bento``) is not the one that was recorded.

    ``stack``: whose store it is. Raises ReleaseError that names the gate, or both digests.
    """
    if record.failed_gates:
        raise ReleaseError(
            f"release {record.release} of {record.model} may not serve: gate "
            + ", ".join(f"'{gate}' says {record.gates[gate]}" for gate in record.failed_gates),
            where=where,
            got=record.release,
            allowed="a release whose gates all say pass",
            act=f"read {record_path(store, record.model, record.release)}, mend the model or its data, make a new release",
        )
    got = tree_digest(store / record.bento.path) if has_bento else record.bento.digest
    if got != record.bento.digest:
        raise ReleaseError(
            f"what release {record.release} of {record.model} would run is not what was recorded ({store / record.bento.path})",
            where=where,
            got=got,
            allowed=record.bento.digest,
            act=f"make it again: {anew(record.model, stack)}",
        )


def write(store: Path, document: dict[str, Any]) -> Release:
    """Give a record its digest and write it, all or nothing; an existing record is never written over.

    ``document`` has kebab-case keys as in the file and no ``digest``. Returns the record. Raises ReleaseError when it does not fit,
    when the number is taken, or when the disk refuses.
    """
    document = {**document, "digest": "sha256:" + "0" * 64}
    try:
        plain = Release.model_validate(document, context={"check_digest": False}).as_document()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ReleaseError(f"the record does not fit at key '{'.'.join(map(str, first['loc']))}': {first['msg']}") from None
    plain["digest"] = record_digest(plain)
    record = Release.model_validate(plain)
    path = record_path(store, record.model, record.release)
    try:
        with files.written_once(path) as partial:
            _write(partial, _as_yaml(plain))
    except FileExistsError:
        raise ReleaseError(f"release {record.release} of {record.model} exists already", where=str(path)) from None
    except OSError as error:
        raise _unwritten(path, error) from error
    return record


@contextlib.contextmanager
def adding_image(store: Path, record: Release, *, image: str, sbom: str, sbom_digest: str, created: str) -> Iterator[Release]:
    """Add an image to a release that was made without one. Gives the release with it, for the block to sign; written when the block ends.

    All or nothing, beside the record and never over another one. Raises ReleaseError when the release has an image or the disk refuses.
    """
    path = added_image_path(store, record.model, record.release)
    if record.image is not None:
        raise ReleaseError(f"release {record.release} of {record.model} has an image already", where=str(path), got=record.image)
    document: dict[str, Any] = {
        "format": FORMAT,
        "model": record.model,
        "release": record.release,
        "record": record.digest,
        "image": image,
        "sbom": {"path": sbom, "digest": sbom_digest},
        "created": created,
    }
    document["digest"] = record_digest(document)
    added, data = AddedImage.model_validate(document), _as_yaml(document)
    try:
        with files.written_once(path) as partial:
            _write(partial, data)
            yield record.with_image(added, _sha256(data))
    except FileExistsError:
        raise ReleaseError(
            f"release {record.release} of {record.model} was given an image meanwhile", where=str(path), act="run the same command again"
        ) from None
    except OSError as error:
        raise _unwritten(path, error) from error


def _with_added_image(record: Release, store: Path, where: str) -> Release:
    """The release with the image that lies beside its record, if one does. Raises ReleaseError when that is not one of this record."""
    path = added_image_path(store, record.model, record.release)
    try:
        data = path.read_bytes()
        text = data.decode()
    except FileNotFoundError:
        return record
    except (OSError, UnicodeDecodeError) as error:
        raise ReleaseError(f"{path} cannot be read: {error}", where=where, got=record.release) from error
    again = f"python -m pipelines image {record.model} {record.release}"
    altered = _altered(path, where, record.release, f"restore it (git checkout -- {path}), or remove it and make the image again: {again}")
    document = _document(text, path, where, altered)
    try:
        added = AddedImage.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise altered(f"does not fit at key '{'.'.join(map(str, first['loc']))}': {first['msg']}") from None
    if added.digest != record_digest(document):
        raise altered(f"has digest {record_digest(document)}, not the one that it states")
    if (added.model, added.release) != (record.model, record.release) or added.image.partition("@")[0] != record.model:
        raise altered(f"is of {added.model} {added.release} ({added.image})")
    if added.record != record.digest:
        raise ReleaseError(
            f"{path} belongs to another record: release {record.release} of {record.model} was made again since",
            where=where,
            got=added.record,
            allowed=record.digest,
            act=f"remove it and make the image of this one: {again}",
        )
    if record.image is not None or record.sbom is not None:
        raise ReleaseError(
            f"{path} contradicts the record, which names an image of its own",
            where=where,
            got=added.image,
            allowed=str(record.image),
            act="remove it: the record is right",
        )
    return record.with_image(added, _sha256(data))


def _document(text: str, path: Path, where: str, altered: Callable[[str], ReleaseError]) -> dict[str, Any]:
    """A file's content, of a format that this checkout knows. Raises ReleaseError."""
    try:
        document = plain_yaml(text)
    except yaml.YAMLError as error:
        raise altered(f"is not whole YAML ({' '.join(str(error).split())})") from error
    if not isinstance(document, dict):
        raise altered("is empty or half-written")
    newest = document.get("format")
    if isinstance(newest, int) and newest > FORMAT:
        raise ReleaseError(
            f"{path} has a newer format than this checkout reads",
            where=where,
            got=newest,
            allowed=f"format <= {FORMAT}",
            act="update the checkout: git pull",
        )
    return document


def _altered(path: Path, where: str, number: int, act: str) -> Callable[[str], ReleaseError]:
    """Makes the error for a file that is not as it was written, from how it is not."""

    def error(how: str) -> ReleaseError:
        return ReleaseError(
            f"{path} {how}: it was altered or is damaged",
            where=where,
            got=number,
            allowed="a record exactly as the pipeline wrote it",
            act=act,
        )

    return error


def _unwritten(path: Path, error: OSError) -> ReleaseError:
    return ReleaseError(
        f"the record could not be written: {error.strerror}",
        where=str(path),
        act="free some space and run the same command again; nothing was half-written",
    )


def _as_yaml(document: dict[str, Any]) -> bytes:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120).encode()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def plain_yaml(text: str) -> Any:
    """The YAML of a record, by the C loader where there is one. Aliases are refused: a record has none, and a few expand to gigabytes."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if any(isinstance(event, yaml.events.AliasEvent) for event in yaml.parse(text, Loader=loader)):
        raise yaml.YAMLError("aliases are not allowed")
    return yaml.load(text, Loader=loader)
