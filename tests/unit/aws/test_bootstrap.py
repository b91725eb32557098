"""The bucket and the key of Pulumi's state: made once, brought in line each time, refused with another account's login."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.aws import bootstrap
from infra.aws_config import AwsConfig
from infra.errors import PlatformError
from tests.unit.aws.declared import config_of

BUCKET = "mldelivery-state-111122223333-eu-central-1"


class Account:
    """As much of AWS as the command asks."""

    def __init__(self, number: str = "111122223333") -> None:
        self.number, self.has_key, self.has_bucket = number, False, False
        self.asked: list[list[str]] = []

    def __call__(self, arguments: Sequence[str]) -> str | None:
        self.asked.append(list(arguments))
        key = json.dumps({"KeyMetadata": {"KeyId": "k-1", "Arn": "arn:aws:kms:eu-central-1:111122223333:key/k-1"}})
        match arguments[1]:
            case "get-caller-identity":
                return json.dumps(self.number)
            case "describe-key":
                return key if self.has_key else None
            case "create-key":
                self.has_key = True
                return key
            case "head-bucket":
                return "" if self.has_bucket else None
            case "create-bucket":
                self.has_bucket = True
        return ""

    def document(self, command: str) -> dict[str, object]:
        """The last option of a command, which is JSON."""
        return dict(json.loads(next(each for each in self.asked if each[1] == command)[-1]))


def aws() -> AwsConfig:
    found = config_of("dev").aws
    assert found is not None
    return found


def test_a_fresh_account_gets_a_key_and_a_closed_bucket() -> None:
    account = Account()
    bootstrap.bootstrap(aws(), account)
    assert ["kms", "create-alias", "--alias-name", "alias/mldelivery-state", "--target-key-id", "k-1"] in account.asked
    assert ["kms", "enable-key-rotation", "--key-id", "k-1"] in account.asked
    made = next(each for each in account.asked if each[1] == "create-bucket")
    assert BUCKET in made and "LocationConstraint=eu-central-1" in made
    assert set(account.document("put-public-access-block").values()) == {True}
    assert account.document("put-bucket-versioning") == {"Status": "Enabled"}
    encryption = str(account.document("put-bucket-encryption"))
    assert "aws:kms" in encryption and "key/k-1" in encryption
    assert "aws:SecureTransport" in str(account.document("put-bucket-policy"))


def test_a_second_time_nothing_is_made() -> None:
    account = Account()
    bootstrap.bootstrap(aws(), account)
    account.asked.clear()
    bootstrap.bootstrap(aws(), account)
    assert not [each[1] for each in account.asked if each[1].startswith("create-")]
    assert "put-bucket-policy" in [each[1] for each in account.asked]


def test_another_accounts_login_is_refused_before_anything_is_made() -> None:
    account = Account(number="999999999999")
    with pytest.raises(PlatformError, match="this login is to another account"):
        bootstrap.bootstrap(aws(), account)
    assert len(account.asked) == 1


def test_the_oldest_region_is_not_named_when_a_bucket_is_made() -> None:
    account = Account()
    bootstrap.bootstrap(aws().model_copy(update={"region": "us-east-1"}), account)
    assert not [each for each in account.asked if "LocationConstraint=us-east-1" in each]


def program(folder: Path, body: str) -> None:
    """A program named aws."""
    path = folder / "aws"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_the_command_says_what_aws_refuses_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bootstrap.main(["dev"]) == 1
    assert "aws is not on PATH" in capsys.readouterr().err
    program(tmp_path, "echo 'Unable to locate credentials' >&2; exit 255")
    assert bootstrap.main(["dev"]) == 1
    assert "AWS refuses: Unable to locate credentials" in capsys.readouterr().err


def test_the_command_ends_with_the_next_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    key = '{"KeyMetadata": {"KeyId": "k-1", "Arn": "arn:k-1"}}'
    program(tmp_path, f"""case "$*" in *get-caller-identity*) echo '"111122223333"';; *describe-key*) echo '{key}';; esac""")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bootstrap.main(["dev"]) == 0
    out = capsys.readouterr().out
    assert f"export PULUMI_BACKEND_URL='s3://{BUCKET}?region=eu-central-1&awssdk=v2'" in out
    assert "pulumi stack init dev --secrets-provider='awskms://alias/mldelivery-state?region=eu-central-1'" in out


def test_a_stack_that_is_no_environment_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main(["local"]) == 1
    assert "Pulumi.local.yaml: mldelivery:target: is no environment on AWS" in capsys.readouterr().err
