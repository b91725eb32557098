"""An alarm when an environment costs more than was meant."""

from __future__ import annotations

import pulumi
from pulumi_aws import budgets

from infra.aws import names
from infra.aws_config import AwsConfig

SPENT_PERCENT = 80
FORECAST_PERCENT = 100


class Budget(pulumi.ComponentResource):
    """A monthly budget over all that carries the environment's tag, and a mail before it is spent."""

    def __init__(self, name: str, aws: AwsConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:Budget", name, None, opts)
        budgets.Budget(
            name,
            name=aws.name,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(aws.budget.monthly_usd),
            limit_unit="USD",
            # What Auto Mode starts has no tags of ours; AWS's own names the cluster.
            cost_filters=[
                {
                    "name": "TagKeyValue",
                    "values": [f"user:{names.ENVIRONMENT_TAG}${aws.name}", f"aws:eks:cluster-name${aws.cluster_name}"],
                }
            ],
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "notification_type": kind,
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_email_addresses": list(aws.budget.emails),
                }
                for kind, percent in (("ACTUAL", SPENT_PERCENT), ("FORECASTED", FORECAST_PERCENT))
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
