"""The runtime image: the base and one set of Python packages, shared by all releases that need exactly that set.

The packages are installed from wheels into a folder, hashes checked, and compiled; the folder becomes a layer at ``/opt/server``.
"""

from __future__ import annotations

import compileall
import contextlib
import hashlib
import io
import json
import os
import py_compile
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from toolchain import SetupError
from toolchain.images import base, layers
from toolchain.images.layers import Entry
from toolchain.images.layout import Image, Layout
from toolchain.process import exclusive, run, say

PREFIX = "opt/server"
SITE = "lib/python3.11/site-packages"
UID = 10001
ENVIRONMENT = {
    "PATH": f"/{PREFIX}/bin:/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/tmp",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "BENTOML_HOME": "/tmp/bentoml",
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}
# Packages' own tests, and stubs that only type checkers read.
LEFT_OUT = re.compile(r"(^|/)(tests?|__pycache__)/|\.pyi$|\.(?:a|h|lib)$")
RECIPE = 1
KEPT = 4


def prepare(cache: Path, lock: str, scripts: tuple[str, ...] = ("bentoml",)) -> tuple[Layout, Image]:
    """The runtime image for a lock (requirements, each pinned with its hashes), made first when it is not in the cache.

    Raises SetupError when a package can't be had, or none of the lock's wheels fits the image's Python.
    """
    with exclusive(cache / "lock", "the runtime image"):
        below, image = base.prepare(cache)
        key = hashlib.sha256(json.dumps([RECIPE, lock, image.digest, scripts, ENVIRONMENT]).encode()).hexdigest()[:24]
        layout = Layout(cache / "runtime" / key)
        found = layout.find("runtime")
        if found and (layout.folder / "packages.json").is_file():
            os.utime(layout.folder)
            return layout, found
        if not base.interpreter_fits():
            have = ".".join(map(str, sys.version_info[:2]))
            raise SetupError(
                f"images hold Python 3.11, and this is {have}: what was verified here would not be what runs there.\n"
                "  Do: make releases for a cluster with Python 3.11 on PATH (rm -r .venv, then the same command again)."
            )
        shutil.rmtree(layout.folder, ignore_errors=True)
        layout.folder.mkdir(parents=True)
        say("making the runtime image that all releases of these requirements share: half a minute, once")
        with tempfile.TemporaryDirectory(prefix=".scratch-", dir=layout.folder) as scratch:
            made = _make(layout, below, image, lock, scripts, Path(scratch))
        _forget_old(layout.folder.parent)
    return layout, made


def packages(layout: Layout) -> dict[str, list[dict[str, Any]]]:
    """What a runtime image holds: Debian's packages and Python's, with versions, and the hash of each wheel."""
    found: dict[str, list[dict[str, Any]]] = json.loads((layout.folder / "packages.json").read_bytes())
    return found


def _forget_old(folder: Path) -> None:
    """Keep the runtime images that were used last: each is 100 MB. Releases' images have hard links to the blobs, and lose nothing."""
    for old in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _make(layout: Layout, below: Layout, image: Image, lock: str, scripts: tuple[str, ...], scratch: Path) -> Image:
    site = scratch / "site"
    wheels = install(lock, site, scratch)
    entries = [
        *(
            entry
            for entry in layers.folder(site, f"{PREFIX}/{SITE}")
            if not LEFT_OUT.search(entry.name.removeprefix(f"{PREFIX}/{SITE}")) or entry.name.endswith(".pyc")
        ),
        *_environment(site, scripts, _python_of(image)),
    ]
    layer = layers.write(entries, layout.scratch(), is_compressed=True)
    layout.take(below, image.blobs)
    contents = {"debian": debian_packages(below, image), "python": wheels}
    (layout.folder / "packages.json").write_text(json.dumps(contents, indent=1))
    return layout.add(
        "runtime",
        [layer],
        onto=image,
        config={
            "Env": [f"{name}={value}" for name, value in ENVIRONMENT.items()],
            "User": f"{UID}:{UID}",
            "WorkingDir": "/tmp",
            "Labels": {},
        },
        history=[f"Python packages: {len(wheels)}, lock sha256:{hashlib.sha256(lock.encode()).hexdigest()}"],
    )


