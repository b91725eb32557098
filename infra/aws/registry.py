"""The image registry that all environments share: one repository for each kind of image, which never change once they are pushed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import ecr

from infra.aws.iam import Statement, policy
from infra.aws_config import AwsConfig


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """The environment's config, the key of its data, and the names of the images: one for each model, and MLflow's."""

    aws: AwsConfig
    key_arn: pulumi.Input[str]
    images: Sequence[str]


class Registry(pulumi.ComponentResource):
    """Repositories ``mldelivery/<image>`` in this account. ECR refuses to delete one that holds images, so that none of prod's is lost."""

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:Registry", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        for image in args.images:
            repository = ecr.Repository(
                f"{name}-{image}",
                name=f"mldelivery/{image}",
                image_tag_mutability="IMMUTABLE",
                image_scanning_configuration={"scan_on_push": True},
                encryption_configurations=[{"encryption_type": "KMS", "kms_key": args.key_arn}],
                force_delete=False,
                opts=pulumi.ResourceOptions(parent=self, protect=args.aws.protect),
            )
            ecr.LifecyclePolicy(
                f"{name}-{image}",
                repository=repository.name,
                policy=json.dumps(lifecycle(args.aws.registry.keep_images)),
                opts=child,
            )
            if args.aws.registry.pullers:
                ecr.RepositoryPolicy(
                    f"{name}-{image}", repository=repository.name, policy=policy([pulls(args.aws.registry.pullers)]), opts=child
                )
        self.register_outputs({})


def lifecycle(keep: int) -> dict[str, Any]:
    """ECR's lifecycle policy: the newest stay, the rest goes."""
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep}
    return {"rules": [{"rulePriority": 1, "description": f"the newest {keep}", "selection": selection, "action": {"type": "expire"}}]}


def pulls(accounts: Sequence[str]) -> Statement:
    """Clusters of other accounts pull."""
    return Statement(
        sid="Pull",
        why="environments in other accounts run the same images (a repository's policy is of that repository alone, and names none)",
        resources=(),
        actions=["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        principal={"AWS": [f"arn:aws:iam::{account}:root" for account in accounts]},
    )
