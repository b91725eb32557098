"""What an environment costs a month while nobody asks it anything, by the sizes in its config."""

from __future__ import annotations

from dataclasses import dataclass

from infra.aws.network import INTERFACE_ENDPOINTS
from infra.aws_config import AwsConfig

HOURS = 730
"""Of a month, as AWS's own calculator has it."""

TAKEN = (
    "List prices in US dollars of the region us-east-1, on demand, without taxes, as public guides of March to June 2026 state them,\n"
    "read on 2026-11-24, not from an account. Other regions may cost a fifth more. Traffic, storage, logs and images come on top, by use."
)

CLUSTER_HOUR = 0.10
NODE_HOUR = 0.096
AUTO_MODE_SHARE = 0.12
NODES = 3
"""Of the size m5.large, assumed: Auto Mode starts what pods ask for."""
NAT_HOUR = 0.045
ADDRESS_HOUR = 0.005
ENDPOINT_HOUR = 0.01
LOAD_BALANCER_HOUR = 0.0225
KEY_MONTH = 1.0
KEYS = 3
SECRET_MONTH = 0.40
DATABASE_GIB_MONTH = 0.115
DATABASE_HOUR = {"db.t4g.micro": 0.016, "db.t4g.small": 0.032, "db.t4g.medium": 0.065}


@dataclass(frozen=True)
class Line:
    """One line of the bill; ``dollars`` is None where no price of that size is known here."""

    what: str
    dollars: float | None


def monthly(aws: AwsConfig) -> list[Line]:
    """The bill's standing lines. Traffic, storage, logs and images come on top, by use."""
    network, zones = aws.network, len(aws.network.zones)
    lines: list[Line] = []
    if aws.cluster.existing is None and aws.cluster.compute != "elsewhere":
        nodes = NODES * NODE_HOUR * HOURS
        lines.append(Line("EKS cluster", CLUSTER_HOUR * HOURS))
        if aws.cluster.compute == "auto":
            lines.append(Line(f"{NODES} nodes like m5.large, Auto Mode", nodes * (1 + AUTO_MODE_SHARE)))
        else:
            lines.append(Line(f"{NODES} nodes like m5.large", nodes))
        lines.append(Line("network load balancer", LOAD_BALANCER_HOUR * HOURS))
    if network.existing is None:
        ways = {"none": 0, "one": 1, "zone": zones}[network.nat]
        endpoints = len(INTERFACE_ENDPOINTS) * zones if network.endpoints == "all" else 0
        lines.append(Line("NAT gateways with their addresses", ways * (NAT_HOUR + ADDRESS_HOUR) * HOURS))
        lines.append(Line("interface endpoints", endpoints * ENDPOINT_HOUR * HOURS))
    hour, copies = DATABASE_HOUR.get(aws.database.instance), 2 if aws.database.multi_az else 1
    machine = None if hour is None else copies * (hour * HOURS + aws.database.storage_gib * DATABASE_GIB_MONTH)
    lines.append(Line("PostgreSQL with its disk", machine))
    lines.append(Line("keys and the database's secret", KEYS * KEY_MONTH + SECRET_MONTH))
    return lines
