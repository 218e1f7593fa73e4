"""The first packets after set_up_networks arrive: nothing waits for a worker of the kernel."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from errno import EAGAIN, ENODEV
from pathlib import Path
from time import monotonic

import pytest
import support

from pynetstrat import (
    InterfaceNotFoundError,
    KernelError,
    Link,
    Network,
    NetworkNamespace,
    RtnetlinkSocket,
    Veth,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.wiring import _workers
from pynetstrat.wiring._socket import SessionSocket

SUBNETS = "10.0.0.1/16", "fd00:a::1/64"
CONTAINERS = 30  # for each way; without the waits, one in twenty of these packets was lost
SENT = b"first"
# A neighbour that has not answered is asked again after a minute, not a second.
ASKED_AGAIN = "60000"


def network(number: int, gateway: str, *, bridge: str) -> tuple[Network, str]:
    """A network of a container, and its address."""
    if ":" in gateway:
        version, address, length = "ipv6", f"fd00:a::{number + 2:x}", 64 if bridge else 128
        ip = {"ipv6_address": f"{address}/{length}", "ipv6_gateway": gateway}
    else:
        version, address, length = "ipv4", f"10.0.1.{number + 2}", 16 if bridge else 32
        ip = {"address": f"{address}/{length}", "gateway": gateway}
    sysctls = {f"net.{version}.neigh.IFNAME.retrans_time_ms": ASKED_AGAIN}
    made = Network("veth", name="eth0", bridge=bridge, owner=f"c{number}", sysctls=sysctls, **ip)
    return made, address


def open_udp(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind(("", 0))
    return made


@pytest.mark.skipif(
    tuple(map(int, os.uname().release.split(".")[:2])) < (6, 9),
    reason="a query of a link has its carrier processed since Linux 6.9",
)
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
    neighbours = Path("/proc/sys/net", "ipv6" if ":" in gateway else "ipv4", "neigh")
    for number in range(2 * CONTAINERS):
        inward = number % 2 == 0
        asked, address = network(number, gateway, bridge=bridge)
        with (
            NetworkNamespace.create() as container,
            container.call(open_udp, family) as inside,
            open_udp(family) as outside,
        ):
            (made,) = set_up_networks([asked], netns=container)
            on_host = neighbours / (bridge or made.host_interface_name)
            (on_host / "retrans_time_ms").write_text(ASKED_AGAIN)
            sender, receiver = (outside, inside) if inward else (inside, outside)
            receiver.settimeout(20)
            port = receiver.getsockname()[1]
            sender.sendto(SENT, (address if inward else gateway, port))
            assert receiver.recv(100) == SENT, (number, inward)
            tear_down_networks([made], netns=container)  # the bridge loses its carrier


# ---- the end of the wait ----


class FakeSocket:
    """A socket in a container whose link never gets a local route."""

    def __init__(self, *, running: bool) -> None:
        self.link = Link(2, "eth0", running=running)
        self.dumps = 0

    def get_link(self, _: str) -> Link:
        return self.link

    def dump_local_routes(self, _: int) -> set[str]:
        self.dumps += 1
        return {"fd00::2/128"}


@pytest.mark.parametrize(("longest", "allowed"), [(0.01, 60), (60, 0.01)])
def test_the_wait_ends_after_a_second_or_at_the_deadline(monkeypatch, longest, allowed):
    monkeypatch.setattr(_workers, "_LONGEST", longest)
    sock, begin = FakeSocket(running=True), monotonic()
    _workers.wait_until_receiving(sock, "eth0", ["fd00::3/64"], begin + allowed)
    assert sock.dumps >= 1
    assert monotonic() - begin >= 0.01


@pytest.mark.parametrize(
    ("running", "addresses", "dumps"),
    [
        (False, ["fd00::3/64"], 0),
        (True, ["fd00:0::2/64", "10.0.0.2/24"], 1),
        (True, ["10.0.0.2/24"], 0),
    ],
    ids=["no carrier", "present", "IPv4"],
)
def test_what_there_is_no_reason_to_wait_for(running, addresses, dumps):
    sock = FakeSocket(running=running)
    _workers.wait_until_receiving(sock, "eth0", addresses, monotonic() + 60)
    assert sock.dumps == dumps


@pytest.fixture
def made(net: support.Links) -> Iterator[tuple[NetworkNamespace, Network]]:
    """A container whose link has been made, but not initialized."""
    with NetworkNamespace.create() as container:
        made, _ = network(0, "fd00:a::1", bridge="")
        yield container, Veth().create(made, netns=container)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("get_link", InterfaceNotFoundError(ENODEV, "RTM_GETLINK", "eth0")),
        ("dump_local_routes", KernelError(EAGAIN, "RTM_GETROUTE", "eth0")),
    ],
)
def test_what_root_of_the_container_changes_at_this_time_undoes_nothing(
    made, monkeypatch, query, error
):
    container, network = made

    def fail(*_):
        raise error

    monkeypatch.setattr(SessionSocket, query, fail)
    Veth().initialize(network, netns=container)
    with RtnetlinkSocket(container) as inside:
        assert inside.get_link("eth0").up
