"""What makes the gateway's Service an internal network load balancer with a certificate of its own: values of Traefik's chart."""

from __future__ import annotations

from typing import Any

from infra.aws import names
from infra.aws_config import AwsConfig

PREFIX = "service.beta.kubernetes.io/aws-load-balancer-"
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


def gateway_service(aws: AwsConfig) -> dict[str, Any]:
    """The Service's annotations and class. The load balancer ends the users' TLS, and speaks TLS to the gateway."""
    shared = {
        "ssl-cert": aws.gateway.certificate,
        "ssl-ports": "443",
        "ssl-negotiation-policy": TLS_POLICY,
        "backend-protocol": "ssl",
    }
    # Auto Mode has a controller of its own; node groups have the one that comes with Kubernetes.
    if aws.cluster.compute == "node-groups":
        tags = ",".join(f"{key}={value}" for key, value in names.tags(aws).items())
        own = {"type": "nlb", "internal": "true", "additional-resource-tags": tags}
        return {"annotations": {PREFIX + key: value for key, value in {**shared, **own}.items()}}
    # Auto Mode's role may not give tags of others.
    own = {"scheme": "internal", "nlb-target-type": "ip"}
    annotations = {PREFIX + key: value for key, value in {**shared, **own}.items()}
    return {"annotations": annotations, "spec": {"loadBalancerClass": "eks.amazonaws.com/nlb"}}
