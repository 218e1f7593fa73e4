"""veth.py: what check_networks reports."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers_network import (
    LO,
    containers,
    ip,
    link_in,
    veth,
)
from support import wait_until

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    Route,
    RtnetlinkSocket,
    Veth,
    check_networks,
    set_up_networks,
)


def test_check_reports_nothing_after_set_up(host, bridge, blue):
    network = veth(
        mac_address="02:00:00:00:00:0A",
        mtu=1400,
        txqueuelen=7,
        hairpin_mode=True,
        ipv6_address="FD00::2/64",
        ipv6_gateway="fd00::1",
        routes=[Route("192.0.2.0/24", gateway="10.0.0.9", metric=5)],
    )
    made = set_up_networks([LO, network], netns=blue)
    assert check_networks(made, netns=blue) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "command", "expected"),
    [
        ("host", "link delete h0", ["h0 (host): missing", "eth0: missing"]),
        ("host", "link set h0 down", ["h0 (host): down"]),
        ("host", "link set h0 mtu 1300", ["h0 (host): MTU 1300, not 1400"]),
        ("host", "link set h0 nomaster", ["h0 (host): not a port of the bridge br0"]),
        ("host", "link set h0 type bridge_slave hairpin off", ["h0 (host): hairpin mode off"]),
        (
            "host",
            "link set h0 alias mine",
            ["h0 (host): alias 'mine', not 'pynetstrat:c1'"],
        ),
        ("container", "link set eth0 mtu 1300", ["eth0: MTU 1300, not 1400"]),
        ("container", "link set eth0 txqueuelen 9", ["eth0: queue length 9, not 7"]),
        (
            "container",
            "link set eth0 address 02:00:00:00:00:0b",
            ["eth0: MAC 02:00:00:00:00:0b, not 02:00:00:00:00:0a"],
        ),
        (
            "container",
            "address del fd00::2/64 dev eth0",
            ["eth0: the address fd00::2/64 is missing"],
        ),
        (
            "container",
            "route replace default via 10.0.0.77",
            [
                "eth0: the route to 0.0.0.0/0 via 10.0.0.1, metric 0, is missing; "
                "found instead: via 10.0.0.77, metric 0"
            ],
        ),
        (
            "container",
            "route del 192.0.2.0/24",
            ["eth0: the route to 192.0.2.0/24 via 10.0.0.9, metric 5, is missing"],
        ),
        ("container", "link set lo down", ["lo: down"]),
    ],
)
def test_check_reports_each_difference(host, bridge, blue, where, command, expected):
    network = veth(
        mac_address="02:00:00:00:00:0a",
        mtu=1400,
        txqueuelen=7,
        hairpin_mode=True,
        ipv6_address="fd00::2/64",
        routes=[Route("192.0.2.0/24", gateway="10.0.0.9", metric=5)],
    )
    made = set_up_networks([LO, network], netns=blue)
    ip(*command.split(), netns=blue if where == "container" else None)
    assert check_networks(made, netns=blue) == expected


def test_check_reports_another_metric(host, bridge, blue):
    route = Route("192.0.2.0/24", gateway="10.0.0.9", metric=5)
    made = set_up_networks([veth(routes=[route])], netns=blue)
    ip("route", "del", "192.0.2.0/24", netns=blue)
    ip("route", "add", "192.0.2.0/24", "via", "10.0.0.9", "metric", "6", netns=blue)
    assert check_networks(made, netns=blue) == [
        "eth0: the route to 192.0.2.0/24 via 10.0.0.9, metric 5, is missing; "
        "found instead: via 10.0.0.9, metric 6"
    ]


def test_check_reports_that_the_container_is_down(host, bridge, blue):
    made = set_up_networks([veth(gateway="")], netns=blue)
    ip("link", "set", "eth0", "down", netns=blue)
    assert "eth0: down" in check_networks(made, netns=blue)


def test_check_reports_a_duplicate_address(host, bridge):
    """Duplicate address detection runs for an address without IFA_F_NODAD."""
    with containers(2) as (blue, red):
        network = veth(address="", gateway="", ipv6_address="fd00::2/64")
        set_up_networks([network], netns=blue)
        twin = veth(address="", gateway="", ipv6_address="fd00::2/64", host_interface_name="h1")
        made = set_up_networks([twin], netns=red)
        index = link_in(red).index
        red.call(_probe_often)
        host.execute(Batch().set_link("h1", master=0))  # no probe is answered
        with RtnetlinkSocket(red) as sock:
            sock.execute(
                Batch()
                .delete_address(index, "fd00::2/64")
                .add_address(index, "fd00::2/64", nodad=False)
            )
        assert "eth0: the address fd00::2/64 is tentative" in check_networks(made, netns=red)
        host.execute(Batch().set_link("h1", master=bridge))
        duplicate = "eth0: the address fd00::2/64 is a duplicate: another host has it"
        wait_until(lambda: duplicate in check_networks(made, netns=red))


def _probe_often() -> None:
    """Has the kernel probe an address of eth0 every 50 ms for a minute, in place of once."""
    Path("/proc/sys/net/ipv6/conf/eth0/dad_transmits").write_text("1200")
    Path("/proc/sys/net/ipv6/neigh/eth0/retrans_time_ms").write_text("50")


def test_check_needs_the_namespace(host):
    with pytest.raises(
        InvalidNetworkError, match=r"must be given \(or nspid\): the strategy veth needs"
    ):
        Veth().check(veth())
