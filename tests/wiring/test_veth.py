"""veth.py: the links, addresses and routes that a veth network gets."""

from __future__ import annotations

import socket

import pytest
from helpers_network import (
    LO,
    add_bridge,
    assert_connects,
    containers,
    dumps,
    ip,
    link_in,
    names,
    process_carriers,
    quieten,
    veth,
    wait_for_workers,
)
from support import wait_until

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    KernelError,
    NetworkNamespace,
    Route,
    RtnetlinkSocket,
    Veth,
    check_networks,
    get_strategy,
    set_up_networks,
    tear_down_networks,
)

# ---- the two ends ----


def test_veth_is_built_in():
    assert type(get_strategy("veth")) is Veth


def test_each_end_has_the_index_of_its_peer_in_the_other_namespace(host, bridge, blue):
    set_up_networks([veth()], netns=blue)
    own, peer = host.get_link("h0"), link_in(blue)
    assert (own.link_index, own.link_nsid) == (peer.index, host.get_nsid(blue))
    assert peer.link_index == own.index
    (seen,) = ip("link", "show", "h0")
    assert seen["ifindex"] == own.index
    (seen,) = ip("link", "show", "eth0", netns=blue)
    assert (seen["ifindex"], seen["link_index"]) == (peer.index, own.index)


def test_an_error_says_which_name_is_taken_in_the_container(host, bridge, blue):
    with RtnetlinkSocket(blue) as sock:
        sock.execute(Batch().add_link("eth0", "ifb"))
    before = dumps(), dumps(blue)
    with pytest.raises(KernelError) as raised:
        set_up_networks([veth()], netns=blue)
    assert f'the name "eth0" is already in use in {blue}' in str(raised.value)
    assert 'network "eth0"' in str(raised.value)
    assert (dumps(), dumps(blue)) == before


def test_an_error_says_which_name_is_taken_on_the_host(host, bridge, blue):
    host.execute(Batch().add_link("h0", "ifb"))
    before = dumps(), dumps(blue)
    with pytest.raises(KernelError) as raised:
        set_up_networks([veth()], netns=blue)
    assert 'the name "h0" is already in use in this namespace' in str(raised.value)
    assert (dumps(), dumps(blue)) == before


def test_mac_mtu_queue_length_and_hairpin_are_as_requested(host, bridge, blue):
    network = veth(mac_address="02:00:00:00:00:09", mtu=1400, txqueuelen=77, hairpin_mode=True)
    set_up_networks([network], netns=blue)
    own, peer = host.get_link("h0"), link_in(blue)
    assert (own.mtu, own.txqueuelen, own.hairpin, own.up) == (1400, 77, True, True)
    assert (peer.mtu, peer.txqueuelen, peer.mac, peer.up) == (1400, 77, "02:00:00:00:00:09", True)
    assert own.mac != peer.mac
    (seen,) = ip("-details", "link", "show", "h0")
    assert (seen["mtu"], seen["txqlen"], seen["master"]) == (1400, 77, "br0")
    assert seen["linkinfo"]["info_slave_data"]["hairpin"] is True
    (seen,) = ip("link", "show", "eth0", netns=blue)
    assert (seen["mtu"], seen["txqlen"], seen["address"]) == (1400, 77, "02:00:00:00:00:09")


def test_each_end_has_one_queue(host, bridge, blue):
    set_up_networks([veth()], netns=blue)
    for name, netns in (("h0", None), ("eth0", blue)):
        (seen,) = ip("-details", "link", "show", name, netns=netns)
        assert (seen["num_tx_queues"], seen["num_rx_queues"]) == (1, 1)


@pytest.mark.parametrize("address", ["10.0.0.5", "fd00::5"])
def test_a_reused_address_is_reached_at_once(host, bridge, blue, address):
    """The host and another container reach it, although both knew its former owner."""
    host.execute(Batch().add_address(bridge, "fd00::1/64"))
    set_up_networks([on_both(9)], netns=blue)
    for number in (1, 2):
        with NetworkNamespace.create() as container:
            made = set_up_networks([on_both(5, owner=f"c{number}")], netns=container)
            process_carriers(None, blue, container)
            assert answers(address)
            assert blue.call(answers, address)
            tear_down_networks(made, netns=container)


def on_both(number, **fields):
    """A network with an IPv4 and an IPv6 address that end in a number."""
    ends = {"address": f"10.0.0.{number}/24", "ipv6_address": f"fd00::{number}/64"}
    return veth(host_interface_name=f"h{number}", **ends, **fields)


