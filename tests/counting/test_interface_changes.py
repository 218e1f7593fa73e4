"""`ContainerCounters` after interfaces were renamed, moved, deleted and created again."""

from __future__ import annotations

import contextlib
import os
import socket

import support
from fake_socket import FakeRecorder
from helpers_counting import add_macvlan, rename
from support import Links, add_container_veth, inside, seen

from pynetstrat import (
    KernelError,
)


def test_a_rename_inside_a_container_is_followed(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}
    rename(netns, "eth0", "net1")
    assert counters.read() == {"a": {"net1": seen("net1", 1)}}


def test_swapped_names_inside_a_container_are_followed(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1, "eth0")
    add_container_veth(net, netns, "v1", 2, "eth1")
    counters.add("a", netns)
    assert counters.read()["a"] == {"eth0": seen("eth0", 1), "eth1": seen("eth1", 2)}
    rename(netns, "eth0", "free")
    rename(netns, "eth1", "eth0")
    rename(netns, "free", "eth1")
    assert counters.read()["a"] == {"eth0": seen("eth0", 2), "eth1": seen("eth1", 1)}


def test_a_rename_of_the_host_end_changes_nothing(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    table = counters.read_columns()
    net.rename(socket.if_nametoindex("v0"), "other")
    assert counters.read_columns().names is table.names
    assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}


def test_an_interface_that_moves_between_containers_keeps_its_counters(
    net, counters, new_namespace
):
    one, other = new_namespace(), new_namespace()
    add_container_veth(net, one, "v0", 1, "first")
    add_container_veth(net, other, "v1", 2, "second")
    counters.add("a", one)
    counters.add("b", other)
    counters.read()
    with inside(one), Links() as container_links:
        container_links.move("first", other)
    with inside(other), Links() as container_links:
        container_links.move("second", one)
    read = counters.read()
    assert {name: row.rx_bytes for name, row in read["a"].items()} == {
        "second": seen("", 2).rx_bytes
    }
    assert {name: row.rx_bytes for name, row in read["b"].items()} == {
        "first": seen("", 1).rx_bytes
    }


def test_a_recreated_interface_has_its_own_counters(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 9, index=777)
    counters.add("a", netns)
    assert counters.read() == {"a": {"eth0": seen("eth0", 9)}}
    net.delete("v0")
    add_container_veth(net, netns, "v0", 3, index=777)
    assert counters.read() == {"a": {"eth0": seen("eth0", 3)}}


def test_a_recreated_interface_has_another_identity(net, counters, new_namespace):
    """Even if one of the two indexes is reused. The name does not matter."""
    netns, host_netns = new_namespace(), support.network_namespace()
    seen = set()
    for index in (0, 50, 50, 0):  # of the container end; 0: the kernel chooses
        with inside(netns), Links() as container_links:
            container_links.add_veth("eth0", "v0", peer_netns=host_netns, index=index)
        if not seen:
            counters.add("a", netns)
        (identity,) = counters.read_columns().identities
        assert identity not in seen
        seen.add(identity)
        rename(netns, "eth0", "other")
        assert counters.read_columns().identities == (identity,)
        net.delete("v0")
    os.close(host_netns)


def test_interfaces_of_two_containers_have_different_identities(net, counters, new_namespace):
    """Each container has a veth pair inside, with the same indexes as the other's."""
    for key in ("a", "b"):
        netns = new_namespace()
        with inside(netns), Links() as container_links:
            support.add_patterned(container_links, 3)
        counters.add(key, netns)
    table = counters.read_columns()
    assert table.names == ("w3", "v3", "w3", "v3")
    assert len(set(table.identities)) == 4
    assert counters.read_columns().identities is table.identities


def test_an_unrelated_interface_with_a_reused_index_is_not_read(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 9, index=777)
    counters.add("a", netns)
    counters.read()
    net.delete("v0")
    net.add_veth("w0", "w1", index=777)
    support.send_frames("w0", *support.pattern(4))
    assert counters.read() == {"a": {}}


