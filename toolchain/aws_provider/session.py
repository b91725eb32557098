"""One configured provider of a run of the engine: its region and account, its tags, and the endpoint that its calls go to, if any."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore import xform_name

from toolchain.providers.attach import ENDPOINT
from toolchain.providers.service import Log, Refused

PREFIX = "aws:config:"
ACCOUNT = "123456789012"
"""The account of AWS's own documentation, for previews that ask no account."""
REGION = "us-east-1"
OFFLINE = "nothing is asked of AWS: account and zones are its documentation's, unless config names them; the rest is as the program says"


class Session:
    """State of one connection from the engine. Without an endpoint it makes previews only."""

    def __init__(self, log: Log, *, is_offline: bool = False) -> None:
        self.log = log
        self.cancelled = threading.Event()
        self.environment: Mapping[str, str] = dict(os.environ)
        self.is_offline = is_offline
        self.settings: dict[str, Any] = {}
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()
        self._account: str | None = None

    def configure(self, variables: Mapping[str, str], urn: str) -> None:
        """Take the settings. Raises `Refused` where the endpoint's account is not an allowed one."""
        self.settings = {key.removeprefix(PREFIX): _read(value) for key, value in variables.items()}
        if not self.is_live:
            self.log.note(urn, OFFLINE)
            return
        host = urlsplit(self.endpoint).hostname or ""
        if ".amazonaws." in f"{host}." or host.endswith(".aws"):
            raise Refused(
                f"{ENDPOINT}={self.endpoint} is AWS itself: this stand-in is for simulators such as moto. Let this machine fetch the"
                " official plugin (pulumi plugin install resource aws)"
            )
        allowed = self.settings.get("allowedAccountIds") or []
        if allowed and self.account not in allowed:
            raise Refused(f"the account of these credentials is {self.account}, which is not in allowed_account_ids: {', '.join(allowed)}")

    @property
    def endpoint(self) -> str:
        """Where calls go; "" for nowhere."""
        return "" if self.is_offline else self.environment.get(ENDPOINT, "")

    @property
    def is_live(self) -> bool:
        """Whether there is something that answers calls."""
        return bool(self.endpoint)

    @property
    def region(self) -> str:
        """The provider's region, else the environment's."""
        names = ("AWS_REGION", "AWS_DEFAULT_REGION")
        return str(self.settings.get("region") or next((self.environment[name] for name in names if self.environment.get(name)), REGION))

    @property
    def account(self) -> str:
        """The account: as the endpoint says it, else the first that the provider allows, else the documentation's."""
        if self._account is None:
            allowed = self.settings.get("allowedAccountIds") or [ACCOUNT]
            self._account = str(self.ask("sts", "GetCallerIdentity", {})["Account"]) if self.is_live else str(allowed[0])
        return self._account

    def place(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        """Where a resource lies, as facts for its calls."""
        region = inputs.get("region")
        return {"region": region if isinstance(region, str) else self.region, "account": self.account, "partition": "aws"}

    @property
    def default_tags(self) -> dict[str, str]:
        """Tags that the provider puts on everything."""
        return dict((self.settings.get("defaultTags") or {}).get("tags") or {})

    def ask(self, service: str, operation: str, params: Mapping[str, Any], region: str | None = None) -> dict[str, Any]:
        """One call; its answer. Raises botocore's errors, and `Refused` where there is nothing to call."""
        if not self.is_live:
            raise Refused(
                f"this stand-in for the AWS provider makes previews only. For an update let this machine fetch the official plugin (pulumi"
                f" plugin install resource aws), or set {ENDPOINT} to a simulator such as moto"
            )
        answer = getattr(self._client(service, region or self.region), xform_name(operation))(**params)
        return {key: value for key, value in answer.items() if key != "ResponseMetadata"}

    def _client(self, service: str, region: str) -> Any:
        import boto3
        from botocore.config import Config

        with self._lock:
            if (service, region) not in self._clients:
                is_here = (urlsplit(self.endpoint).hostname or "") in ("127.0.0.1", "localhost", "::1")
                is_given = any(self.environment.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"))
                # A simulator on this machine takes anybody.
                keys = {"aws_access_key_id": "simulator", "aws_secret_access_key": "simulator"} if is_here and not is_given else {}
                settings = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 4}, max_pool_connections=32)
                self._clients[service, region] = boto3.session.Session().client(
                    service, region_name=region, endpoint_url=self.endpoint, config=settings, **keys
                )
            return self._clients[service, region]


def _read(value: str) -> Any:
    """A setting: the engine sends all that is no text as JSON."""
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return found if isinstance(found, (dict, list, bool)) else value
