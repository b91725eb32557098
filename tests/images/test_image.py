"""A release's image: small, the same for the same Bento, without a trace of this machine, and it serves as a pod would run it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from infra.release import Release, load
from pipelines.image import Image, image_of, sizes
from pipelines.sbom import packages_of
from serving.replay import replay
from tests.images.registry import Buildah, documents, inside, processor_seconds, running, unpack
from tests.pipelines.laboratory import ROOT

pytestmark = pytest.mark.timeout(900)

LIMIT_MEGABYTES = 400


@pytest.fixture(scope="module")
def files(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of release 1, unpacked."""
    return unpack(made, load(made, "iris", 1), tmp_path_factory.mktemp("files"))


def test_the_record_names_image_and_packages(store: Path, record: Release) -> None:
    from infra.release import file_digest

    assert record.image is not None and re.fullmatch(r"iris@sha256:[0-9a-f]{64}", record.image)
    assert record.sbom is not None
    assert file_digest(store / record.sbom.path) == record.sbom.digest
    _, config = documents(store, record)
    assert config["config"]["Labels"]["mldelivery.bento"] == record.bento.digest


def test_it_is_small(store: Path) -> None:
    layers = sizes(ROOT, store, "iris", 1)
    for what, stored, unpacked in layers:
        print(f"{unpacked / 1e6:7.1f} MB unpacked, {stored / 1e6:6.1f} MB stored: {what}")
    total = sum(unpacked for _, _, unpacked in layers) / 1e6
    print(f"{total:7.1f} MB in all")
    assert 200 < total < LIMIT_MEGABYTES
    assert layers[-1][1] < 1_000_000, "what each release adds"


def test_a_further_release_takes_seconds(store: Path, record: Release, tmp_path: Path) -> None:
    source = tmp_path / "src"
    shutil.copytree(store / record.bento.path, source)
    (source / "release" / "model.onnx").write_bytes(b"another model")
    started = processor_seconds()
    made = image_of(ROOT, store, source, "iris", 2)
    assert processor_seconds() - started < 5
    assert made.image != record.image
    before = sum(path.stat().st_size for path in (store / "images" / "iris" / "blobs" / "sha256").iterdir())
    image_of(ROOT, store, source, "iris", 3)
    after = sum(path.stat().st_size for path in (store / "images" / "iris" / "blobs" / "sha256").iterdir())
    assert after - before < 1_000_000, "releases share what is below them"