def answers(address):
    """Whether a host refuses a datagram, sent many times: what comes before the carrier is lost.

    A neighbour that is not there any more is believed to be for at least 15 s.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0.05)
        sender.connect((address, 9))
        for _ in range(100):
            try:
                sender.send(b"x")
                sender.recv(1)
            except ConnectionRefusedError:
                return True
            except OSError:  # no answer in time, or none to the neighbour discovery
                continue
    return False


@pytest.mark.parametrize(
    ("fields", "mac"),
    [
        ({"address": "10.1.2.255/16"}, "02:00:0a:01:02:ff"),
        ({"address": "10.1.2.255/16", "ipv6_address": "fd00::2/64"}, "02:00:0a:01:02:ff"),
        ({"address": "10.1.2.255/16", "mac_address": "02:aa:00:00:00:01"}, "02:aa:00:00:00:01"),
    ],
)
def test_the_mac_is_derived_from_the_ipv4_address_unless_it_is_requested(
    host, bridge, blue, fields, mac
):
    with RtnetlinkSocket(blue) as container:
        set_up_networks([veth(gateway="", **fields)], netns=blue)
        assert container.get_link("eth0").mac == mac


def test_the_mac_is_derived_from_the_ipv6_address_without_an_ipv4_address(host, bridge):
    macs = []
    for text in ("fd00::2/64", "fd00:0:0::0002/80", "fd00::3/64"):
        with NetworkNamespace.create() as container:
            network = veth(address="", gateway="", ipv6_address=text)
            made = set_up_networks([network], netns=container)
            with RtnetlinkSocket(container) as sock:
                macs.append(sock.get_link("eth0").mac)
            tear_down_networks(made, netns=container)
    assert macs[0] == macs[1] != macs[2]
    assert all(mac.startswith("06:") for mac in macs)


def test_hairpin_mode_is_off_by_default(host, bridge, blue):
    set_up_networks([veth()], netns=blue)
    assert host.get_link("h0").hairpin is False


@pytest.mark.parametrize("end", ["host", "container"])
def test_deleting_either_end_removes_both(host, bridge, blue, end):
    set_up_networks([veth()], netns=blue)
    if end == "host":
        host.execute(Batch().delete_link("h0"))
    else:
        with RtnetlinkSocket(blue) as sock:
            sock.execute(Batch().delete_link("eth0"))
    assert names() == {"lo", "br0"}
    assert names(blue) == {"lo"}


def test_the_link_of_a_taken_name_keeps_its_alias_group_and_flags(host, bridge, blue):
    host.execute(Batch().add_veth("h0", "other", up=True).set_link("h0", alias="pynetstrat:c1"))
    host.execute(Batch().set_group(host.get_link("h0").index, 7))
    wait_for_workers()
    before = host.get_link("h0")
    with pytest.raises(KernelError, match='the name "h0" is already in use'):
        Veth().create(veth(), netns=blue)
    assert host.get_link("h0") == before
    with pytest.raises(KernelError, match='the name "h0" is already in use'):
        set_up_networks([LO, veth(hairpin_mode=True)], netns=blue)
    assert host.get_link("h0") == before


# ---- addresses and routes ----


@pytest.mark.parametrize(
    "fields",
    [
        {"address": "10.0.0.2/24", "gateway": "10.0.0.1"},
        {"address": "", "gateway": "", "ipv6_address": "fd00::2/64", "ipv6_gateway": "fd00::1"},
        {"ipv6_address": "fd00::2/64", "ipv6_gateway": "fd00::1"},
        {"address": "10.0.0.2/24", "gateway": ""},
    ],
    ids=["IPv4", "IPv6", "both", "no gateway"],
)
def test_the_container_has_exactly_the_requested_addresses_and_routes(host, bridge, blue, fields):
    """With an IPv6 address there is a link-local address as well."""
    quieten(blue)
    network = veth(mac_address="02:00:00:00:00:02", **fields)
    set_up_networks([network], netns=blue)
    link_local = "fe80::ff:fe00:2/64" if network.ipv6_address else ""
    wanted = {network.address, network.ipv6_address, link_local} - {""}
    with RtnetlinkSocket(blue) as sock:
        assert {address.address for address in sock.dump_addresses("eth0")} == wanted
        routes = sock.dump_routes()
    gateways = {network.gateway, network.ipv6_gateway} - {""}
    defaults = {route.gateway for route in routes if route.destination in ("0.0.0.0/0", "::/0")}
    assert defaults == gateways
    (seen,) = ip("address", "show", "eth0", netns=blue)
    assert {f"{one['local']}/{one['prefixlen']}" for one in seen["addr_info"]} == wanted


def test_networks_of_one_container_may_have_different_families(host, bridge, blue):
    quieten(blue)
    networks = [
        veth(name="eth0", ipv6_address="fd00::2/64", ipv6_gateway="fd00::1"),
        veth(name="eth1", host_interface_name="h1", address="10.0.1.2/24", gateway=""),
    ]
    made = set_up_networks(networks, netns=blue)
    with RtnetlinkSocket(blue) as sock:
        found = {a.address: a.ifindex for a in sock.dump_addresses()}
        assert found["10.0.0.2/24"] == found["fd00::2/64"] == sock.get_link("eth0").index
        assert found["10.0.1.2/24"] == sock.get_link("eth1").index
    assert check_networks(made, netns=blue) == []


def test_the_link_local_address_can_be_used_at_once(host, bridge, blue):
    """It is the address that the kernel would add, which adds no second one."""
    network = veth(ipv6_address="fd00::2/64", mac_address="02:00:00:00:00:02")
    made = set_up_networks([network], netns=blue)

    def bind() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("fe80::ff:fe00:2", 0, 0, socket.if_nametoindex("eth0")))

    blue.call(bind)  # EADDRNOTAVAIL as long as it is tentative
    with RtnetlinkSocket(blue) as sock:
        found = {address.address: address for address in sock.dump_addresses("eth0")}
    assert set(found) == {"10.0.0.2/24", "fd00::2/64", "fe80::ff:fe00:2/64"}
    assert not found["fe80::ff:fe00:2/64"].tentative
    assert check_networks(made, netns=blue) == []


def test_the_link_local_address_returns_when_the_link_goes_down_and_up(host, bridge, blue):
    set_up_networks([veth(ipv6_address="fd00::2/64", mac_address="02:00:00:00:00:02")], netns=blue)
    with RtnetlinkSocket(blue) as sock:
        sock.link_set_down("eth0")
        assert not any(":" in address.address for address in sock.dump_addresses("eth0"))
        sock.link_set_up("eth0")
        wait_until(lambda: "fe80::ff:fe00:2/64" in {a.address for a in sock.dump_addresses("eth0")})


@pytest.mark.parametrize(
    ("address", "broadcast"),
    [
        ("10.0.0.2/24", "10.0.0.255"),
        ("10.0.0.9/30", "10.0.0.11"),
        ("10.0.0.2/8", "10.255.255.255"),
        ("10.0.0.2/31", ""),
        ("10.0.0.2/32", ""),
    ],
)
def test_an_ipv4_address_has_its_subnets_broadcast_address(host, bridge, blue, address, broadcast):
    set_up_networks([veth(address=address, gateway="")], netns=blue)
    with RtnetlinkSocket(blue) as sock:
        (found,) = [a for a in sock.dump_addresses("eth0") if ":" not in a.address]
    assert (found.address, found.broadcast) == (address, broadcast)


def test_routes_have_their_own_gateway_metric_and_table(host, bridge, blue):
    routes = [
        Route("192.0.2.0/24", gateway="10.0.0.7"),
        Route("198.51.100.0/24", gateway="10.0.0.8", metric=9),
        Route("203.0.113.0/24", gateway="10.0.0.9", table=1000),
        Route("203.0.114.0/24"),
        Route("203.0.115.0/24", gateway="203.0.113.1", onlink=True),
    ]
    made = set_up_networks([veth(routes=routes)], netns=blue)
    seen = {route["dst"]: route for route in ip("-4", "route", "show", "table", "all", netns=blue)}
    assert seen["192.0.2.0/24"]["gateway"] == "10.0.0.7"
    second, third = seen["198.51.100.0/24"], seen["203.0.113.0/24"]
    assert (second["gateway"], second["metric"]) == ("10.0.0.8", 9)
    assert (third["gateway"], third["table"]) == ("10.0.0.9", "1000")
    assert seen["203.0.114.0/24"]["dev"] == "eth0"
    assert seen["203.0.115.0/24"]["gateway"] == "203.0.113.1"
    assert check_networks(made, netns=blue) == []
    assert not any(route.ifindex for route in routes)  # the caller's routes are left alone


def test_ipv6_is_usable_at_once_by_a_tcp_connection(host, bridge, blue):
    host.execute(Batch().add_address(bridge, "fd00::1/64"))
    set_up_networks([veth(ipv6_address="fd00::2/64", ipv6_gateway="fd00::1")], netns=blue)
    assert_connects(blue, None, "fd00::2")


def test_the_gateway_of_a_full_length_prefix_is_on_the_link(host, bridge, blue):
    host.execute(Batch().add_route(Route("10.9.0.2/32", ifindex=bridge)))
    made = set_up_networks([veth(address="10.9.0.2/32")], netns=blue)
    assert_connects(blue, None, "10.9.0.2")
    assert check_networks(made, netns=blue) == []


@pytest.mark.slow
def test_a_gateway_outside_the_subnet_is_an_error_and_nothing_is_left(host, bridge, blue):
    before = dumps(), dumps(blue)
    with pytest.raises(KernelError, match="Nexthop has invalid gateway") as raised:
        set_up_networks([LO, veth(gateway="192.0.2.1")], netns=blue)
    assert 'initialize of network "eth0"' in str(raised.value)
    assert (dumps(), dumps(blue)) == before


# ---- the bridge ----


@pytest.mark.parametrize("mtu", [9000, 1400])
@pytest.mark.parametrize("empty", [True, False], ids=["without a port", "with ports"])
def test_a_pair_without_a_requested_mtu_gets_that_of_the_bridge(host, bridge, blue, mtu, empty):
    if not empty:
        host.execute(Batch().add_link("port0", "ifb").set_link("port0", master=bridge, mtu=mtu))
    host.execute(Batch().set_link("br0", mtu=mtu))
    set_up_networks([veth()], netns=blue)
    assert host.get_link("br0").mtu == host.get_link("h0").mtu == link_in(blue).mtu == mtu


def test_a_bridge_whose_mtu_is_too_small_for_ipv6_is_refused(host, bridge, blue):
    host.execute(Batch().set_link("br0", mtu=1279))
    before = dumps(), dumps(blue)
    with pytest.raises(InvalidNetworkError, match="its MTU is 1279, and IPv6 needs 1280"):
        set_up_networks([veth(ipv6_address="fd00::2/64")], netns=blue)
    assert (dumps(), dumps(blue)) == before
    set_up_networks([veth()], netns=blue)


def test_a_missing_bridge_is_an_error_and_nothing_is_left(host, blue):
    before = dumps(), dumps(blue)
    with pytest.raises(InvalidNetworkError, match='bridge "br0": must be an existing bridge'):
        set_up_networks([LO, veth()], netns=blue)
    assert (dumps(), dumps(blue)) == before


def test_a_link_that_is_not_a_bridge_is_an_error_that_names_its_kind(host, blue):
    host.execute(Batch().add_link("br0", "ifb"))
    before = dumps(), dumps(blue)
    with pytest.raises(InvalidNetworkError, match="must be a bridge, not a link of kind ifb"):
        set_up_networks([LO, veth()], netns=blue)
    with pytest.raises(InvalidNetworkError, match="must be a bridge, not a device"):
        set_up_networks([veth(bridge="lo")], netns=blue)
    assert (dumps(), dumps(blue)) == before


@pytest.mark.parametrize("mac", [None, "02:00:00:00:00:77"], ids=["not set", "set"])
def test_the_bridge_keeps_its_mac_through_set_up_and_tear_down(host, mac):
    add_bridge(mac=mac)
    macs = [host.get_link("br0").mac]
    with containers(3) as spaces:
        made = []
        for number, space in enumerate(spaces):
            # Lower than any address that the bridge may have, so the bridge would take it.
            network = veth(
                host_interface_name=f"h{number}",
                address=f"10.0.0.{number + 2}/24",
                mac_address=f"02:00:00:00:00:0{number}",
            )
            made.append(set_up_networks([network], netns=space))
            macs.append(host.get_link("br0").mac)
        for networks, space in zip(made, spaces, strict=True):
            tear_down_networks(networks, netns=space)
            macs.append(host.get_link("br0").mac)
    assert len(set(macs)) == 1


def test_a_bridge_that_has_lost_its_mac_with_its_last_port_gets_one(host, bridge, blue):
    host.execute(Batch().delete_link("br0").add_link("port", "ifb"))
    index = add_bridge()
    host.execute(Batch().set_link("port", master=index))
    host.execute(Batch().delete_link("port"))
    assert host.get_link("br0").mac == "00:00:00:00:00:00"
    made = set_up_networks([LO, veth(gateway="10.0.0.1")], netns=blue)
    assert check_networks(made, netns=blue) == []
    pinned = host.get_link("br0").mac
    assert_connects(blue, None, "10.0.0.2")
    tear_down_networks(made, netns=blue)
    assert host.get_link("br0").mac == pinned != "00:00:00:00:00:00"


def test_the_mac_of_a_bridge_is_set_only_once(host, bridge):
    with containers(2) as (blue, red):
        set_up_networks([veth()], netns=blue)
        pinned = host.get_link("br0")
        assert int(pinned.bridge_id[4:], 16) != 0
        second = veth(host_interface_name="h1", address="10.0.0.3/24", hairpin_mode=True)
        made = set_up_networks([second], netns=red)
        assert host.get_link("br0").bridge_id == pinned.bridge_id
        assert check_networks(made, netns=red) == []
