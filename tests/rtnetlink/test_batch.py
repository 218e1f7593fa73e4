"""`Batch`: each kind of message, and the results of a batch."""

from __future__ import annotations

import copy
import errno
import os
import pickle
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from helpers_network import dumps, ip, names, own_run
from support import descriptors

from pynetstrat import (
    PENDING,
    Address,
    Batch,
    BatchError,
    InterfaceNotFoundError,
    InvalidNetworkError,
    KernelError,
    NetworkNamespace,
    Route,
    RtnetlinkSocket,
)
from pynetstrat._native.batch import Encoded
from pynetstrat.wiring._socket import SessionSocket


@pytest.fixture
def blue(net):
    with NetworkNamespace.create() as namespace:
        yield namespace


# ---- links ----


def test_every_method_returns_the_batch_and_len_counts_messages():
    batch = Batch()
    assert len(batch) == 0
    assert batch.add_link("a", "ifb").delete_link("a").set_link("b", up=True) is batch
    assert len(batch) == 3
    assert repr(batch) == "<Batch of 3 messages>"


def test_an_empty_batch_sends_nothing(host):
    assert host.execute(Batch()) is None


def test_a_veth_pair_has_every_requested_setting(host, blue):
    host.execute(Batch().add_bridge("br0"))
    bridge = host.get_link("br0").index
    batch = Batch().add_veth(
        "h0",
        "eth0",
        netns=blue,
        mtu=1400,
        txqueuelen=77,
        mac="02:00:00:00:00:01",
        peer_mac="02:00:00:00:00:02",
        master=bridge,
        up=True,
        index=100,
        peer_index=200,
        queues=3,
    )
    host.execute(batch)
    own = host.get_link("h0")
    with RtnetlinkSocket(blue) as container:
        peer = container.get_link("eth0")
    assert (own.index, own.kind, own.up, own.mtu, own.txqueuelen) == (100, "veth", True, 1400, 77)
    assert (own.mac, own.master, own.hairpin) == ("02:00:00:00:00:01", bridge, False)
    assert (own.link_index, own.link_nsid) == (200, host.get_nsid(blue))
    assert (peer.index, peer.kind, peer.up) == (200, "veth", False)
    assert (peer.mtu, peer.txqueuelen) == (1400, 77)
    assert (peer.mac, peer.master, peer.link_index) == ("02:00:00:00:00:02", None, 100)

    (seen,) = ip("-details", "link", "show", "h0")
    assert (seen["ifindex"], seen["mtu"], seen["txqlen"]) == (100, 1400, 77)
    assert (seen["address"], seen["master"]) == ("02:00:00:00:00:01", "br0")
    assert (seen["num_tx_queues"], seen["num_rx_queues"]) == (3, 3)
    (seen,) = ip("-details", "link", "show", "eth0", netns=blue)
    assert (seen["ifindex"], seen["mtu"], seen["txqlen"]) == (200, 1400, 77)
    assert seen["address"] == "02:00:00:00:00:02"
    assert (seen["num_tx_queues"], seen["num_rx_queues"]) == (3, 3)


def test_a_pair_without_a_namespace_is_in_the_namespace_of_the_socket(host):
    host.execute(Batch().add_veth("a", "b"))
    a, b = host.get_link("a"), host.get_link("b")
    assert (a.link_index, a.link_nsid, b.link_index) == (b.index, None, a.index)
    assert {entry["ifname"] for entry in ip("link")} == {"lo", "a", "b"}


def test_the_index_of_the_peer_alone_is_refused_before_anything_is_sent():
    with pytest.raises(
        InvalidNetworkError, match="peer_index 7: must be given together with index"
    ):
        Batch().add_veth("a", "b", peer_index=7)


