"""Asks the cluster's DNS, over the network and in nothing but the standard library: an answer proves kube-proxy and CoreDNS at once."""

from __future__ import annotations

import socket
import struct

from toolchain.cluster import DNS_SERVICE

ADDRESS, INTERNET = 1, 1
HEADER = struct.Struct(">HHHHHH")


def address_of(name: str, *, server: str = DNS_SERVICE, seconds: float = 0.5) -> str | None:
    """The IPv4 address of a full name; None where it is not known or nothing answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.settimeout(seconds)
        try:
            asked.connect((server, 53))
            asked.send(question(name))
            return answer(asked.recv(4096))
        except OSError:
            return None


def question(name: str) -> bytes:
    """The message that asks for a name's address (RFC 1035, 4.1)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.strip(".").split("."))
    return HEADER.pack(1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", ADDRESS, INTERNET)


def answer(message: bytes) -> str | None:
    """The address in an answer whose last record is an address, as CoreDNS gives it for a Service."""
    if len(message) < HEADER.size:
        return None
    _, flags, _, answers, _, _ = HEADER.unpack_from(message)
    return socket.inet_ntoa(message[-4:]) if answers and not flags & 0x000F else None
