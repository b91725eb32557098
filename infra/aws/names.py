"""Names and ARNs of what an environment makes, from its config alone: policies name resources that do not exist yet."""

from __future__ import annotations

from collections.abc import Mapping

from infra.aws_config import AwsConfig

PROJECT_TAG = "project"
ENVIRONMENT_TAG = "environment"
STATE_PREFIX = "mldelivery-state"
"""Of the bucket and the key that hold Pulumi's state: ``infra.aws.bootstrap`` makes them."""

BUCKETS: Mapping[str, str] = {
    "artifacts": "what MLflow keeps of a training run",
    "snapshots": "the data that releases were made from",
    "requests": "what the models were asked, and what they answered",
    "releases": "Bentos, records and evidence of releases",
}


def tags(aws: AwsConfig) -> dict[str, str]:
    """The tags of everything: costs are told apart by them, and rights are bound to them."""
    return {
        PROJECT_TAG: "mldelivery",
        ENVIRONMENT_TAG: aws.name,
        "owner": aws.owner,
        "cost-center": aws.cost_center,
        "managed-by": "pulumi",
    }


def bucket(aws: AwsConfig, purpose: str) -> str:
    """A bucket's name; the account makes it unlike everyone else's."""
    return f"{aws.name}-{purpose}-{aws.account}"


def state_bucket(account: str, region: str) -> str:
    """The bucket of Pulumi's state, one for all stacks of an account."""
    return f"{STATE_PREFIX}-{account}-{region}"


def arn(aws: AwsConfig, service: str, resource: str, *, region: str | None = None) -> str:
    """An ARN in the environment's account and region; ``region=""`` for services that have none."""
    return f"arn:aws:{service}:{aws.region if region is None else region}:{aws.account}:{resource}"


def bucket_arn(aws: AwsConfig, purpose: str) -> str:
    """A bucket's ARN."""
    return f"arn:aws:s3:::{bucket(aws, purpose)}"


def role_arn(aws: AwsConfig, role: str) -> str:
    """A role's ARN; ``role`` may end with ``*``."""
    return arn(aws, "iam", f"role/{aws.name}-{role}", region="")


def alias(aws: AwsConfig, purpose: str) -> str:
    """A key's alias."""
    return f"alias/{aws.name}-{purpose}"


def log_group(aws: AwsConfig, purpose: str) -> str:
    """Log groups that AWS's services name themselves, and one of ours."""
    return {
        "cluster": f"/aws/eks/{aws.cluster_name}/cluster",
        "database": f"/aws/rds/instance/{aws.name}/postgresql",
        "database-upgrade": f"/aws/rds/instance/{aws.name}/upgrade",
        "network": f"/mldelivery/{aws.name}/network",
    }[purpose]
