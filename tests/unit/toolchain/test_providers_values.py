"""Values of the protocol: secrets and unknowns survive the way in and out, and nothing secret gets into words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.kubernetes_provider.keys import from_api, to_api
from toolchain.providers import paths
from toolchain.providers.values import UNKNOWN, Secret, decode, encode, has_unknown, marked, plain, redacted

LEAVES = st.one_of(st.booleans(), st.integers(-(2**50), 2**50), st.text(max_size=5))
TREES = st.dictionaries(
    st.text(min_size=1, max_size=4),
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_size=4,
)


@given(TREES)
def test_what_is_encoded_is_decoded(value: dict[str, Any]) -> None:
    assert decode(encode(value)) == value


def test_secrets_and_unknowns_survive() -> None:
    value = {"data": Secret({"key": "c2VjcmV0"}), "uid": UNKNOWN, "list": [Secret("a"), 1.5]}
    found = decode(encode(value))
    assert found == value
    assert has_unknown(found) and not has_unknown(found["list"])


def test_nulls_in_mappings_are_left_out() -> None:
    assert decode(encode({"a": None, "b": [None, 1]})) == {"b": [None, 1]}


def test_a_value_is_marked_like_another() -> None:
    like = {"spec": {"env": [{"value": Secret("x")}, {"value": "open"}]}, "data": Secret({})}
    live = {"spec": {"env": [{"value": "x", "more": 1}, {"value": "open"}]}, "data": {"a": "b"}, "status": {}}
    found = marked(live, like)
    assert found["spec"]["env"] == [{"value": Secret("x"), "more": 1}, {"value": "open"}]
    assert found["data"] == Secret({"a": "b"})
    assert plain(found) == live


@pytest.mark.parametrize("secret", ["text", 7])
def test_a_list_that_can_not_be_matched_is_secret_as_a_whole(secret: object) -> None:
    assert marked(["a", "b"], [Secret(secret)]) == Secret(["a", "b"])
    assert marked(["a", "b"], ["x"]) == ["a", "b"]


def test_secrets_do_not_get_into_words() -> None:
    assert (
        redacted("spec.env[0]: Invalid value: hunter22", {"env": [Secret({"value": "hunter22"})]}) == "spec.env[0]: Invalid value: [secret]"
    )


def test_keys_with_dashes_are_renamed_both_ways() -> None:
    sdk = {"properties": [{"x_kubernetes_preserve_unknown_fields": True}]}
    assert to_api(sdk) == {"properties": [{"x-kubernetes-preserve-unknown-fields": True}]}
    assert from_api(to_api(sdk)) == sdk


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("spec.ports[0].name", ("spec", "ports", 0, "name")),
        ('metadata.annotations["pulumi.com/skipAwait"]', ("metadata", "annotations", "pulumi.com/skipAwait")),
        ("spec.containers[*].image", ("spec", "containers", "*", "image")),
        ('data["a\\"b"]', ("data", 'a"b')),
    ],
)
def test_paths_are_read_and_written(text: str, path: tuple[str | int, ...]) -> None:
    assert paths.parse(text) == path
    if "*" not in text:
        assert paths.render(path) == text


def test_a_text_that_is_no_path_is_refused() -> None:
    with pytest.raises(ValueError, match="is no path"):
        paths.parse("spec[")
