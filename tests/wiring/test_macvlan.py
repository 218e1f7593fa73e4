"""macvlan.py: a macvlan in the container, on a link of the host."""

from __future__ import annotations

import dataclasses
from typing import Any

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
    quieten,
)

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    KernelError,
    Macvlan,
    Network,
    NetworkNamespace,
    Route,
    RtnetlinkSocket,
    TeardownError,
    check_networks,
    get_strategy,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.wiring import _links

FIRST_INDEX = 1 << 29


@pytest.fixture
def parent(host: RtnetlinkSocket) -> RtnetlinkSocket:
    """The socket of a host with the link p0, whose peer is a port of the bridge br0."""
    add_bridge()
    host.execute(Batch().add_veth("p0", "p1", master=None, up=True))
    host.execute(Batch().set_link("p1", master=host.get_link("br0").index, up=True))
    return host


def macvlan(**fields: Any) -> Network:
    """A macvlan on the link p0."""
    given = {
        "name": "eth0",
        "host_interface_name": "p0",
        "address": "10.0.0.2/24",
        "gateway": "10.0.0.1",
        "owner": "c1",
    }
    return Network("macvlan", **{**given, **fields})


# ---- set up ----


def test_macvlan_is_built_in():
    assert type(get_strategy("macvlan")) is Macvlan


def test_a_container_is_reached_by_its_addresses(parent, quiet_blue):
    parent.execute(Batch().add_address(parent.get_link("br0").index, "fd00::1/64"))
    network = macvlan(
        ipv6_address="fd00::2/64",
        ipv6_gateway="fd00::1",
        addresses=["10.0.0.3/24"],
        routes=[Route("192.0.2.0/24", gateway="10.0.0.7")],
        sysctls={"net.ipv4.conf.IFNAME.tag": "7"},
        txqueuelen=77,
    )
    made = set_up_networks([LO, network], netns=quiet_blue)
    assert made[1] == network
    for address in ("10.0.0.2", "10.0.0.3", "fd00::2"):
        assert_connects(quiet_blue, None, address)
    link = link_in(quiet_blue)
    assert (link.kind, link.up, link.mac) == ("macvlan", True, "02:00:0a:00:00:02")
    assert (link.alias, link.txqueuelen) == ("pynetstrat:c1", 77)
    assert link.link_index == parent.get_link("p0").index
    assert link.index >= FIRST_INDEX
    (seen,) = ip("-details", "link", "show", "eth0", netns=quiet_blue)
    assert seen["linkinfo"]["info_data"]["mode"] == "bridge"
    assert check_networks(made, netns=quiet_blue) == []


@pytest.mark.parametrize("mode", ["private", "vepa", "bridge", "passthru"])
def test_a_mode_can_be_requested(parent, blue, mode):
    before = parent.get_link("p0").mac
    made = set_up_networks([macvlan(options={"mode": mode})], netns=blue)
    (seen,) = ip("-details", "link", "show", "eth0", netns=blue)
    assert seen["linkinfo"]["info_data"]["mode"] == mode
    assert parent.get_link("p0").mac == before
    assert (link_in(blue).mac == before) == (mode == "passthru")
    assert check_networks(made, netns=blue) == []


def test_a_mac_address_and_an_mtu_can_be_requested(parent, blue):
    network = macvlan(mac_address="02:00:00:00:00:09", mtu=1400)
    made = set_up_networks([network], netns=blue)
    assert (link_in(blue).mac, link_in(blue).mtu) == ("02:00:00:00:00:09", 1400)
    assert check_networks(made, netns=blue) == []


def test_a_macvlan_on_a_macvlan_is_on_the_parent_of_that(parent, blue):
    parent.execute(Batch().add_macvlan("m0", parent.get_link("p0").index).set_link("m0", up=True))
    made = set_up_networks([macvlan(host_interface_name="m0")], netns=blue)
    assert link_in(blue).link_index == parent.get_link("p0").index
    assert check_networks(made, netns=blue) == []


