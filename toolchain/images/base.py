"""The base image: Debian 12 with Python 3.11 and nothing that a server does not need.

Where Docker or Podman reaches a registry, ``python:3.11-slim`` by digest; else Debian's own packages, only unpacked: no package manager, no
set-id programs, no maintainer script is run. Kept in the cache until ``python -m toolchain.images refresh``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain import SetupError
from toolchain.images import layers
from toolchain.images.layout import Image, Layout
from toolchain.process import run, say

PYTHON = (3, 11)
PULLED = "docker.io/library/python:3.11-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7"
DEBIAN = "bookworm"
PACKAGES = ("base-files", "coreutils", "dash", "libpython3-stdlib", "libstdc++6", "netbase", "python3-minimal", "tzdata")
# Comes as a dependency of packages' scripts, which are not run.
WITHOUT = ("debconf", "dpkg", "usr-is-merged")
DROP = (
    "boot",
    "dev",
    "etc/apt",
    "etc/cron.daily",
    "etc/debconf.conf",
    "etc/dpkg",
    "etc/fstab",
    "etc/group",
    "etc/group-",
    "etc/hostname",
    "etc/hosts",
    "etc/logrotate.d",
    "etc/machine-id",
    "etc/passwd",
    "etc/passwd-",
    "etc/resolv.conf",
    "etc/shadow",
    "proc",
    "run",
    "sys",
    "tmp",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/menu",
    "usr/share/pixmaps",
    "usr/share/zoneinfo/posix",
    "usr/share/zoneinfo/right",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg/alternatives",
    "var/lib/dpkg/available",
    "var/lib/dpkg/diversions",
    "var/lib/dpkg/info",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/parts",
    "var/lib/dpkg/status",
    "var/lib/dpkg/triggers",
    "var/lib/dpkg/updates",
    "var/log",
    "var/tmp",
)
PASSWD = "root:x:0:0:root:/root:/usr/sbin/nologin\nserver:x:10001:10001:server:/tmp:/usr/sbin/nologin\n"
GROUP = "root:x:0:\nserver:x:10001:\n"
RECIPE = 2

# $1 is the folder of the unpacked packages. Scanners read status.d where there is no package manager.
_NOTE_PACKAGES = """set -eu
mkdir -p "$1/var/lib/dpkg/status.d"
for deb in "$1"/var/cache/apt/archives/*.deb; do
    name=$(dpkg-deb -f "$deb" Package)
    case " WITHOUT " in
    *" $name "*)
        dpkg-deb --fsys-tarfile "$deb" | tar -t | grep -v '/$' | while read -r file; do rm -f "$1/$file"; done ;;
    *) dpkg-deb -f "$deb" > "$1/var/lib/dpkg/status.d/$name" ;;
    esac
done"""
_COMPILE = 'chroot "$1" /usr/bin/python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash /usr/lib/python3.11'


def prepare(cache: Path, packages: tuple[str, ...] = PACKAGES, reference: str = "base") -> tuple[Layout, Image]:
    """The base in the cache, made first when it is not there. ``packages`` other than the default are always Debian's.

    Raises SetupError that says what was tried.
    """
    is_python = packages == PACKAGES
    wanted = os.environ.get("MLDELIVERY_BASE_IMAGE") or PULLED
    recipe = json.dumps([RECIPE, wanted if is_python else "", DEBIAN, packages, WITHOUT, DROP])
    layout = Layout(cache / "base" / hashlib.sha256(recipe.encode()).hexdigest()[:24])
    found = layout.find(reference)
    if found:
        return layout, found
    shutil.rmtree(layout.folder, ignore_errors=True)
    tried: list[str] = []
    image = (_pull(layout, reference, wanted, tried) if is_python else None) or _from_packages(layout, reference, packages, tried)
    return layout, image


def refresh(cache: Path) -> None:
    """Forget the base, so that the next image is made on Debian's packages of that day."""
    shutil.rmtree(cache / "base", ignore_errors=True)


def _pull(layout: Layout, reference: str, wanted: str, tried: list[str]) -> Image | None:
    """``wanted`` by Docker or Podman; None, with the reason in ``tried``, where neither can have it."""
    for tool, save in (("docker", ["save", "-o"]), ("podman", ["save", "--format", "oci-archive", "-o"])):
        command = shutil.which(tool)
        if command is None:
            tried.append(f"{tool} is not on PATH")
            continue
        with _scratch(layout) as scratch:
            try:
                run([command, "pull", "--quiet", wanted], f"{tool} pull of the base image")
                run([command, *save, str(scratch / "image.tar"), wanted], f"{tool} save of the base image")
                return _import(layout, reference, scratch / "image.tar", scratch / "unpacked")
            except (SetupError, OSError, ValueError, KeyError, StopIteration) as error:
                tried.append(f"{tool}: {' '.join(str(error).split())[-200:]}")
    return None


def _import(layout: Layout, reference: str, archive: Path, scratch: Path) -> Image:
    """An image from an archive that holds an OCI layout, its layers written anew in our form."""
    scratch.mkdir()
    with tarfile.open(archive) as source:
        for member in source:
            if member.isreg() and ".." not in Path(member.name).parts:
                target = scratch / member.name.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                content = source.extractfile(member)
                if content is not None:
                    with target.open("wb") as file:
                        shutil.copyfileobj(content, file)
    given = Layout(scratch)
    descriptor = json.loads((scratch / "index.json").read_bytes())["manifests"][0]
    document = json.loads(given.read(descriptor["digest"]))
    if "manifests" in document:
        document = json.loads(given.read(next(each["digest"] for each in document["manifests"] if given.blob(each["digest"]).exists())))
    config = json.loads(given.read(document["config"]["digest"]))
    written = []
    for each in document["layers"]:
        with given.blob(each["digest"]).open("rb") as file:
            written.append(layers.from_tar(file, layout.scratch(), drop=()))
    environment = [each for each in config["config"].get("Env", []) if each.startswith(("PATH=", "LANG=", "PYTHON_VERSION="))]
    return layout.add(reference, written, onto=None, config={"Env": environment}, history=["the base image's layer"] * len(written))


def _from_packages(layout: Layout, reference: str, packages: tuple[str, ...], tried: list[str]) -> Image:
    tool = _mmdebstrap(tried)
    sources = [str(path) for path in _sources()]
    settings = [f"--aptopt={line}" for line in _apt_settings()]
    notes = _NOTE_PACKAGES.replace("WITHOUT", " ".join(WITHOUT))
    with _scratch(layout) as scratch:
        command = [tool, "--quiet", "--variant=extract", "--format=tar", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
        command += [f"--include={','.join(packages)}", *settings, f"--extract-hook={notes}"]
        if "python3-minimal" in packages:
            command.append(f"--extract-hook={_COMPILE}")
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "TMPDIR": str(scratch), "PYTHONDONTWRITEBYTECODE": ""}
        run([*command, DEBIAN, str(scratch / "root.tar"), *sources], "unpacking the base image's Debian packages", env=environment)
        with (scratch / "root.tar").open("rb") as archive:
            files = layers.from_tar(archive, layout.scratch(), drop=DROP)
        accounts = layers.write(
            [
                layers.Entry("etc/passwd", content=PASSWD.encode()),
                layers.Entry("etc/group", content=GROUP.encode()),
                layers.Entry("etc/hosts", content=b"127.0.0.1 localhost\n::1 localhost\n"),
                layers.Entry("etc/nsswitch.conf", content=b"hosts: files dns\n"),
                *(layers.Entry(name) for name in ("dev", "proc", "run", "sys")),
                layers.Entry("root", mode=0o700),
                layers.Entry("tmp", mode=0o1777),
                layers.Entry("var/tmp", mode=0o1777),
            ],
            layout.scratch(),
            is_compressed=True,
        )
    return layout.add(
        reference,
        [files, accounts],
        onto=None,
        config={"Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"]},
        history=[f"Debian {DEBIAN}: {' '.join(packages)}", "accounts"],
    )


def _mmdebstrap(tried: list[str]) -> str:
    """The tool that unpacks Debian packages, installed where that is missing and allowed."""
    system = _system()
    if system.get("VERSION_CODENAME") != DEBIAN:
        raise SetupError(
            "there is no base image:\n"
            + "".join(f"  {each}\n" for each in tried)
            + f"  Debian packages: this machine is {system.get('PRETTY_NAME', 'unknown')}, and the base needs those of Debian 12.\n"
            + "  Do: start Docker or Podman where an image registry is reached, or name one: MLDELIVERY_BASE_IMAGE=host/python@sha256:…"
        )
    found = shutil.which("mmdebstrap")
    if found is None:
        say("mmdebstrap is not there: installing it with apt-get")
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap"], "apt-get install mmdebstrap")
        found = shutil.which("mmdebstrap") or "mmdebstrap"
    return found


def _system() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}


def _sources() -> list[Path]:
    """The machine's own lists of Debian packages; those of others may not be reachable, and are not needed."""
    folder = Path("/etc/apt/sources.list.d")
    found = [Path("/etc/apt/sources.list"), *sorted([*folder.glob("*.sources"), *folder.glob("*.list")])]
    return [path for path in found if path.is_file() and f"{DEBIAN}" in path.read_text(errors="replace")]


def _apt_settings() -> Iterator[str]:
    """How this machine's apt reaches its mirror (a proxy, certificates): used here, and in no image."""
    asked = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    for line in asked.stdout.splitlines():
        if line.startswith(("Acquire::http", "Acquire::https")) and '""' not in line:
            yield line


@contextmanager
def _scratch(layout: Layout) -> Iterator[Path]:
    layout.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=layout.folder) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def interpreter_fits() -> bool:
    """Whether bytecode of this Python is that of the image's."""
    return sys.version_info[:2] == PYTHON
