"""Kubeconfigs: which cluster, as whom; and what a wrong one says."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from toolchain.kubernetes_provider.kubeconfig import KubeconfigError, active_cluster, choose, connect, read


def config(*names: str, user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": names[0],
        "clusters": [{"name": f"{name}-cluster", "cluster": {"server": f"http://{name}:80", **cluster}} for name in names],
        "users": [{"name": f"{name}-user", "user": user or {"token": f"token-of-{name}"}} for name in names],
        "contexts": [
            {"name": name, "context": {"cluster": f"{name}-cluster", "user": f"{name}-user", "namespace": f"{name}-space"}}
            for name in names
        ],
    }


def written(folder: Path, name: str, content: dict[str, Any]) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_path_and_its_content_are_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, "one", config("one"))
    for given in (str(path), path.read_text(encoding="utf-8"), json.dumps(config("one"))):
        found = connect(given, {})
        assert (found.server, found.context, found.namespace) == ("http://one:80", "one", "one-space")
        assert found.headers() == {"authorization": "Bearer token-of-one"}


def test_the_environment_names_files_of_which_the_first_counts(tmp_path: Path) -> None:
    one, two = written(tmp_path, "one", config("one")), written(tmp_path, "two", config("two", "one"))
    environment = {"KUBECONFIG": f"{one}:{tmp_path / 'none'}:{two}"}
    assert connect(None, environment).context == "one"
    assert connect(None, environment, context="two").server == "http://two:80"
    assert len(read(None, environment)["contexts"]) == 2


def test_another_cluster_can_be_named() -> None:
    assert choose(config("one", "two"), "one", "two-cluster")["cluster"]["server"] == "http://two:80"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n", encoding="utf-8")
    path = written(tmp_path, "one", config("one", user={"tokenFile": "token"}))
    assert connect(str(path), {}).headers() == {"authorization": "Bearer from-a-file"}


def test_passwords_and_impersonation() -> None:
    found = connect(yaml.safe_dump(config("one", user={"username": "a", "password": "b", "as": "c"})), {})
    assert found.headers() == {"authorization": f"Basic {base64.b64encode(b'a:b').decode()}", "impersonate-user": "c"}


def plugin(folder: Path, script: str) -> dict[str, Any]:
    path = folder / "give-token"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(path), "env": [{"name": "WHO", "value": "me"}]}}


def test_a_command_gives_the_token_once_until_it_is_refused(tmp_path: Path) -> None:
    count = tmp_path / "count"
    script = f"""echo x >> {count}; echo '{{"kind": "ExecCredential", "status": {{"token": "for-'$WHO'"}}}}'"""
    found = connect(yaml.safe_dump(config("one", user=plugin(tmp_path, script))), {})
    assert found.headers() == found.headers() == {"authorization": "Bearer for-me"}
    assert count.read_text() == "x\n"
    assert found.renew() and found.headers() and count.read_text() == "x\nx\n"


def test_a_command_that_fails_is_named_with_its_last_line(tmp_path: Path) -> None:
    found = connect(yaml.safe_dump(config("one", user=plugin(tmp_path, "echo no such profile >&2; exit 3"))), {})
    with pytest.raises(KubeconfigError, match="ended with exit code 3: no such profile"):
        found.headers()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("/nowhere/kubeconfig", "there is no kubeconfig file '/nowhere/kubeconfig'"),
        ("clusters: [\n- a: b: c", "is not valid YAML, line"),
        ("just\ntext", "is no kubeconfig"),
        (yaml.safe_dump({**config("one"), "current-context": "two"}), "context 'two' does not exist; the kubeconfig has one"),
        (yaml.safe_dump({**config("one"), "current-context": ""}), "no context is chosen"),
        (yaml.safe_dump({**config("one"), "users": []}), "user 'one-user' of context 'one' does not exist"),
        (yaml.safe_dump({**config("one"), "clusters": [{"name": "x", "cluster": {}}]}), "cluster 'one-cluster' does not exist"),
        (yaml.safe_dump(config("one", server="")), "has no server address"),
        (
            yaml.safe_dump(config("one", server="https://a", **cast("dict[str, Any]", {"certificate-authority-data": "!"}))),
            "certificate authority|valid base64",
        ),
        (
            yaml.safe_dump(config("one", server="https://a", **cast("dict[str, Any]", {"certificate-authority": "none.crt"}))),
            "can't be read",
        ),
        (yaml.safe_dump(config("one", user={"auth-provider": {"name": "gcp"}})), "auth-provider is not supported"),
    ],
)
def test_what_is_wrong_is_said(given: str, words: str) -> None:
    with pytest.raises(KubeconfigError, match=words):
        connect(given, {})


def test_no_kubeconfig_at_all_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(KubeconfigError, match="no kubeconfig was found: set KUBECONFIG"):
        connect(None, {})


def test_broken_yaml_is_not_quoted() -> None:
    with pytest.raises(KubeconfigError) as caught:
        connect("users:\n- token: hunter22: [\n", {})
    assert "hunter22" not in str(caught.value)


def test_two_settings_mean_one_cluster_or_not() -> None:
    one, two = yaml.safe_dump(config("one")), yaml.safe_dump(config("two"))
    assert active_cluster(one, {}, None, None) == active_cluster(one, {}, "one", None) != active_cluster(two, {}, None, None)
    assert active_cluster("no such file", {}, None, None) is None