def test_the_same_bento_gives_the_same_image(store: Path, record: Release, tmp_path: Path) -> None:
    source = tmp_path / "elsewhere" / "src"
    for path in sorted((store / record.bento.path).rglob("*"), reverse=True):
        if path.is_file():
            copy = source / path.relative_to(store / record.bento.path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            copy.chmod(0o600)
            os.utime(copy, (1, 1))
    (source / "serving" / "__pycache__").mkdir()
    (source / "serving" / "__pycache__" / "app.cpython-311.pyc").write_bytes(b"left by a server")
    made = image_of(ROOT, tmp_path / "other", source, "iris", 1)
    assert record.sbom is not None
    assert made == Image(str(record.image), record.sbom.path, record.sbom.digest)
    _, config = documents(store, record)
    assert config["created"] == "1970-01-01T00:00:00Z"


def test_made_from_nothing_it_is_the_same_again_and_holds_nothing_of_this_machine(
    store: Path, record: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Base and packages are had anew, with settings of the machine that are easy to find again."""
    links = tmp_path / "links-of-this-machine"
    links.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("no_proxy", "noproxy.of.this.machine")
    first = image_of(ROOT, tmp_path / "a", store / record.bento.path, "iris", 1)
    shutil.rmtree(tmp_path / "cache" / "mldelivery" / "images" / "runtime")
    second = image_of(ROOT, tmp_path / "b", store / record.bento.path, "iris", 1)
    assert first == second
    assert list((tmp_path / "cache").rglob(".scratch-*")) == []
    fresh = record.model_copy(update={"image": first.image})
    traces = [*traces_of_this_machine(), str(links), "noproxy.of.this.machine", str(tmp_path)]
    assert found_in(unpack(tmp_path / "a", fresh, tmp_path / "files"), traces) == []
    assert [trace for trace in traces if trace in json.dumps(documents(tmp_path / "a", fresh))] == []


def test_a_trace_of_this_machine_is_found(files: Path, tmp_path: Path) -> None:
    place = tmp_path / "etc" / "pip.conf"
    place.parent.mkdir()
    place.write_text(f"[global]\ncert = {traces_of_this_machine()[0]}\n")
    assert found_in(tmp_path, traces_of_this_machine()) == ["etc/pip.conf"]
    assert found_in(files, ["onnxruntime"]) != []


def traces_of_this_machine() -> list[str]:
    """Texts by which this machine's set-up would be known: its folders, its proxies, where its package index and Debian's mirror are."""
    found = [str(ROOT), sys.prefix, f"@{socket.gethostname()}"]
    found += [value for name, value in os.environ.items() if name.lower() in ("http_proxy", "https_proxy", "all_proxy") and value]
    settings = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    asked = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True, check=True).stdout
    found += re.findall(
        r"https?://[^\s'\"]+", settings + "\n".join(os.environ.get(name, "") for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX"))
    )
    return [*found, *(f"{uri} " for uri in sorted(set(asked.split())))]


def found_in(root: Path, traces: list[str]) -> list[str]:
    """Files below a folder that hold one of some texts."""
    wanted = [trace.encode() for trace in traces]
    found = []
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and any(trace in path.read_bytes() for trace in wanted):
            found.append(str(path.relative_to(root)))
    return found


def test_it_holds_no_tools_and_nothing_that_gains_rights(files: Path) -> None:
    names = {path.name for path in files.rglob("*") if path.parent.name in ("bin", "sbin")}
    assert names & {"pip", "pip3", "apt", "apt-get", "dpkg", "gcc", "cc", "git", "curl", "wget", "su", "sudo", "mount", "perl"} == set()
    site = {path.name.partition("-")[0] for path in (files / "opt" / "server" / "lib" / "python3.11" / "site-packages").iterdir()}
    assert site & {"pip", "setuptools", "wheel", "uv"} == set()
    rights = [path for path in files.rglob("*") if not path.is_symlink() and path.is_file() and path.stat().st_mode & 0o6022]
    assert rights == []
    assert {path.stat().st_uid for path in files.rglob("*") if not path.is_symlink()} == {0}
    passwd = (files / "etc" / "passwd").read_text().splitlines()
    assert [line.split(":")[2] for line in passwd] == ["0", "10001"]


def test_all_its_python_is_compiled(files: Path) -> None:
    """A read-only root keeps no bytecode: what is not compiled is compiled at each start."""
    site = files / "opt" / "server" / "lib" / "python3.11" / "site-packages"
    for module in (site / "bentoml" / "__init__.py", site / "onnxruntime" / "__init__.py", files / "usr/lib/python3.11/asyncio/events.py"):
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-311.pyc"
        # Bytes 4 to 8: 1 is "by hash, never checked", which does not depend on the time of the source.
        assert compiled.read_bytes()[4:8] == b"\x01\0\0\0", compiled


@pytest.mark.parametrize("command", [("python", "-m", "serving", "--host", "127.0.0.1"), ("bentoml", "serve", ".", "--host", "127.0.0.1")])
def test_it_serves_as_a_pod_runs_it(made: Path, files: Path, command: tuple[str, ...], tmp_path: Path) -> None:
    record = load(made, "iris", 1)
    _, config = documents(made, record)
    assert config["config"]["Cmd"] == ["python", "-m", "serving", "--host", "0.0.0.0", "--port", "3000"]
    assert config["config"]["User"] == "10001:10001"
    assert config["config"]["WorkingDir"] == "/bento/src"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with running(inside(files, config["config"]["Env"], *command, "--port", str(port)), tmp_path / "log") as server:
        wait_ready(port, server, tmp_path / "log")
        seen = replay(f"http://127.0.0.1:{port}", made / record.bento.path / "release" / "golden.jsonl", tolerance=1e-5, release=1)
    assert seen.is_right, seen.mismatches[:3]


def wait_ready(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    import http.client

    until = time.monotonic() + 180
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        assert server.poll() is None and time.monotonic() < until, log.read_text()
        time.sleep(0.1)


def test_the_list_of_packages_is_what_the_image_says_itself(made: Path, files: Path) -> None:
    record = load(made, "iris", 1)
    assert record.sbom is not None
    listed = packages_of((made / record.sbom.path).read_bytes())
    _, config = documents(made, record)
    script = (
        "import importlib.metadata as m; print(*(f\"{each.metadata['Name']} {each.version}\" for each in m.distributions()), sep='\\n')"
    )
    said = subprocess.run(inside(files, config["config"]["Env"], "python", "-c", script), capture_output=True, text=True, check=True)
    assert {name.removeprefix("pypi/"): version for name, version in listed.items() if name.startswith("pypi/")} == {
        name.lower().replace("_", "-"): version for name, version in (line.split() for line in said.stdout.splitlines())
    }
    debian = {path.name for path in (files / "var" / "lib" / "dpkg" / "status.d").iterdir()}
    assert {name.removeprefix("deb/") for name in listed if name.startswith("deb/")} == debian
    assert {"libc6", "python3.11-minimal"} <= debian
    document = json.loads((made / record.sbom.path).read_bytes())
    python = [each for each in document["components"] if each.get("purl", "").startswith("pkg:pypi/")]
    assert all(each["hashes"][0]["alg"] == "SHA-256" for each in python)
    lock = (made / record.bento.path / "requirements.txt").read_text()
    assert all(each["hashes"][0]["content"] in lock for each in python)


def test_the_bentos_own_dockerfile_gives_the_same(made: Path, files: Path, tmp_path: Path) -> None:
    """Who has Docker and the Bento only gets the same from ``docker build``; here by buildah over the same runtime image."""
    record = load(made, "iris", 1)
    # buildah takes no path with a hidden folder.
    runtime = shutil.copytree(runtime_layout(documents(made, record)[0]), tmp_path / "runtime")
    buildah = Buildah(tmp_path / "buildah")
    bento = made / "bentos" / "iris" / "1"
    dockerfile = bento / "env" / "docker" / "Dockerfile"
    base = f"BASE={buildah.run('pull', '--quiet', f'oci:{runtime}:runtime')}"
    buildah.run("bud", "--quiet", "--timestamp", "0", "--build-arg", base, "--file", str(dockerfile), "--tag", "built", str(bento))
    ours, theirs = documents(made, record)[1]["config"], json.loads(buildah.run("inspect", "--type", "image", "built"))["OCIv1"]["config"]
    for key in ("User", "WorkingDir", "Cmd", "ExposedPorts"):
        assert theirs[key] == ours[key]
    assert set(theirs["Env"]) == set(ours["Env"])
    container = buildah.run("from", "built")
    root = Path(buildah.run("mount", container))
    try:
        for place in ("bento/src", "opt/server/bin", "opt/server/lib/python3.11/site-packages/onnxruntime"):
            assert contents(root / place) == contents(files / place)
    finally:
        buildah.run("umount", container)


def runtime_layout(manifest: dict[str, Any]) -> Path:
    """The runtime image in the cache that an image lies over."""
    from toolchain.process import cache_dir

    below = [layer["digest"] for layer in manifest["layers"][:-1]]
    for index in (cache_dir() / "images" / "runtime").glob("*/index.json"):
        digest = json.loads(index.read_bytes())["manifests"][0]["digest"].removeprefix("sha256:")
        found = json.loads((index.parent / "blobs" / "sha256" / digest).read_bytes())
        if [layer["digest"] for layer in found["layers"]] == below:
            return index.parent
    raise AssertionError("the runtime image is not in the cache")


def contents(folder: Path) -> dict[str, bytes | str]:
    return {
        path.relative_to(folder).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if (path.is_symlink() or path.is_file()) and "__pycache__" not in path.parts
    }
