"""The rules speak of types and properties that pulumi_aws has: a name that is misspelt would never find anything."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

from policy import check
from policy.cloud import TAGGED
from policy.storage import STATEFUL
from tests.unit.policy.examples import BAD, GOOD

# Its modules warn of classes that are none of ours.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TYPES = sorted({type_ for rule in check.RULES for type_ in (*rule.types, *TAGGED, *STATEFUL) if type_.startswith("aws:")})
SHOWN = [(GOOD[name][0], GOOD[name][1]) for name in GOOD if GOOD[name][0].startswith("aws:")]
SHOWN += [(GOOD[bad.of][0], bad.props()) for bad in BAD if GOOD[bad.of][0].startswith("aws:")]


def class_of(type_: str) -> Any:
    """The class of a type such as ``aws:s3/bucket:Bucket``."""
    _, module, name = type_.split(":")
    return getattr(importlib.import_module(f"pulumi_aws.{module.split('/')[0]}"), name)


def inputs(type_: str) -> set[str]:
    """The inputs of a type, by the names that the engine uses."""
    parameters = inspect.signature(class_of(type_)._internal_init).parameters
    return {_camel(name) for name in parameters}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


@pytest.mark.parametrize("type_", TYPES)
def test_every_type_of_a_rule_exists(type_: str) -> None:
    assert class_of(type_)
    if type_ in TAGGED:
        assert "tags" in inputs(type_)


def test_every_property_of_an_example_exists() -> None:
    unknown = [(type_, key) for type_, props in SHOWN for key in props if key not in inputs(type_)]
    assert unknown == []