def test_a_bridge_a_macvlan_and_a_plain_link_have_every_requested_setting(host, blue):
    host.execute(
        Batch()
        .add_bridge("br0", mac="02:00:00:00:00:03", mtu=1300, up=True)
        .add_link("ifb0", "ifb", mac="02:00:00:00:00:04", mtu=1200, up=True)
        .add_veth("v0", "v1")
    )
    parent = host.get_link("v0").index
    host.execute(
        Batch()
        .add_macvlan("m0", parent, mode="private", mac="02:00:00:00:00:05", mtu=1100, up=True)
        .add_macvlan("m1", parent, netns=blue)
    )
    expected = {
        "br0": ("bridge", "02:00:00:00:00:03", 1300, True),
        "ifb0": ("ifb", "02:00:00:00:00:04", 1200, True),
        "m0": ("macvlan", "02:00:00:00:00:05", 1100, True),
    }
    links = host.dump_links()
    for name, values in expected.items():
        link = links[name]
        assert (link.kind, link.mac, link.mtu, link.up) == values
        (seen,) = ip("-details", "link", "show", name)
        assert (seen["linkinfo"]["info_kind"], seen["address"], seen["mtu"]) == values[:3]
        assert ("UP" in seen["flags"]) == values[3]
    assert links["m0"].link_index == parent
    (seen,) = ip("-details", "link", "show", "m0")
    assert (seen["link"], seen["linkinfo"]["info_data"]["mode"]) == ("v0", "private")
    (seen,) = ip("-details", "link", "show", "m1", netns=blue)
    assert (seen["link_index"], seen["linkinfo"]["info_data"]["mode"]) == (parent, "bridge")


def test_an_unknown_macvlan_mode_is_refused_and_the_error_lists_the_modes():
    with pytest.raises(InvalidNetworkError, match="private, vepa, bridge, passthru"):
        Batch().add_macvlan("m0", 1, mode="bridged")


def test_the_kernel_refuses_an_unknown_kind(host):
    with pytest.raises(BatchError, match=r'interface "x0": RTM_NEWLINK: .*[Uu]nknown'):
        host.execute(Batch().add_link("x0", "no-such-kind"))


def test_a_link_is_changed_by_name_and_by_index(host):
    host.execute(Batch().add_bridge("br0").add_veth("a", "b"))
    bridge = host.get_link("br0").index
    change = {"up": True, "mtu": 1400, "txqueuelen": 9, "mac": "02:00:00:00:00:09"}
    host.execute(Batch().set_link("a", **change, master=bridge, alias="yours truly"))
    link = host.get_link("a")
    assert {field: getattr(link, field) for field in change} == change
    assert (link.master, link.alias, link.hairpin) == (bridge, "yours truly", False)
    (seen,) = ip("link", "show", "a")
    assert (seen["mtu"], seen["txqlen"], seen["address"]) == (1400, 9, "02:00:00:00:00:09")
    assert (seen["master"], seen["ifalias"], "UP" in seen["flags"]) == ("br0", "yours truly", True)

    host.execute(Batch().set_link(link.index, hairpin=True))
    assert host.get_link("a").hairpin is True
    host.execute(Batch().set_link(link.index, hairpin=False))
    assert host.get_link("a").hairpin is False
    before = (True, False)  # of a new port
    for learning, isolated in ((False, None), (None, True), (True, False)):
        before = (
            before[0] if learning is None else learning,
            before[1] if isolated is None else isolated,
        )
        host.execute(Batch().set_link("a", learning=learning, isolated=isolated))
        (seen,) = ip("-details", "link", "show", "a")
        port = seen["linkinfo"]["info_slave_data"]
        assert (port["learning"], port["isolated"]) == before
        link = host.get_link("a")
        assert (link.learning, link.isolated) == before
    host.execute(Batch().set_link(link.index, up=False, master=0, alias="", new_name="c"))
    link = host.get_link("c")
    assert (link.up, link.master, link.alias, link.hairpin) == (False, None, "", None)
    assert link.mtu == 1400  # what is not given is left alone


def test_a_link_is_changed_by_its_alternative_name(host, net):
    net.add_veth("a", "b", up=False)
    net.add_altname("a", "a-very-long-name-of-a-link")
    host.execute(Batch().set_link("a-very-long-name-of-a-link", mtu=1234))
    assert host.get_link("a").mtu == 1234


def test_a_link_moves_to_a_namespace_with_a_new_name_and_index(host, blue):
    host.execute(Batch().add_veth("a", "b"))
    index = host.get_link("a").index
    host.execute(Batch().set_link(index, netns=blue, new_name="eth%d", new_index=77))
    assert names() == {"lo", "b"}
    with RtnetlinkSocket(blue) as container:
        assert container.get_link("eth0").index == 77
    (seen,) = ip("link", "show", "eth0", netns=blue)
    assert seen["ifindex"] == 77


