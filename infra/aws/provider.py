"""The one way from a stack's program to AWS."""

from __future__ import annotations

import pulumi_aws

from infra.aws import names
from infra.aws_config import AwsConfig


def provider(aws: AwsConfig) -> pulumi_aws.Provider:
    """A provider for one region of one account, refused in any other, that tags all it makes. Credentials are those of the shell."""
    return pulumi_aws.Provider("aws", region=aws.region, allowed_account_ids=[aws.account], default_tags={"tags": names.tags(aws)})
