"""A reading of `ContainerCounters` contains the right interfaces and counters."""

from __future__ import annotations

import gc
import socket
import sys

import pytest
import support
from helpers_counting import add_macvlan, rename
from support import Links, add_container_veth, inside, seen

import pynetstrat
from pynetstrat import (
    ContainerCounters,
    NetworkInterface,
    NetworkNamespace,
    RtnetlinkSocket,
)
from pynetstrat._native import containers as native


def test_counters_are_from_the_containers_side(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 5)
    with inside(netns):
        support.send_frames("eth0", 2, 300)
    counters.add("a", netns)
    expected = seen("eth0", 5)
    expected.tx_bytes, expected.tx_packets = 600, 2
    expected.tx_dropped = 2  # by the host end, which does not know the type of these frames
    assert counters.read() == {"a": {"eth0": expected}}


def test_dropped_packets_are_those_of_the_host_end(net, counters, new_namespace):
    """The container end drops frames of an unknown type; the host end does not."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 6)
    counters.add("a", netns)
    with inside(netns), RtnetlinkSocket() as container_socket:
        assert container_socket.get_stats("eth0").rx_dropped > 0
    read = counters.read()["a"]["eth0"]
    with RtnetlinkSocket() as rtnetlink:
        assert read.rx_dropped == rtnetlink.get_stats("v0").tx_dropped == 0
        support.send_frames("v0", 3, 100)
        with inside(netns):
            support.send_frames("eth0", 4, 100)
        host_end = rtnetlink.get_stats("v0", perspective="container")
    host_end.name = "eth0"
    assert host_end.tx_dropped > 0
    assert counters.read()["a"]["eth0"] == host_end


def test_interfaces_of_a_container_are_returned_by_name(net, counters, new_namespace):
    netns = new_namespace()
    for number in range(4):
        add_container_veth(net, netns, f"v{number}", number, f"net{number}")
    counters.add("a", netns)
    assert counters.read() == {"a": {f"net{n}": seen(f"net{n}", n) for n in range(4)}}


def test_a_container_without_interfaces_has_an_empty_dictionary(net, counters, new_namespace):
    counters.add("a", new_namespace())
    assert counters.read() == {"a": {}}
    table = counters.read_columns()
    assert (table.keys, table.names, table.counters.tolist()) == ((), (), [])


def test_a_reading_without_containers_is_empty(counters):
    assert counters.read() == {}
    assert counters.read_columns().counters.shape == (0, 8)


def test_columns_and_dataclasses_agree(net, counters, new_namespace):
    for number in range(5):
        netns = new_namespace()
        add_container_veth(net, netns, f"v{number}", number)
        counters.add(number, netns)
    table = counters.read_columns()
    rows = {
        key: {name: NetworkInterface(name, *row)}
        for key, name, row in zip(table.keys, table.names, table.counters.tolist(), strict=True)
    }
    assert rows == counters.read() == {n: {"eth0": seen("eth0", n)} for n in range(5)}
    assert repr(table) == "<ContainerTable of 5 interfaces>"


def test_later_readings_do_not_change_a_table(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    first = counters.read_columns()
    before = first.counters.tolist()
    support.send_frames("v0", 3, 100)
    assert counters.read_columns().counters.tolist() != before
    assert first.counters.tolist() == before
    assert first.counters.format == "Q"


@pytest.mark.slow
def test_columns_create_no_object_per_row_while_nothing_changes(net, counters, new_namespace):
    netns = new_namespace()
    for number in range(300):
        net.add_veth(f"v{number}", f"w{number}", peer_netns=netns, up=False)
    counters.add("a", netns)
    first = counters.read_columns()
    again = counters.read_columns()
    assert again.keys is first.keys and again.names is first.names
    assert len(again.keys) == 300

    def blocks() -> int:
        counters.read_columns()
        gc.collect()
        before = sys.getallocatedblocks()
        table = counters.read_columns()
        made = sys.getallocatedblocks() - before
        assert len(table.names) == 300
        return made

    assert min(blocks() for _ in range(5)) < 30


def test_a_macvlan_is_read_through_its_own_namespace(net, counters, new_namespace):
    net.add_veth("v0", "w0")
    netns = new_namespace()
    add_macvlan("mac0", "v0", netns)
    with inside(netns), Links() as container_links:
        container_links.set_up("mac0")
        support.send_frames("mac0", 7, 150)
        with RtnetlinkSocket() as rtnetlink:
            expected = rtnetlink.get_stats("mac0")
    assert expected.tx_bytes >= 7 * 150
    counters.add("a", netns)
    assert counters.read() == {"a": {"mac0": expected}}
    with inside(netns):
        support.send_frames("mac0", 1, 150)
    assert counters.read()["a"]["mac0"].tx_bytes == expected.tx_bytes + 150


def test_a_veth_whose_peer_is_in_a_third_namespace_is_read_through_its_own(
    net, counters, new_namespace
):
    netns, third = new_namespace(), new_namespace()
    with inside(third), Links() as container_links:
        add_container_veth(container_links, netns, "v0", 3)
    counters.add("a", netns)
    counters.add("b", third)
    read = counters.read()
    assert read["a"]["eth0"].rx_bytes == seen("eth0", 3).rx_bytes
    assert read["b"]["v0"].tx_bytes == support.view("v0", 3).tx_bytes


def test_a_container_can_have_interfaces_of_both_kinds(net, counters, new_namespace):
    netns = new_namespace()
    net.add_veth("v0", "w0")
    add_macvlan("mac0", "v0", netns)
    add_container_veth(net, netns, "v1", 4)
    counters.add("a", netns)
    counters.add("b", netns)
    for _ in range(3):
        read = counters.read()
        assert read["a"] == read["b"]
        assert set(read["a"]) == {"mac0", "eth0"}
        assert read["a"]["eth0"] == seen("eth0", 4)


def test_a_moved_device_is_read_through_its_new_namespace(net, counters, new_namespace):
    net.add_veth("v0", "w0")
    support.send_frames("v0", *support.pattern(9))
    netns = new_namespace()
    net.move("w0", netns)
    net.move("v0", netns)
    counters.add("a", netns)
    read = counters.read()["a"]
    assert read["v0"].tx_bytes == support.view("v0", 9).tx_bytes
    assert read["w0"].rx_bytes == read["v0"].tx_bytes


def test_the_host_namespace_can_be_added_as_a_container(net, counters, new_namespace):
    net.add_veth("v0", "w0")
    support.send_frames("v0", *support.pattern(2))
    counters.add("host", "/proc/thread-self/ns/net")
    with RtnetlinkSocket() as rtnetlink:
        expected = rtnetlink.dump_stats()
    del expected["lo"]
    assert counters.read() == {"host": expected}
    net.rename(socket.if_nametoindex("v0"), "first")
    assert set(counters.read()["host"]) == {"first", "w0"}
    net.delete("first")
    assert counters.read() == {"host": {}}
    assert counters.gone() == []


def test_another_namespace_can_be_the_host_namespace(net, new_namespace):
    host_netns, netns = new_namespace(), new_namespace()
    with inside(host_netns), Links() as container_links:
        add_container_veth(container_links, netns, "v0", 3)
    with ContainerCounters(netns=host_netns) as counters:
        counters.add("a", netns)
        counters.add("host", host_netns)
        read = counters.read()
        assert read["a"] == {"eth0": seen("eth0", 3)}
        assert read["host"]["v0"].tx_bytes == support.view("v0", 3).tx_bytes
        assert "descriptor" in repr(counters)


def add_links(netns: int, count: int) -> None:
    """Adds veth pairs with both ends in the namespace."""
    with RtnetlinkSocket(netns) as sock:
        for first in range(0, count // 2, 50):
            batch = pynetstrat.Batch()
            for number in range(first, min(first + 50, count // 2)):
                batch.add_veth(f"a{number}", f"b{number}")
            sock.execute(batch)


@pytest.mark.slow
def test_only_the_first_interfaces_of_an_oversized_container_are_counted(
    net, counters, new_namespace
):
    """So its effect on the readings of other containers is bounded. `omitted` counts the rest."""
    many, other = new_namespace(), new_namespace()
    add_container_veth(net, many, "v0", 3)
    add_container_veth(net, other, "v1", 4)
    add_links(many, 1200)
    counters.add("many", many)
    counters.add("other", other)
    for _ in range(3):
        table = counters.read_columns()
        assert table.keys.count("many") == native.MAX_LINKS == 1024
        assert counters.omitted == {"many": 1201 - 1024}
        read = counters.read()
        assert read["many"]["eth0"] == seen("eth0", 3)
        assert read["other"] == {"eth0": seen("eth0", 4)}
    # Its index is beyond the first 1,024, but the host end leads to it.
    add_container_veth(net, many, "v2", 5, "eth1")
    read = counters.read()
    assert (read["many"]["eth0"], read["many"]["eth1"]) == (seen("eth0", 3), seen("eth1", 5))
    assert counters.omitted == {"many": 1202 - len(read["many"])}
    with RtnetlinkSocket(many) as sock:
        sock.delete_links([f"a{number}" for number in range(100)])
    assert len(counters.read()["many"]) == 1002
    assert counters.omitted == {}


def test_the_host_namespace_has_no_limit_of_interfaces(net, counters, monkeypatch):
    monkeypatch.setattr(native, "MAX_LINKS", 4)
    with NetworkNamespace.current() as own:
        add_links(own.fileno(), 10)
    counters.add("host", "/proc/thread-self/ns/net")
    assert len(counters.read()["host"]) == 10
    assert counters.omitted == {}


def test_lo_is_left_out_even_if_it_is_renamed(net, counters, new_namespace):
    netns = new_namespace()
    rename(netns, "lo", "eth9")
    counters.add("a", netns)
    assert counters.read() == {"a": {}}


def test_named_namespaces_can_be_added_by_name(net, run, counters):
    expected = {}
    for number, name in enumerate(("blue", "red")):
        with NetworkNamespace.create(name) as namespace:
            add_container_veth(net, namespace.fileno(), f"v{number}", number)
        expected[name] = {"eth0": seen("eth0", number)}
    for name in NetworkNamespace.names():
        counters.add(name, name)
    assert counters.read() == expected