def install(lock: str, site: Path, scratch: Path) -> list[dict[str, Any]]:
    """Install a lock's wheels into ``site``, compile them, and say which wheel each came from."""
    (scratch / "lock.txt").write_text(lock)
    report = scratch / "report.json"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    command += [
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--target",
        str(site),
        "--report",
        str(report),
        "-r",
        str(scratch / "lock.txt"),
    ]
    run(command, "installing the image's Python packages", env={**os.environ, "TMPDIR": str(scratch)})
    # Scripts would name this machine's Python; the few that an image needs are written anew.
    shutil.rmtree(site / "bin", ignore_errors=True)
    shutil.rmtree(site / "share", ignore_errors=True)
    for name in ("REQUESTED", "direct_url.json"):
        for path in site.glob(f"*.dist-info/{name}"):
            path.unlink()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        # Files that no Python 3.11 reads, such as templates and tests of newer syntax, stay uncompiled.
        compileall.compile_dir(
            str(site),
            quiet=2,
            stripdir=str(site),
            prependdir=f"/{PREFIX}/{SITE}",
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    found = [
        {
            "name": each["metadata"]["name"],
            "version": each["metadata"]["version"],
            "licence": each["metadata"].get("license_expression") or "",
            "sha256": each["download_info"]["archive_info"]["hashes"]["sha256"],
        }
        for each in json.loads(report.read_bytes())["install"]
    ]
    return sorted(found, key=lambda each: str(each["name"]).lower())


def debian_packages(layout: Layout, image: Image) -> list[dict[str, Any]]:
    """The Debian packages of an image, read from what its own layers say."""
    import tarfile

    found: dict[str, dict[str, Any]] = {}
    for digest in image.blobs[1:]:
        with tarfile.open(layout.blob(digest)) as archive:
            for member in archive:
                if (
                    member.isreg()
                    and re.match(r"var/lib/dpkg/(status$|status\.d/[^/]+$)", member.name)
                    and not member.name.endswith(".md5sums")
                ):
                    content = archive.extractfile(member)
                    for paragraph in (content.read().decode(errors="replace") if content else "").split("\n\n"):
                        fields = dict(re.findall(r"^(Package|Version|Architecture|Source): (.+)$", paragraph, re.MULTILINE))
                        if "Package" in fields and "Version" in fields:
                            found[fields["Package"]] = {name.lower(): value for name, value in fields.items()}
    return [found[name] for name in sorted(found)]


def _environment(site: Path, scripts: tuple[str, ...], python: str) -> list[Entry]:
    """A virtual environment around the packages: what makes ``python`` find them, and the scripts asked for."""
    settings = f"home = {os.path.dirname(python)}\ninclude-system-site-packages = false\nversion = 3.11\n"  # noqa: PTH120
    entries = [
        Entry(f"{PREFIX}/pyvenv.cfg", content=settings.encode()),
        Entry(f"{PREFIX}/bin/python", link=python),
        Entry(f"{PREFIX}/bin/python3", link="python"),
    ]
    for points in site.glob("*.dist-info/entry_points.txt"):
        section = ""
        for line in points.read_text().splitlines():
            name, is_pair, target = (part.strip() for part in line.partition("="))
            section = line.strip() if line.startswith("[") else section
            if is_pair and section == "[console_scripts]" and name in scripts:
                module, _, function = target.partition(":")
                text = f"#!/{PREFIX}/bin/python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
                entries.append(Entry(f"{PREFIX}/bin/{name}", content=text.encode(), is_executable=True))
    return entries


def _python_of(image: Image) -> str:
    """Where the base has its Python: Docker's image in /usr/local, Debian in /usr."""
    is_dockers = any(each.startswith("PYTHON_VERSION=") for each in image.config.get("config", {}).get("Env", []))
    return "/usr/local/bin/python3.11" if is_dockers else "/usr/bin/python3.11"