def test_two_containers_on_one_parent_reach_each_other(parent):
    with containers(2) as (first, second):
        set_up_networks([macvlan()], netns=first)
        set_up_networks([macvlan(address="10.0.0.3/24", owner="c2")], netns=second)
        assert_connects(first, second, "10.0.0.2")


def test_a_taken_mac_address_is_an_error_with_a_remedy(parent):
    with containers(2) as (first, second):
        set_up_networks([macvlan()], netns=first)
        with pytest.raises(KernelError, match="has this MAC address; request another"):
            set_up_networks([macvlan(owner="c2")], netns=second)
        assert names(second) == {"lo"}


# ---- refused ----


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"host_interface_name": "nowhere"}, "host_interface_name"),
        ({"host_interface_name": "lo"}, "host_interface_name"),
        ({"host_interface_name": ""}, "host_interface_name"),
        ({"name": ""}, "name"),
        ({"mtu": 1501}, "mtu"),
        ({"options": {"mode": "source"}}, "options"),
        ({"options": {"mode": 4}}, "options"),
        ({"options": {"mode": ["bridge"]}}, "options"),
        ({"options": {"trust_container": True}}, "options"),
        ({"options": {"mode": "passthru"}, "mac_address": "02:00:00:00:00:09"}, "mac_address"),
        ({"owner": "x" * 245}, "owner"),
        ({"isolated": True}, "isolated"),
        ({"rate_in": 1 << 30}, "rate_in"),
    ],
)
def test_an_invalid_field_is_refused_and_nothing_is_left(parent, blue, fields, field):
    before = dumps(), dumps(blue)
    with pytest.raises(InvalidNetworkError) as raised:
        set_up_networks([macvlan(**fields)], netns=blue)
    assert raised.value.field == field
    assert (dumps(), dumps(blue)) == before


def test_a_parent_whose_mtu_is_too_small_for_ipv6_is_refused(parent, blue):
    parent.execute(Batch().set_link("p0", mtu=1279))
    with pytest.raises(InvalidNetworkError, match="raise it") as raised:
        set_up_networks([macvlan(addresses=["fd00::2/64"])], netns=blue)
    assert raised.value.field == "host_interface_name"


def test_the_host_namespace_is_refused_as_container(parent):
    with NetworkNamespace.current() as own, pytest.raises(InvalidNetworkError) as raised:
        set_up_networks([macvlan()], netns=own)
    assert raised.value.field == "netns"


def test_a_parent_that_is_a_bridge_port_is_an_error_and_nothing_is_left(parent, blue):
    before = dumps(), dumps(blue)
    with pytest.raises(KernelError, match="step create of network") as raised:
        set_up_networks([macvlan(host_interface_name="p1")], netns=blue)
    assert raised.value.interface == "eth0"
    assert (dumps(), dumps(blue)) == before


@pytest.mark.parametrize("by_create", [True, False])
def test_a_taken_name_is_an_error_and_the_link_that_has_it_stays(parent, blue, by_create):
    with RtnetlinkSocket(blue) as sock:
        sock.execute(Batch().add_link("eth0", "ifb"))
    before = dumps(), dumps(blue)
    with pytest.raises(KernelError, match="already in use") as raised:
        if by_create:
            Macvlan().create(macvlan(), netns=blue)
        else:
            set_up_networks([LO, macvlan()], netns=blue)
    assert raised.value.interface == "eth0"
    assert (dumps(), dumps(blue)) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"gateway": "192.0.2.1"},
        {"sysctls": {"net.ipv4.conf.IFNAME.nonesuch": "1"}},
        {"routes": [Route("192.0.2.0/24", gateway="203.0.113.1")]},
    ],
)
def test_everything_is_undone_after_an_error(parent, blue, fields):
    before = dumps(), dumps(blue)
    with pytest.raises(KernelError, match="step initialize"):
        set_up_networks([LO, macvlan(**fields)], netns=blue)
    assert (dumps(), dumps(blue)) == before


