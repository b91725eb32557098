"""The page of differences, costs and roles is the one that config and code give."""

from __future__ import annotations

import pytest

from infra.aws import reference
from infra.aws.costs import monthly
from infra.aws.roles import all_roles
from infra.aws_config import AwsConfig
from infra.config import StackConfig, load
from toolchain import ROOT

PAGE = (ROOT / reference.PAGE).read_text(encoding="utf-8")
CONFIGS: dict[str, StackConfig] = {stack: load(ROOT, stack) for stack in ("dev", "staging", "prod")}


def aws_of(stack: str) -> AwsConfig:
    found = CONFIGS[stack].aws
    assert found is not None
    return found


def test_the_page_is_current() -> None:
    assert reference.page(ROOT) == PAGE, "run: python -m infra.aws.reference"


def test_environments_differ_in_few_keys_and_the_table_shows_each(capsys: pytest.CaptureFixture[str]) -> None:
    table = reference.differences(CONFIGS)
    with capsys.disabled():
        print(f"\n{table}")
    assert table in PAGE
    rows = table.count("\n") - 4
    assert 10 < rows <= 25, "environments differ by sizes and numbers, in few keys"
    assert "| `aws.database.multi-az` | no | no | yes |" in table
    assert "aws.cluster.version" not in table, "staging runs what prod runs"


def test_a_difference_is_seen_and_what_is_equal_is_not() -> None:
    changed = CONFIGS["prod"].model_copy(update={"models": {}})
    table = reference.differences({"one": CONFIGS["prod"], "other": changed})
    assert "| `models.iris.replicas` | 3 | none |" in table and "aws." not in table


def test_every_role_and_each_of_its_rights_stands_there_with_a_reason() -> None:
    for name, spec in all_roles(aws_of("dev")).items():
        assert f"| `{name}` | {spec.used_by} | {spec.why} |" in PAGE
        for statement in spec.rights:
            assert f"| {statement.sid} | {statement.why} |" in PAGE


def test_an_environment_at_rest_stays_within_its_budget() -> None:
    for stack in CONFIGS:
        bill = monthly(aws_of(stack))
        assert all(line.dollars is not None for line in bill), [line.what for line in bill if line.dollars is None]
        assert sum(line.dollars or 0 for line in bill) < aws_of(stack).budget.monthly_usd


def test_a_bill_follows_the_sizes() -> None:
    prod = {line.what: line.dollars for line in monthly(aws_of("prod"))}
    dev = {line.what: line.dollars for line in monthly(aws_of("dev"))}
    assert prod["NAT gateways with their addresses"] == pytest.approx(3 * (dev["NAT gateways with their addresses"] or 0))
    assert dev["interface endpoints"] == 0
    unknown = aws_of("dev").model_copy(update={"database": aws_of("dev").database.model_copy(update={"instance": "db.x9.huge"})})
    assert {line.what: line.dollars for line in monthly(unknown)}["PostgreSQL with its disk"] is None
