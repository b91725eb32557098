"""Functions of the AWS provider that need no account; with a simulator they are asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from toolchain.aws_provider.session import Session
from toolchain.providers.service import Refused

ZONES = "abc"


def _identity(session: Session, _args: Mapping[str, Any]) -> dict[str, Any]:
    account = session.account
    arn = f"arn:aws:iam::{account}:root"
    if session.is_live:
        found = session.ask("sts", "GetCallerIdentity", {})
        return {"accountId": found["Account"], "arn": found["Arn"], "id": found["Account"], "userId": found["UserId"]}
    return {"accountId": account, "arn": arn, "id": account, "userId": account}


def _region(session: Session, args: Mapping[str, Any]) -> dict[str, Any]:
    region = str(args.get("region") or args.get("name") or session.region)
    return {"id": region, "name": region, "region": region, "description": region, "endpoint": f"ec2.{region}.amazonaws.com"}


def _partition(session: Session, _args: Mapping[str, Any]) -> dict[str, Any]:
    del session
    return {"id": "aws", "partition": "aws", "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws"}


def _zones(session: Session, args: Mapping[str, Any]) -> dict[str, Any]:
    region = str(args.get("region") or session.region)
    names = [f"{region}{letter}" for letter in ZONES]
    ids = [f"{region}-az{number}" for number in range(1, len(names) + 1)]
    if session.is_live:
        found = session.ask("ec2", "DescribeAvailabilityZones", {}, region)["AvailabilityZones"]
        names, ids = [each["ZoneName"] for each in found], [each["ZoneId"] for each in found]
    return {"id": region, "region": region, "names": names, "zoneIds": ids, "groupNames": [region], "state": args.get("state")}


FUNCTIONS: dict[str, Callable[[Session, Mapping[str, Any]], dict[str, Any]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": _identity,
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
}


def call(session: Session, token: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a function. Raises `Refused` for one that only an account could answer."""
    if token not in FUNCTIONS:
        known = ", ".join(sorted(name.rsplit(":", 1)[1] for name in FUNCTIONS))
        raise Refused(f"{token} asks an account, which this stand-in for the AWS provider does not; it answers {known}")
    return FUNCTIONS[token](session, args)