def test_initialize_undoes_its_changes_after_an_error(parent, blue):
    made = Macvlan().create(macvlan(), netns=blue)
    before = dumps(blue)
    with pytest.raises(KernelError):
        Macvlan().initialize(dataclasses.replace(made, gateway="192.0.2.1"), netns=blue)
    assert dumps(blue) == before
    Macvlan().initialize(made, netns=blue)
    assert check_networks([made], netns=blue) == []


# ---- tear down ----


@pytest.mark.parametrize("owner", ["c1", ""])
def test_tear_down_deletes_the_link_and_may_be_repeated(parent, blue, owner):
    before = dumps(), dumps(blue)
    network = macvlan(owner=owner)
    for _ in range(2):
        set_up_networks([network], netns=blue)
        assert_connects(blue, None, "10.0.0.2")
        counters = tear_down_networks([network], netns=blue)
        assert counters["eth0"].rx_bytes > 0 < counters["eth0"].tx_bytes
        assert tear_down_networks([network], netns=blue) == {}
        assert (dumps(), dumps(blue)) == before


def test_tear_down_without_the_namespace_does_nothing(parent):
    with containers(1) as (netns,):
        set_up_networks([macvlan()], netns=netns)
        tear_down_networks([macvlan()])
        assert "eth0" in names(netns)
        path = f"/proc/self/fd/{netns.fileno()}"
    assert tear_down_networks([macvlan()], netns=path) == {}


def test_tear_down_finds_a_link_that_the_container_has_renamed(parent, blue):
    set_up_networks([macvlan()], netns=blue)
    with RtnetlinkSocket(blue) as sock:
        sock.execute(Batch().set_link("eth0", up=False))
        sock.execute(Batch().set_link(sock.get_link("eth0").index, new_name="mine", alias="x"))
    tear_down_networks([macvlan()], netns=blue)
    assert names(blue) == {"lo"}


@pytest.mark.parametrize(
    "other", [{"owner": "c2"}, {"name": "eth1"}, {"host_interface_name": "p2"}]
)
def test_tear_down_leaves_the_links_of_other_networks(parent, blue, other):
    parent.execute(Batch().add_veth("p2", "p3"))
    set_up_networks([macvlan()], netns=blue)
    with RtnetlinkSocket(blue) as sock:  # a link of the same name that is none of ours
        sock.execute(Batch().add_link("eth1", "ifb"))
    before = dumps(blue)
    tear_down_networks([macvlan(**other)], netns=blue)
    assert dumps(blue) == before


def test_two_networks_of_one_owner_in_one_container_are_torn_down_one_by_one(parent, quiet_blue):
    networks = [macvlan(), macvlan(name="eth1", address="10.0.0.3/24", gateway="")]
    made = set_up_networks(networks, netns=quiet_blue)
    assert check_networks(made, netns=quiet_blue) == []
    tear_down_networks(made[:1], netns=quiet_blue)
    assert names(quiet_blue) == {"lo", "eth1"}


# ---- killed between the link and its tag ----


@pytest.fixture
def untagged(parent, blue, monkeypatch):
    """Leaves the link that a killed `create` leaves: it has no tag yet."""
    execute = RtnetlinkSocket.execute

    class KilledError(BaseException):
        pass

    def until_tag(self: RtnetlinkSocket, batch: Batch) -> None:
        if any(isinstance(message.link, int) for message in batch.messages):
            raise KilledError
        execute(self, batch)

    monkeypatch.setattr("pynetstrat.wiring.macvlan._Made.__call__", lambda self: None)
    monkeypatch.setattr(RtnetlinkSocket, "execute", until_tag)
    with pytest.raises(KilledError):
        set_up_networks([macvlan()], netns=blue)
    monkeypatch.undo()
    assert link_in(blue).alias == ""


