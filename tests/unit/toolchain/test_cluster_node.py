"""What the development cluster decides from plain values: whose network is in the way, what stays visible, what an answer of DNS says."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from toolchain import SetupError
from toolchain.cluster import DNS_SERVICE, LINK, SERVICES, Place, init, names, node


@pytest.mark.parametrize(("route", "found"), [
    ({"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"}, None),
    ({"dst": "10.0.0.0/8", "dev": "vpn0"}, None),
    ({"dst": "10.98.0.0/24", "dev": "eth0"}, None),
    ({"dst": "10.244.0.0/16", "dev": "cni0"}, "10.244.0.0/16 by cni0"),
    ({"dst": "10.244.3.7", "dev": "veth1"}, "10.244.3.7/32 by veth1"),
    ({"dst": "10.96.0.0/16", "type": "blackhole"}, "10.96.0.0/16 by blackhole"),
    ({"dst": "10.99.0.0/24", "dev": "eth1"}, "10.99.0.0/24 by eth1"),
    ({"dst": "10.244.0.0/16", "dev": LINK}, None),
])  # fmt: skip
def test_a_route_that_would_be_taken_away_is_found(route: dict[str, Any], found: str | None) -> None:
    assert node.clash([route]) == found


def test_the_first_process_of_a_namespace_is_known() -> None:
    assert node.is_first("Name:\tpython\nNSpid:\t4711\t1\nThreads:\t1\n")
    assert not node.is_first("Name:\tetcd\nNSpid:\t4712\t9\n")
    assert not node.is_first("Name:\tinit\nNSpid:\t1\n"), "the machine's own first process"
    assert not node.is_first("Name:\tpython\n")


def test_what_lies_in_a_hidden_place_is_shown_once() -> None:
    checkout = Path("/tmp/work/checkout")
    assert init.hidden([checkout, checkout / ".venv", checkout, Path("/usr"), Path("/var/lib/jenkins/.cache")]) == [
        checkout,
        Path("/var/lib/jenkins/.cache"),
    ]
    assert init.hidden([Path("/tmpfiles"), Path("/variant")]) == []


def test_every_checkout_has_a_cgroup_of_its_own() -> None:
    assert Place(Path("/a/.cluster")).cgroup == Place(Path("/a/.cluster")).cgroup != Place(Path("/b/.cluster")).cgroup


def test_nothing_runs_where_nothing_was_started(tmp_path: Path) -> None:
    assert node.running(Place(tmp_path / ".cluster")) is None


def test_a_condition_that_does_not_come_ends_with_the_logs_last_lines_and_an_act(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_text("\n".join(f"line {number}" for number in range(20)))
    with pytest.raises(SetupError) as raised:
        node.wait_until(lambda: False, seconds=0, what="the part", log=log)
    words = str(raised.value)
    assert "the part: not there within 0 s" in words and "line 19" in words and "line 7\n" not in words
    assert "Do: run make cluster again" in words and "make cluster-down" in words


def test_the_question_for_a_name_is_what_rfc_1035_says() -> None:
    asked = names.question("kubernetes.default")
    assert asked[12:] == b"\x0akubernetes\x07default\x00\x00\x01\x00\x01"
    assert struct.unpack(">HHHHHH", asked[:12]) == (1, 0x0100, 1, 0, 0, 0)


@pytest.mark.parametrize(("flags", "answers", "known"), [(0x8580, 1, "10.96.0.1"), (0x8583, 0, None), (0x8582, 1, None), (0x8580, 0, None)])
def test_an_answer_is_an_address_or_none(flags: int, answers: int, known: str | None) -> None:
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x60\x00\x01"
    assert names.answer(struct.pack(">HHHHHH", 1, flags, 1, answers, 0, 0) + names.question("a.b")[12:] + record) == known


def test_half_an_answer_is_none() -> None:
    assert names.answer(b"\x00\x01") is None


def test_the_address_of_dns_is_one_of_the_services() -> None:
    assert DNS_SERVICE.rsplit(".", 2)[0] == SERVICES.rsplit(".", 2)[0]


def test_how_to_end_the_cluster_of_another_checkout_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "_nodes", lambda: iter([(4321, tmp_path / ".cluster" / "settings" / "supervisor.conf")]))
    with pytest.raises(SetupError, match=r"that folder is gone; end it: kill 4321"):
        node._refuse_second()
    (tmp_path / "Makefile").touch()
    with pytest.raises(SetupError, match=f"make -C {tmp_path} cluster-down"):
        node._refuse_second()
