"""The first packets after set_up_networks arrive: nothing waits for a worker of the kernel."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from errno import EAGAIN
from functools import partial
from pathlib import Path

import pytest
import support

from pynetstrat import (
    KernelError,
    Network,
    NetworkNamespace,
    RtnetlinkSocket,
    Veth,
    set_up_networks,
)
from pynetstrat.wiring import _workers
from pynetstrat.wiring._socket import SessionSocket

SUBNETS = "10.0.0.1/16", "fd00:a::1/64"
CONTAINERS = 30  # for each way; without the waits, one in twenty of these packets was lost
SENT = b"first"

pytestmark = pytest.mark.skipif(
    tuple(map(int, os.uname().release.split(".")[:2])) < (6, 9),
    reason="a query of a link has its carrier processed since Linux 6.9",
)


def network(number: int, gateway: str, *, bridge: str) -> tuple[Network, str]:
    """A network of a container, and its address."""
    if ":" in gateway:
        address, length = f"fd00:a::{number + 2:x}", 64 if bridge else 128
        ip = {"ipv6_address": f"{address}/{length}", "ipv6_gateway": gateway}
    else:
        address, length = f"10.0.1.{number + 2}", 16 if bridge else 32
        ip = {"address": f"{address}/{length}", "gateway": gateway}
    return Network("veth", name="eth0", bridge=bridge, owner=f"c{number}", **ip), address


def open_udp(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind(("", 0))
    return made


def ask_once(family: int, name: str) -> None:
    """Has the kernel ask for an unanswered neighbour again only after a minute, not a second."""
    version = "ipv4" if family == socket.AF_INET else "ipv6"
    Path(f"/proc/sys/net/{version}/neigh/{name}/retrans_time_ms").write_text("60000")


@pytest.mark.parametrize("bridge", ["br0", ""], ids=["bridge", "point to point"])
@pytest.mark.parametrize("subnet", SUBNETS, ids=["IPv4", "IPv6"])
@pytest.mark.slow
def test_the_first_datagram_to_a_container_and_the_first_from_one_arrive(
    net: support.Links, subnet: str, bridge: str
) -> None:
    gateway = subnet.partition("/")[0]
    if bridge:
        with RtnetlinkSocket() as host:
            host.ensure_bridge("br0", addresses=[subnet])
    family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
    lost = []
    for number in range(2 * CONTAINERS):
        inward = number % 2 == 0
        made, address = network(number, gateway, bridge=bridge)
        with (
            NetworkNamespace.create() as container,
            container.call(open_udp, family) as inside,
            open_udp(family) as outside,
        ):
            (made,) = set_up_networks([made], netns=container)
            ask_once(family, bridge or made.host_interface_name)
            container.call(ask_once, family, "eth0")
            sender, receiver = (outside, inside) if inward else (inside, outside)
            receiver.settimeout(10)
            port = receiver.getsockname()[1]
            sender.sendto(SENT, (address if inward else gateway, port))
            try:
                assert receiver.recv(100) == SENT
            except TimeoutError:
                lost.append((number, "to" if inward else "from"))
    assert not lost


@pytest.fixture
def made(net: support.Links) -> Iterator[tuple[NetworkNamespace, Network]]:
    """A container whose link has been made, but not initialized."""
    with NetworkNamespace.create() as container:
        made, _ = network(0, "fd00:a::1", bridge="")
        yield container, Veth().create(made, netns=container)


def test_a_link_without_a_carrier_is_not_waited_for(made, monkeypatch):
    container, network = made
    Veth().detach(network)  # the host end is down
    monkeypatch.setattr(SessionSocket, "dump_local_routes", pytest.fail)
    Veth().initialize(network, netns=container)
    with RtnetlinkSocket(container) as inside:
        assert inside.get_link("eth0").up


@pytest.mark.parametrize(("longest", "milliseconds"), [(0.01, 60_000), (60, 10), (60, 0)])
def test_the_wait_ends_after_a_second_or_at_the_deadline(made, monkeypatch, longest, milliseconds):
    container, network = made
    dumps = []
    monkeypatch.setattr(_workers, "_LONGEST", longest)
    monkeypatch.setattr(SessionSocket, "dump_local_routes", lambda *_: dumps.append(1) or set())
    set_up = partial(set_up_networks, [network], netns=container, timeout=milliseconds / 1000)
    Veth().destroy(network, netns=container)
    assert [one.name for one in set_up()] == ["eth0"]
    assert dumps


@pytest.mark.parametrize("query", ["get_link", "dump_local_routes"])
def test_a_container_that_cannot_be_asked_is_set_up_all_the_same(made, monkeypatch, query):
    container, network = made

    def fail(*_):
        raise KernelError(EAGAIN, "RTM_GETROUTE", "eth0")

    monkeypatch.setattr(SessionSocket, query, fail)
    Veth().initialize(network, netns=container)
    with RtnetlinkSocket(container) as inside:
        assert inside.get_link("eth0").up
