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
