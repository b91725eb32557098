"""A simulator of AWS of the test's own (moto's server) on the loopback interface, with clients to look into it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

REGION = "eu-central-1"
ACCOUNT = "123456789012"
SERVER = """
import sys
from moto.s3.models import FakeBucket
from moto.server import ThreadedMotoServer
# S3 turns logging on whether or not the other bucket's policy lets it deliver; moto knows only some ways to write such a policy.
FakeBucket._log_permissions_enabled_policy = staticmethod(lambda **_: True)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Simulator:
    """One server."""

    endpoint: str

    def client(self, service: str) -> Any:
        """A client that asks it."""
        import boto3

        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.session.Session().client(service, region_name=REGION, endpoint_url=self.endpoint, **keys)

    def contents(self) -> dict[str, list[str]]:
        """What there is that nobody brought but a stack: names by kind, of every kind that an environment is made of."""
        client = self.client
        ec2, iam, rds, logs, kms = client("ec2"), client("iam"), client("rds"), client("logs"), client("kms")
        account = client("sts").get_caller_identity()["Account"]
        states = {key["KeyId"]: kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]}
        found = {
            "buckets": [each["Name"] for each in client("s3").list_buckets()["Buckets"]],
            "databases": [each["DBInstanceIdentifier"] for each in rds.describe_db_instances()["DBInstances"]],
            "subnet groups": [each["DBSubnetGroupName"] for each in rds.describe_db_subnet_groups()["DBSubnetGroups"]],
            "clusters": client("eks").list_clusters()["clusters"],
            "repositories": [each["repositoryName"] for each in client("ecr").describe_repositories()["repositories"]],
            "roles": [each["RoleName"] for each in iam.list_roles()["Roles"]],
            "policies": [each["PolicyName"] for each in iam.list_policies(Scope="Local")["Policies"]],
            "identity providers": [each["Arn"] for each in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]],
            # A key ends only after its waiting time; those that AWS makes for itself never do.
            "keys": [name for name, key in states.items() if key["KeyState"] == "Enabled" and key["KeyManager"] == "CUSTOMER"],
            "log groups": [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]],
            "secrets": [each["Name"] for each in client("secretsmanager").list_secrets()["SecretList"]],
            "budgets": [each["BudgetName"] for each in client("budgets").describe_budgets(AccountId=account).get("Budgets", [])],
            "networks": [each["VpcId"] for each in ec2.describe_vpcs()["Vpcs"] if not each["IsDefault"]],
            "addresses": [each["AllocationId"] for each in ec2.describe_addresses()["Addresses"]],
            "flow logs": [each["FlowLogId"] for each in ec2.describe_flow_logs()["FlowLogs"]],
            # AWS too shows these for a while after their end.
            "endpoints": [each["VpcEndpointId"] for each in ec2.describe_vpc_endpoints()["VpcEndpoints"] if each["State"] != "deleted"],
            "gateways": [each["NatGatewayId"] for each in ec2.describe_nat_gateways()["NatGateways"] if each["State"] != "deleted"],
        }
        return {kind: names for kind, names in found.items() if names}

    def reset(self) -> None:
        """Forget everything."""
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/moto-api/reset", method="POST"), timeout=30).close()


@contextlib.contextmanager
def simulator(account: str = ACCOUNT) -> Iterator[Simulator]:
    """A server for the length of a block; it ends with this process too."""
    # AWS's own policies are there as in every account; its thousands of machine images are not needed.
    settings = {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "MOTO_EC2_LOAD_DEFAULT_AMIS": "false", "MOTO_ACCOUNT_ID": account}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env={**os.environ, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        port = process.stdout.readline().strip() if process.stdout else ""
        assert port.isdigit(), "moto's server did not start"
        yield Simulator(f"http://127.0.0.1:{port}")
    finally:
        process.communicate()