def test_a_link_is_renamed_by_its_name_and_by_its_alternative_name(host, net):
    net.add_veth("a", "b", up=False)
    net.add_altname("b", "an-alternative-name")
    batch = Batch().set_link("a", new_name="c").set_link("an-alternative-name", new_name="d%d")
    host.execute(batch)
    assert names() == {"lo", "c", "d0"}
    with pytest.raises(InterfaceNotFoundError, match='interface "a": RTM_GETLINK'):
        host.execute(Batch().add_link("ifb7", "ifb").set_link("a", new_name="b"))
    assert names() == {"lo", "c", "d0"}  # nothing was sent


def test_a_link_moves_by_its_name_to_a_namespace_with_a_new_name(host, blue):
    host.execute(Batch().add_veth("a", "b"))
    host.execute(Batch().set_link("a", netns=blue, new_name="eth0").set_link("b", netns=blue))
    assert names() == {"lo"}
    assert names(blue) == {"lo", "eth0", "b"}


def test_a_macvlan_is_made_on_a_link_by_its_name(host):
    host.execute(Batch().add_veth("a", "b"))
    host.execute(Batch().add_macvlan("m0", "a", mode="vepa"))
    assert host.get_link("m0").link_index == host.get_link("a").index


def test_links_are_deleted_by_name_index_and_alternative_name(host, net):
    host.execute(Batch().add_veth("a", "b").add_veth("c", "d").add_veth("e", "f"))
    net.add_altname("e", "an-alternative-name")
    index = host.get_link("c").index
    host.execute(Batch().delete_link("a").delete_link(index).delete_link("an-alternative-name"))
    assert names() == {"lo"}
    assert [entry["ifname"] for entry in ip("link")] == ["lo"]


# ---- addresses and routes ----


@pytest.fixture
def link(host):
    host.execute(Batch().add_veth("a", "b").set_link("a", up=True).set_link("b", up=True))
    return host.get_link("a").index


@pytest.mark.parametrize(
    ("address", "last"),
    [("192.0.2.5/24", "192.0.2.255"), ("192.0.2.5/30", "192.0.2.7"), ("192.0.2.5/31", "")],
)
def test_a_plus_is_the_last_address_of_the_subnet(host, link, address, last):
    host.execute(Batch().add_address(link, address, broadcast="+"))
    (found,) = [one for one in host.dump_addresses("a") if one.address == address]
    assert found.broadcast == last


def test_an_address_has_every_requested_setting(host, link):
    Path("/proc/sys/net/ipv6/conf/a/dad_transmits").write_text("100")  # it stays tentative
    host.execute(
        Batch()
        .add_address(link, "192.0.2.1/24", broadcast="192.0.2.255", label="a:1", noprefixroute=True)
        .add_address(link, "2001:db8::1/64")
        .add_address(link, "2001:db8::2/64", nodad=False)
    )
    found = {address.address: address for address in host.dump_addresses("a")}
    first = found["192.0.2.1/24"]
    assert (first.ifindex, first.broadcast, first.label) == (link, "192.0.2.255", "a:1")
    assert (first.scope, first.permanent, first.valid) == (0, True, None)
    assert found["2001:db8::1/64"].flags & 0x02  # IFA_F_NODAD
    assert not found["2001:db8::1/64"].tentative
    assert found["2001:db8::2/64"].tentative
    assert not any(route.destination == "192.0.2.0/24" for route in host.dump_routes())
    assert any(route.destination == "2001:db8::/64" for route in host.dump_routes())

    (seen,) = ip("address", "show", "a")
    entries = {entry["local"]: entry for entry in seen["addr_info"]}
    entry = entries["192.0.2.1"]
    assert (entry["prefixlen"], entry["broadcast"], entry["label"]) == (24, "192.0.2.255", "a:1")
    assert entry["noprefixroute"] is True
    assert entries["2001:db8::1"]["nodad"] is True
    assert "nodad" not in entries["2001:db8::2"]