def test_a_veth_is_read_through_the_container_after_its_host_end_moved_away(
    net, counters, new_namespace
):
    netns, away = new_namespace(), new_namespace()
    add_container_veth(net, netns, "v0", 5)
    counters.add("a", netns)
    assert counters.read() == {"a": {"eth0": seen("eth0", 5)}}
    net.move("v0", away)
    read = counters.read()["a"]["eth0"]
    assert read.rx_bytes == seen("eth0", 5).rx_bytes


def test_an_unrelated_interface_with_the_index_of_a_moved_host_end_is_not_read(
    net, counters, new_namespace, monkeypatch
):
    """The container's side is not notified of the move."""
    netns, away = new_namespace(), new_namespace()
    add_container_veth(net, netns, "v0", 5, index=777)
    counters.add("a", netns)
    counters.read()
    # So the lost carrier is not recorded.
    monkeypatch.setattr(counters._native, "changed_netns", FakeRecorder())
    net.move("v0", away)
    net.add_veth("w0", "w1", index=777)
    support.send_frames("w0", *support.pattern(4))
    assert counters.read()["a"]["eth0"].rx_bytes == seen("eth0", 5).rx_bytes
    assert not counters._tracker.deleted_at


def test_an_interface_added_later_is_counted(net, counters, new_namespace):
    netns = new_namespace()
    counters.add("a", netns)
    assert counters.read() == {"a": {}}
    add_container_veth(net, netns, "v0", 1)
    assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}
    net.add_veth("v2", "w2")
    add_macvlan("mac0", "v2", netns)
    assert set(counters.read()["a"]) == {"eth0", "mac0"}
    net.delete("v2")
    assert set(counters.read()["a"]) == {"eth0"}


def test_lost_notifications_cause_new_dumps_of_everything(net, counters, new_namespace):
    one, other = new_namespace(), new_namespace()
    add_container_veth(net, one, "v0", 1)
    add_container_veth(net, other, "v1", 2)
    counters.add("a", one)
    counters.add("b", other)
    counters.read()
    native = counters._native
    assert native.changed_netns is not None
    for recorder in (native.links, native.changed_netns):
        recorder._recorder.room = 0
    rename(one, "eth0", "net1")
    net.delete("v1")
    # Every attempt of this reading loses notifications; the second reading sees all changes.
    native.changed_netns._recorder.room = native.links._recorder.room = 0
    with contextlib.suppress(KernelError):
        counters.read()
    native.links._recorder.room = native.changed_netns._recorder.room = 1024
    assert counters.read() == {"a": {"net1": seen("net1", 1)}, "b": {}}


def test_an_overflow_of_the_link_queues_loses_no_change(net, counters, new_namespace):
    """The queues are small, and 400 renames happen before they are read."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    counters.add("host", "/proc/thread-self/ns/net")
    counters.read()
    for sock in counters._native._watchers:
        with socket.socket(fileno=os.dup(sock.fd)) as queue:
            queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    index = socket.if_nametoindex("v0")
    for number in range(200):
        rename(netns, "eth0" if not number else f"eth{number}", f"eth{number + 1}")
        net.rename(index, f"v{number + 1}")
    read = counters.read()
    assert read["a"] == {"eth200": seen("eth200", 1)}
    assert set(read["host"]) == {"v200"}


def test_deletions_between_two_readings_take_a_bounded_memory(
    net, counters, new_namespace, monkeypatch
):
    """The exporter processes notifications all the time, also between scrapes."""
    monkeypatch.setattr("pynetstrat.counting._tracking._MAX_DELETED", 2)
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    counters.read()
    tracker = counters._tracker
    for number in range(9):
        net.delete("v0")
        add_container_veth(net, netns, "v0", number)
        tracker.process_pending(counters._native)
        assert len(tracker.deleted_at) <= 3
    assert counters.read() == {"a": {"eth0": seen("eth0", 8)}}
    assert tracker.deleted_at == {}


def test_changes_of_a_discarded_container_are_ignored(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    counters.add("b", new_namespace())
    counters.read()
    counters.discard("a")
    net.delete("v0")
    assert counters.read() == {"b": {}}