def test_an_untagged_link_is_cleared_by_tear_down(untagged, blue):
    assert tear_down_networks([macvlan()], netns=blue) == {}
    assert names(blue) == {"lo"}


def test_an_untagged_link_is_replaced_by_the_next_set_up(untagged, blue, monkeypatch):
    monkeypatch.setattr(_links, "_TAGGING", 0.01)  # no process is about to tag it
    with RtnetlinkSocket(blue) as sock:  # a random index may be the same one again
        sock.execute(Batch().set_group(sock.get_link("eth0").index, 7))
    made = set_up_networks([macvlan()], netns=blue)
    assert link_in(blue).group == 0
    assert check_networks(made, netns=blue) == []


def test_an_untagged_link_of_another_owner_is_left_alone(untagged, blue):
    tear_down_networks([macvlan(owner="c2")], netns=blue)
    with pytest.raises(KernelError, match="already in use"):
        set_up_networks([macvlan(owner="c2")], netns=blue)
    assert link_in(blue).alias == ""


def test_a_network_that_is_set_up_already_is_an_error_with_a_remedy(parent, blue):
    made = set_up_networks([macvlan()], netns=blue)
    with pytest.raises(KernelError, match='already set up as "eth0": tear it down first'):
        set_up_networks([macvlan()], netns=blue)
    assert check_networks(made, netns=blue) == []


# ---- check ----


@pytest.mark.parametrize(
    ("where", "command", "expected"),
    [
        ("C", "ip link delete eth0", "eth0: missing"),
        ("C", "ip link set eth0 down", "eth0: down"),
        ("C", "ip link set eth0 alias x", "eth0: alias 'x', not 'pynetstrat:c1'"),
        ("C", "ip link set eth0 address 02:00:00:00:00:42", "eth0: MAC 02:00:00:00:00:42, not"),
        ("C", "ip address flush dev eth0", "eth0: the address 10.0.0.2/24 is missing"),
        ("C", "ip route delete default", "eth0: the route to 0.0.0.0/0"),
        ("C", "ip link delete eth0; ip link add eth0 type ifb", "eth0: of kind ifb, not macvlan"),
        ("C", "ip link set eth0 type macvlan mode private", "eth0: mode private, not bridge"),
        ("H", "ip link set p0 down", "p0 (host): down"),
        ("H", "ip link delete p0", "p0 (host): missing"),
        ("H", "ip link set p0 name p9; ip link add p0 type ifb", "eth0: the parent is not p0"),
    ],
)
def test_check_reports_each_difference(parent, blue, where, command, expected):
    made = set_up_networks([macvlan()], netns=blue)
    assert check_networks(made, netns=blue) == []
    if where == "C":
        blue.run(["sh", "-c", command], check=True)
    else:
        with NetworkNamespace.current() as own:
            own.run(["sh", "-c", command], check=True)
    assert any(difference.startswith(expected) for difference in check_networks(made, netns=blue))


def test_an_error_of_tear_down_names_the_network(parent, blue, monkeypatch):
    set_up_networks([macvlan()], netns=blue)

    def refuse(*_: object) -> None:
        raise KernelError(1, "RTM_DELLINK", "eth0")

    monkeypatch.setattr("pynetstrat.wiring.macvlan.delete_counted", refuse)
    with pytest.raises(TeardownError, match='step destroy of network "eth0"'):
        tear_down_networks([macvlan()], netns=blue)


def test_macvlans_work_with_another_host_namespace():
    with containers(2) as (host, netns):
        quieten(host)
        with RtnetlinkSocket(host) as sock:
            sock.execute(Batch().add_veth("p0", "p1", up=True).set_link("p1", up=True))
        made = set_up_networks([macvlan()], netns=netns, host=host)
        assert check_networks(made, netns=netns, host=host) == []
        tear_down_networks(made, netns=netns, host=host)
        assert names(netns) == {"lo"}