def test_a_dumped_address_can_be_added_again(host, link):
    given = Address(
        link,
        "192.0.2.1/32",
        peer="198.51.100.0/24",
        label="a",
        scope=253,
        metric=77,
        protocol=9,
        valid=5000,
        preferred=4000,
    )
    began = time.monotonic()
    host.execute(Batch().add_address(link, given))
    (found,) = _local(host, given)
    _assert_same(found, replace(given, flags=found.flags), began)
    assert not found.permanent
    (seen,) = [one for one in ip("address", "show", "a")[0]["addr_info"] if one["family"] == "inet"]
    assert (seen["address"], seen["prefixlen"], seen["metric"]) == ("198.51.100.0", 24, 77)
    assert (seen["scope"], seen["dynamic"]) == ("link", True)
    assert _lasts(seen["valid_life_time"], 5000, began)

    host.execute(Batch().delete_address(link, found).add_address(link, found))
    (again,) = _local(host, given)
    _assert_same(again, found, began)
    host.execute(Batch().delete_address(link, found))
    assert _local(host, given) == []


def _local(host: RtnetlinkSocket, given: Address) -> list[Address]:
    return [one for one in host.dump_addresses("a") if one.address == given.address]


def _assert_same(found: Address, given: Address, began: float) -> None:
    """Asserts that an address is the given one, and that its lifetimes have run since `began`."""
    assert replace(found, valid=given.valid, preferred=given.preferred) == given
    assert _lasts(found.valid, given.valid, began)
    assert _lasts(found.preferred, given.preferred, began)


def _lasts(seconds: int, given: int, began: float) -> bool:
    return given - (time.monotonic() - began) - 1 <= seconds <= given


def test_an_existing_address_is_replaced_only_on_request(host, link):
    host.execute(Batch().add_address(link, "2001:db8::1/64"))
    with pytest.raises(BatchError, match="RTM_NEWADDR 2001:db8::1/64: File exists"):
        host.execute(Batch().add_address(link, "2001:db8::1/64"))
    host.execute(Batch().add_address(link, "2001:db8::1/64", replace=True, noprefixroute=True))
    (found,) = [one for one in host.dump_addresses() if one.address == "2001:db8::1/64"]
    assert found.flags & 0x200  # IFA_F_NOPREFIXROUTE


def test_an_address_is_deleted_by_its_text(host, link):
    host.execute(Batch().add_address(link, "192.0.2.1/24").add_address(link, "2001:db8::1/64"))
    batch = Batch().delete_address(link, "192.0.2.1/24").delete_address(link, "2001:db8::1/64")
    host.execute(batch)
    left = [one.address for one in host.dump_addresses("a") if one.scope == 0]
    assert left == []


def test_routes_have_every_requested_setting_and_are_deleted(host, link):
    host.execute(Batch().add_address(link, "192.0.2.1/24").add_address(link, "2001:db8::1/64"))
    routes = [
        Route("default", gateway="192.0.2.254", ifindex=link),
        Route("198.51.100.0/24", gateway="192.0.2.253", metric=7, table=1000, source="192.0.2.1"),
        Route("203.0.113.0/24", gateway="203.0.113.1", ifindex=link, onlink=True),
        Route("203.0.114.0/24", ifindex=link),
        Route("default", gateway="2001:db8::fe", ifindex=link),
        Route("2001:db8:1::/48", gateway="2001:db8::fd", metric=9),
    ]
    batch = Batch()
    for route in routes:
        batch.add_route(route)
    host.execute(batch)
    found = {(route.destination, route.table): route for route in host.dump_routes()}
    assert found["0.0.0.0/0", 254].gateway == "192.0.2.254"
    second = found["198.51.100.0/24", 1000]
    assert (second.gateway, second.metric, second.source) == ("192.0.2.253", 7, "192.0.2.1")
    assert second.ifindex == link
    assert found["203.0.113.0/24", 254].onlink
    assert (found["203.0.114.0/24", 254].gateway, found["203.0.114.0/24", 254].scope) == ("", 253)
    assert (found["::/0", 254].gateway, found["::/0", 254].metric) == ("2001:db8::fe", 1024)
    assert found["2001:db8:1::/48", 254].metric == 9

    seen = {one["dst"]: one for one in ip("-4", "route", "show", "table", "all")}
    assert seen["default"]["gateway"] == "192.0.2.254"
    assert (seen["198.51.100.0/24"]["table"], seen["198.51.100.0/24"]["metric"]) == ("1000", 7)
    assert seen["198.51.100.0/24"]["prefsrc"] == "192.0.2.1"
    assert "onlink" in seen["203.0.113.0/24"]["flags"]
    seen = {one["dst"]: one for one in ip("-6", "route")}
    assert seen["default"]["gateway"] == "2001:db8::fe"
    assert seen["2001:db8:1::/48"]["metric"] == 9

    batch = Batch()
    for route in routes:
        batch.delete_route(route)
    host.execute(batch)
    left = {route.destination for route in host.dump_routes()}
    assert not left & {"0.0.0.0/0", "198.51.100.0/24", "203.0.113.0/24", "::/0", "2001:db8:1::/48"}


