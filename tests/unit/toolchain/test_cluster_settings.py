"""The configuration of the node's programs, the objects that stand before any stack, and the modules that the programs are built from."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import tarfile
import tomllib
from pathlib import Path

import pytest
import yaml

from toolchain import ROOT, SetupError
from toolchain.cluster import NODE, PODS, Place, binaries, objects, packages, settings, static_image

PLACE = Place(Path("/checkout/.cluster"))
PROGRAMS = settings.programs(PLACE, Path("/programs"), "/environment/bin/traefik", Path("/postgresql/bin"))
FILES = settings.files(PLACE, PROGRAMS)


def test_every_program_is_supervised_with_the_very_words_of_its_command() -> None:
    parsed = configparser.RawConfigParser()
    parsed.read_string(FILES["supervisor.conf"])
    for program in PROGRAMS:
        section = parsed[f"program:{program.name}"]
        assert shlex.split(section["command"].replace("%%", "%")) == program.argv
        assert section["autorestart"] == "true"
        # The order of the start is that of the stages: none starts by itself.
        assert section["autostart"] == "false"
    assert len(parsed.sections()) == len(PROGRAMS) + 3


def test_what_pods_need_starts_after_what_they_are_written_to() -> None:
    stages = {program.name: program.stage for program in PROGRAMS}
    assert max(stages[name] for name in ("etcd", "containerd", "registry", "apiserver")) < min(
        stages[name] for name in ("kubelet", "dns", "gateway")
    )


def test_nothing_but_the_node_itself_hears_the_programs() -> None:
    for program in PROGRAMS:
        for word in program.argv:
            assert "0.0.0.0" not in word and "[::]" not in word, f"{program.name}: {word}"
            for address in re.findall(r"(?:://|=)(\d+\.\d+\.\d+\.\d+)", word):
                assert address.startswith("127.") or address in (NODE, "10.96.0.0", PODS.split("/")[0]), f"{program.name}: {word}"


def test_a_clients_certificate_alone_opens_no_kubelet() -> None:
    kubelet = yaml.safe_load(FILES["kubelet.yaml"])
    assert kubelet["authentication"]["anonymous"]["enabled"] is False
    assert kubelet["authorization"]["mode"] == "Webhook"
    assert kubelet["cgroupRoot"] == f"/{PLACE.cgroup}"


def test_the_files_are_what_their_programs_read() -> None:
    assert "restrict_oom_score_adj = true" in FILES["containerd.toml"]
    plugins = tomllib.loads(FILES["containerd.toml"])["plugins"]["io.containerd.grpc.v1.cri"]
    assert plugins["sandbox_image"] == settings.PAUSE
    network = json.loads(FILES["cni/10-bridge.conflist"])["plugins"][0]
    assert network["ipMasq"] is False and network["ipam"]["ranges"] == [[{"subnet": PODS}]]
    for name in (name for name in FILES if name.endswith(".yaml")):
        assert isinstance(yaml.safe_load(FILES[name]), dict), name


def test_the_gateway_counts_finely_where_objectives_are() -> None:
    (word,) = [word for program in PROGRAMS for word in program.argv if word.startswith("--metrics.prometheus.buckets=")]
    bounds = [float(bound) for bound in word.partition("=")[2].split(",")]
    assert bounds == sorted(set(bounds))
    assert len([bound for bound in bounds if 0.05 <= bound <= 0.5]) >= 8


def test_every_part_with_a_name_of_its_own_has_a_role() -> None:
    made = objects.own()
    bound = {each["subjects"][0]["name"] for each in made if each["kind"] == "ClusterRoleBinding"}
    assert bound == {"rollouts", "gateway", "dns", "policies"}
    own = {each["metadata"]["name"]: each["rules"] for each in made if each["kind"] == "ClusterRole"}
    assert set(own) == {"dns", "policies"}
    # Both look, and change nothing.
    assert {verb for rules in own.values() for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_objects_are_one_stream_of_whole_documents(tmp_path: Path) -> None:
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "a.yaml").write_text("kind: A\n---\nkind: B\n")
    kinds = [each["kind"] for each in yaml.safe_load_all(objects.documents(tmp_path)) if each]
    assert kinds[:2] == ["A", "B"] and kinds[2:] == [each["kind"] for each in objects.own()]


def test_a_static_program_becomes_the_same_image_each_time(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    for name in ("one.tar", "two.tar"):
        static_image.write(program, tmp_path / name, tag="docker.io/local/program:1")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as archive:
        (manifest,) = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
        config = json.loads(archive.extractfile(manifest["Config"]).read())  # type: ignore[union-attr]
    assert manifest["RepoTags"] == ["docker.io/local/program:1"]
    assert config["config"] == {"Entrypoint": ["/program"], "User": "65535:65535"}


def test_packages_that_are_missing_are_named_where_there_is_no_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "PATH", "/nowhere")
    monkeypatch.setattr(packages, "FILES", {"nowhere/bridge": "plugins", "nowhere/*/postgres": "database"})
    assert packages.missing() == [*packages.PROGRAMS.values(), "plugins", "database"]
    with pytest.raises(SetupError, match=r"etcd-server.*no apt-get.*Do: install them"):
        packages.prepare()


def test_all_parts_of_kubernetes_are_of_one_version() -> None:
    text = (ROOT / "toolchain/cluster/parts/go.mod").read_text()
    version = re.search(r"^require k8s\.io/kubernetes v1\.(\S+)$", text, re.MULTILINE)
    assert version
    replaced = dict(re.findall(r"^\s*(?:replace )?(k8s\.io/\S+) => \1 v0\.(\S+)$", text, re.MULTILINE))
    assert len(replaced) >= 25 and set(replaced.values()) == {version[1]}
    for staging in ("api", "apimachinery", "client-go", "component-base", "kubelet", "kube-proxy"):
        assert f"k8s.io/{staging}" in replaced


def test_other_pins_give_other_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in binaries.MODULES:
        (tmp_path / module).mkdir()
        (tmp_path / module / "go.mod").write_text("module a\n")
    monkeypatch.setattr(binaries, "SOURCE", tmp_path)
    before = binaries.recipe()
    assert binaries.recipe() == before
    (tmp_path / binaries.MODULES[0] / "go.mod").write_text("module b\n")
    assert binaries.recipe() != before