def test_a_dumped_route_can_be_added_again(host, link):
    host.execute(
        Batch()
        .add_address(link, "192.0.2.1/24")
        .add_route(Route("198.51.100.0/24", gateway="192.0.2.253", metric=7, table=1000))
    )
    (found,) = [route for route in host.dump_routes() if route.table == 1000]
    host.execute(Batch().delete_route(found).add_route(found))
    assert found in host.dump_routes()


def test_a_gateway_off_the_subnet_is_an_error_that_says_so(host, link):
    with pytest.raises(BatchError) as raised:
        host.execute(Batch().add_route(Route("default", gateway="203.0.113.1", ifindex=link)))
    assert "Nexthop has invalid gateway" in raised.value.kernel_message
    assert raised.value.hint


# ---- the results of a batch ----


def test_the_error_names_the_destination_of_a_route_and_an_address(host, link):
    host.execute(Batch().set_link("a", up=True).add_address(link, "192.0.2.1/24"))
    route = Route("198.51.100.0/24", gateway="203.0.113.1", ifindex=link)
    for batch, operation, subject in (
        (Batch().add_route(route), "RTM_NEWROUTE", "198.51.100.0/24"),
        (Batch().delete_route(route), "RTM_DELROUTE", "198.51.100.0/24"),
        (Batch().add_address(link, "192.0.2.1/24"), "RTM_NEWADDR", "192.0.2.1/24"),
        (Batch().delete_address(link, "192.0.2.9/24"), "RTM_DELADDR", "192.0.2.9/24"),
    ):
        with pytest.raises(BatchError, match=f'"index {link}": {operation} {subject}: ') as caught:
            host.execute(batch)
        assert (caught.value.subject, caught.value.results[0].subject) == (subject, subject)
        assert pickle.loads(pickle.dumps(caught.value)).subject == subject


def test_a_batch_goes_on_after_a_failure_and_the_error_has_every_result(host):
    batch = Batch().add_veth("a", "b").delete_link("nope").set_link("a", up=True)
    with pytest.raises(BatchError) as raised:
        host.execute(batch)
    error = raised.value
    assert error.item == 1
    assert error.results[0] is None and error.results[2] is None
    assert isinstance(error.results[1], InterfaceNotFoundError)
    assert (error.errno, error.operation, error.interface) == (19, "RTM_DELLINK", "nope")
    assert str(error).startswith('message 2 of 3: interface "nope": RTM_DELLINK: No such device')
    assert host.get_link("a").up


def test_the_error_is_of_the_first_message_that_failed(host):
    with pytest.raises(BatchError) as raised:
        host.execute(Batch().delete_link("nope").set_link("lo", mtu=10).delete_link("neither"))
    assert (raised.value.item, raised.value.interface) == (0, "nope")
    kinds = [type(result) for result in raised.value.results]
    assert kinds == [InterfaceNotFoundError, type(None), InterfaceNotFoundError]


def test_the_extended_ack_is_in_the_batch_error(host):
    host.execute(Batch().add_veth("a", "b"))
    with pytest.raises(BatchError) as raised:
        host.execute(Batch().set_link("a", mtu=67))
    assert raised.value.kernel_message == "mtu less than device minimum"


def test_a_message_whose_ack_does_not_arrive_is_pending(host, monkeypatch):
    """The kernel answers at once, so the test makes the exchange fail."""
    messages = Batch().add_link("a", "ifb").add_link("b", "ifb").add_link("c", "ifb").messages
    error = _lost()
    outcomes = Encoded(messages).outcomes(-110, [0, 1, 1], error)
    assert outcomes[0] is None
    assert (outcomes[1].errno, outcomes[1].operation) == (110, "recvfrom")
    assert outcomes[2] is PENDING
    assert repr(PENDING) == "PENDING"


def test_a_timeout_after_a_refused_message_is_reported_too(net):
    """The deadline has passed: one datagram is read, and no time is left for the next."""
    batch = Batch().delete_link("nope").set_link("lo", up=True).set_link("lo", up=False)
    passed = time.monotonic() - 1
    with SessionSocket(None, 5000, passed) as sock, pytest.raises(BatchError) as raised:
        sock.execute(batch)
    error = raised.value
    assert (error.item, error.errno, error.interface) == (0, errno.ENODEV, "nope")
    assert isinstance(error.results[0], InterfaceNotFoundError)
    assert (error.results[1].errno, error.results[1].operation) == (errno.ETIMEDOUT, "recvfrom")
    assert error.results[2] is PENDING
    assert "No such device" in str(error)
    assert 'message 2: interface "lo": recvfrom: Connection timed out' in str(error)


def test_acks_that_are_lost_after_a_refused_message_are_reported_too(host):
    """The core then returns the refusal, and the results of the other messages stay pending."""
    messages = Batch().add_link("a", "ifb").add_link("b", "ifb").messages
    error = _lost("NETSTRAT_OP_REQUEST")
    outcomes = Encoded(messages).outcomes(-17, [-17, 1], error)
    assert (outcomes[0].errno, outcomes[0].operation) == (errno.EEXIST, "RTM_NEWLINK")
    assert (outcomes[1].errno, outcomes[1].operation) == (errno.ENOBUFS, "recvfrom")


def _lost(operation="NETSTRAT_OP_RECVFROM"):
    from pynetstrat._core import ffi, lib

    error = ffi.new("struct netstrat_error *")
    error.operation = getattr(lib, operation)
    return error


def test_pending_is_the_same_after_pickling_and_copying():
    assert pickle.loads(pickle.dumps(PENDING)) is PENDING
    assert copy.deepcopy(PENDING) is PENDING


def test_a_batch_error_pickles_and_copies_with_its_results(host):
    with pytest.raises(BatchError) as raised:
        host.execute(Batch().delete_link("nope").set_link("lo", up=True))
    error = raised.value
    error.results.append(PENDING)
    for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(twin) is BatchError
        assert str(twin) == str(error)
        assert (twin.item, twin.errno, twin.interface) == (0, 19, "nope")
        assert isinstance(twin.results[0], InterfaceNotFoundError)
        assert twin.results[1] is None
        assert twin.results[2] is PENDING


@pytest.mark.parametrize("taken", ["here", "there"])
def test_eexist_says_which_of_two_names_is_taken_and_in_which_namespace(host, taken):
    with NetworkNamespace.create() as blue:
        host.execute(Batch().add_veth("h0", "eth0", netns=blue))
        batch = Batch()
        if taken == "here":
            batch.add_veth("h0", "eth1", netns=blue)
            expected = 'the name "h0" is already in use in this namespace'
        else:
            batch.add_veth("h1", "eth0", netns=blue)
            expected = f'the name "eth0" is already in use in {blue}'
        before = dumps(), dumps(blue)
        with pytest.raises(BatchError) as raised:
            host.execute(batch)
        assert raised.value.hint == expected
        assert expected in str(raised.value)
        assert (dumps(), dumps(blue)) == before


def test_eexist_of_a_rename_names_the_name(host):
    host.execute(Batch().add_veth("a", "b"))
    with pytest.raises(BatchError, match='the name "b" is already in use in this namespace'):
        host.execute(Batch().set_link(host.get_link("a").index, new_name="b"))


# ---- the namespaces that a batch names ----


@pytest.mark.parametrize("form", ["path", "bytes", "name", "descriptor", "handle", "file", "pidfd"])
def test_a_namespace_is_given_in_any_form(host, form):
    with NetworkNamespace.create() as blue:
        opened, given = None, blue
        if form in ("path", "bytes"):
            given = f"/proc/{os.getpid()}/fd/{blue.fileno()}"
            given = os.fsencode(given) if form == "bytes" else given
        elif form == "descriptor":
            given = blue.fileno()
        elif form == "file":
            opened = given = open(f"/proc/self/fd/{blue.fileno()}")  # noqa: SIM115, PTH123
        elif form == "name":
            with own_run(), NetworkNamespace.create("green") as named:
                host.execute(Batch().add_veth("h0", "eth0", netns="green"))
                assert names(named) == {"lo", "eth0"}
            return
        elif form == "pidfd":
            with blue.popen(["sleep", "60"]) as process:
                pidfd = os.pidfd_open(process.pid)
                try:
                    host.execute(Batch().add_veth("h0", "eth0", netns=pidfd))
                    assert host.get_nsid(pidfd) == host.get_link("h0").link_nsid
                finally:
                    os.close(pidfd)
                    process.kill()
            assert names(blue) == {"lo", "eth0"}
            return
        host.execute(Batch().add_veth("h0", "eth0", netns=given))
        if opened is not None:
            opened.close()
        assert names(blue) == {"lo", "eth0"}


def test_a_namespace_is_opened_when_the_batch_is_executed_and_not_held(host):
    batch = Batch().add_veth("h0", "eth0", netns="/proc/self/no-such-file")  # not opened yet
    batch.add_link("ifb7", "ifb")
    before = descriptors()
    with pytest.raises(KernelError, match="open netns /proc/self/no-such-file: No such file"):
        host.execute(batch)
    assert names() == {"lo"}  # nothing was sent
    with NetworkNamespace.create() as blue:
        batch = Batch().add_veth("h0", "eth0", netns=f"/proc/self/fd/{blue.fileno()}")
        host.execute(batch)
        host.execute(Batch().delete_link("h0"))
        host.execute(batch)  # once more
    assert descriptors() == before


@pytest.mark.parametrize("given", ["file", "other kind", "number", "process"])
def test_a_netns_that_is_no_namespace_is_refused_and_nothing_is_sent(host, given, tmp_path):
    (tmp_path / "file").touch()
    opened = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    netns = {
        "file": tmp_path / "file",
        "other kind": opened,
        "number": 999_999,
        "process": os.getpid(),
    }[given]
    try:
        with pytest.raises(KernelError) as raised:
            host.execute(Batch().add_link("ifb7", "ifb").add_veth("h0", "eth0", netns=netns))
    finally:
        os.close(opened)
    assert not isinstance(raised.value, BatchError)
    assert names() == {"lo"}
    if given == "process":
        assert f"NetworkNamespace.of_process({os.getpid()})" in raised.value.hint


# ---- many messages ----


@pytest.mark.slow
def test_two_thousand_messages_go_in_parts_and_all_are_acknowledged(host):
    batch = Batch()
    for number in range(1000):
        batch.add_link(f"ifb{number}", "ifb")
    for number in range(1000):
        batch.set_link(f"ifb{number}", alias=f"number {number}")
    assert len(batch) == 2000
    host.execute(batch)
    links = host.dump_links()
    assert len(links) == 1001
    assert all(links[f"ifb{number}"].alias == f"number {number}" for number in range(1000))


def test_a_failure_in_a_later_part_is_found_at_its_place(host):
    batch = Batch()
    for number in range(2000):
        batch.set_link("nope" if number == 1500 else "lo", mtu=60000 + number % 7)
    with pytest.raises(BatchError) as raised:
        host.execute(batch)
    assert raised.value.item == 1500
    assert [at for at, result in enumerate(raised.value.results) if result is not None] == [1500]


def test_a_batch_is_executed_by_many_sockets_one_after_another(host, blue):
    batch = Batch().add_link("ifb7", "ifb")
    with RtnetlinkSocket(blue) as container:
        container.execute(batch)
        host.execute(batch)
    assert names() == names(blue) == {"lo", "ifb7"}


def test_an_index_given_to_a_new_link_serves_later_messages(host):
    batch = Batch().add_veth("a", "b", index=50)
    host.execute(batch.add_address(50, "192.0.2.1/24").set_link(50, up=True))
    assert [one.address for one in host.dump_addresses("a") if one.label] == ["192.0.2.1/24"]
    done = subprocess.run(["ip", "-brief", "address", "show", "a"], capture_output=True, text=True)
    assert "192.0.2.1/24" in done.stdout
