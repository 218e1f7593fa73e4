"""The counters of many containers, on the real kernel: who is who, and never another's numbers."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from errno import EAGAIN, EBADF, EEXIST, EINVAL, EMFILE, ENOENT
from pathlib import Path

import pytest
import support
from helpers_network import own_run
from support import Links, add_container_veth, inside, seen
from support import end_namespace as end

import pynetstrat
from pynetstrat import (
    ContainerCounters,
    KernelError,
    NetworkInterface,
    NetworkNamespace,
    PermissionDeniedError,
    RtnetlinkSocket,
)
from pynetstrat._native import containers as native
from pynetstrat._native.containers import Containers
from pynetstrat.counting import _tracking
from pynetstrat.counting._tracking import Tracker

NewNamespace = Callable[[], int]

IFLA_LINK, IFLA_TARGET_NETNSID, IFLA_NEW_IFINDEX = 5, 46, 49  # linux/if_link.h
RTM_GETLINK = 18


@pytest.fixture
def counters(net: Links) -> Iterator[ContainerCounters]:
    with ContainerCounters() as opened:
        yield opened


def add_macvlan(links: Links, name: str, parent: str, netns: int) -> None:
    with RtnetlinkSocket() as rtnetlink:
        rtnetlink.execute(
            pynetstrat.Batch().add_macvlan(name, rtnetlink.get_link(parent).index, netns=netns)
        )


def rename(netns: int, old: str, new: str) -> None:
    with inside(netns), Links() as there:
        there.rename(socket.if_nametoindex(old), new)


def fresh() -> int:
    return support.new_namespace()


# ---- what is read ----


def test_a_container_is_shown_from_its_own_side(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 5)
    with inside(netns):
        support.send_frames("eth0", 2, 300)
    counters.add("a", netns)
    expected = seen("eth0", 5)
    expected.tx_bytes, expected.tx_packets = 600, 2
    expected.tx_dropped = 2  # by the host's end, which knows nothing of these frames' type
    assert counters.read() == {"a": {"eth0": expected}}


def test_dropped_is_what_the_hosts_end_dropped_swapped(net, counters, new_namespace):
    """Frames of an unknown type: the container's end drops them, the host's does not."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 6)
    counters.add("a", netns)
    with inside(netns), RtnetlinkSocket() as there:
        assert there.get_stats("eth0").rx_dropped > 0
    read = counters.read()["a"]["eth0"]
    with RtnetlinkSocket() as here:
        assert read.rx_dropped == here.get_stats("v0").tx_dropped == 0
        support.send_frames("v0", 3, 100)
        with inside(netns):
            support.send_frames("eth0", 4, 100)
        host = here.get_stats("v0", perspective="container")
    host.name = "eth0"
    assert host.tx_dropped > 0
    assert counters.read()["a"]["eth0"] == host


def test_several_interfaces_of_a_container_come_by_name(net, counters, new_namespace):
    netns = new_namespace()
    for number in range(4):
        add_container_veth(net, netns, f"v{number}", number, f"net{number}")
    counters.add("a", netns)
    assert counters.read() == {"a": {f"net{n}": seen(f"net{n}", n) for n in range(4)}}


def test_a_container_without_interfaces_is_there_with_none(net, counters, new_namespace):
    counters.add("a", new_namespace())
    assert counters.read() == {"a": {}}
    table = counters.read_columns()
    assert (table.keys, table.names, table.counters.tolist()) == ((), (), [])


def test_no_containers_are_an_empty_reading(counters):
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


def test_a_table_is_not_changed_by_later_readings(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    first = counters.read_columns()
    before = first.counters.tolist()
    support.send_frames("v0", 3, 100)
    assert counters.read_columns().counters.tolist() != before
    assert first.counters.tolist() == before
    assert first.counters.format == "Q"


def test_columns_make_no_object_a_row_while_nothing_changes(net, counters, new_namespace):
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


def test_a_macvlan_is_read_from_its_own_side(net, counters, new_namespace):
    net.add_veth("v0", "w0")
    netns = new_namespace()
    add_macvlan(net, "mac0", "v0", netns)
    with inside(netns), Links() as there:
        there.set_up("mac0")
        support.send_frames("mac0", 7, 150)
        with RtnetlinkSocket() as rtnetlink:
            expected = rtnetlink.get_stats("mac0")
    assert expected.tx_bytes >= 7 * 150
    counters.add("a", netns)
    assert counters.read() == {"a": {"mac0": expected}}
    with inside(netns):
        support.send_frames("mac0", 1, 150)
    assert counters.read()["a"]["mac0"].tx_bytes == expected.tx_bytes + 150


def test_a_pair_whose_other_end_is_elsewhere_is_read_from_its_own_side(
    net, counters, new_namespace
):
    netns, elsewhere = new_namespace(), new_namespace()
    with inside(elsewhere), Links() as there:
        add_container_veth(there, netns, "v0", 3)
    counters.add("a", netns)
    counters.add("b", elsewhere)
    read = counters.read()
    assert read["a"]["eth0"].rx_bytes == seen("eth0", 3).rx_bytes
    assert read["b"]["v0"].tx_bytes == support.view("v0", 3).tx_bytes


def test_both_kinds_in_one_container(net, counters, new_namespace):
    netns = new_namespace()
    net.add_veth("v0", "w0")
    add_macvlan(net, "mac0", "v0", netns)
    add_container_veth(net, netns, "v1", 4)
    counters.add("a", netns)
    counters.add("b", netns)
    for _ in range(3):
        read = counters.read()
        assert read["a"] == read["b"]
        assert set(read["a"]) == {"mac0", "eth0"}
        assert read["a"]["eth0"] == seen("eth0", 4)


def test_a_moved_device_is_read_from_its_own_side(net, counters, new_namespace):
    net.add_veth("v0", "w0")
    support.send_frames("v0", *support.pattern(9))
    netns = new_namespace()
    net.move("w0", netns)
    net.move("v0", netns)
    counters.add("a", netns)
    read = counters.read()["a"]
    assert read["v0"].tx_bytes == support.view("v0", 9).tx_bytes
    assert read["w0"].rx_bytes == read["v0"].tx_bytes


def test_the_hosts_own_namespace_is_a_container_too(net, counters, new_namespace):
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


def test_another_namespace_can_be_the_host(net, new_namespace):
    host, netns = new_namespace(), new_namespace()
    with inside(host), Links() as there:
        add_container_veth(there, netns, "v0", 3)
    with ContainerCounters(netns=host) as counters:
        counters.add("a", netns)
        counters.add("host", host)
        read = counters.read()
        assert read["a"] == {"eth0": seen("eth0", 3)}
        assert read["host"]["v0"].tx_bytes == support.view("v0", 3).tx_bytes
        assert "descriptor" in repr(counters)


def add_links(netns: int, count: int) -> None:
    """Pairs whose ends are both there."""
    with RtnetlinkSocket(netns) as sock:
        for first in range(0, count // 2, 50):
            batch = pynetstrat.Batch()
            for number in range(first, min(first + 50, count // 2)):
                batch.add_veth(f"a{number}", f"b{number}")
            sock.execute(batch)


def test_of_a_container_with_too_many_interfaces_the_first_are_counted(
    net, counters, new_namespace
):
    """They cannot delay the others' counters without a bound, and what is left out is known."""
    many, other = new_namespace(), new_namespace()
    add_container_veth(net, many, "v0", 3)
    add_container_veth(net, other, "v1", 4)
    add_links(many, 1200)
    counters.add("many", many)
    counters.add("other", other)
    for _ in range(3):
        table = counters.read_columns()
        assert table.keys.count("many") == native.MOST_LINKS == 1024
        assert counters.omitted == {"many": 1201 - 1024}
        read = counters.read()
        assert read["many"]["eth0"] == seen("eth0", 3)
        assert read["other"] == {"eth0": seen("eth0", 4)}
    add_container_veth(
        net, many, "v2", 5, "eth1"
    )  # its index is a high one, but the host's end shows it
    read = counters.read()
    assert (read["many"]["eth0"], read["many"]["eth1"]) == (seen("eth0", 3), seen("eth1", 5))
    assert counters.omitted == {"many": 1202 - len(read["many"])}
    with inside(many), Links() as there:
        for number in range(100):
            there.delete(f"a{number}")
    assert len(counters.read()["many"]) == 1002
    assert counters.omitted == {}


def test_the_hosts_own_interfaces_are_counted_however_many_they_are(net, counters, monkeypatch):
    monkeypatch.setattr(native, "MOST_LINKS", 4)
    with NetworkNamespace.current() as own:
        add_links(own.fileno(), 10)
    counters.add("host", "/proc/thread-self/ns/net")
    assert len(counters.read()["host"]) == 10
    assert counters.omitted == {}


def test_lo_is_left_out_whatever_its_name(net, counters, new_namespace):
    netns = new_namespace()
    rename(netns, "lo", "eth9")
    counters.add("a", netns)
    assert counters.read() == {"a": {}}


# ---- who is who ----


def test_two_keys_of_one_namespace_share_its_reading(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with support.process_inside(netns) as process:
        counters.add("a", netns)
        counters.add("b", f"/proc/{process.pid}/ns/net")
        assert len(counters._tracker.by_nsid) == 1
        assert counters.read() == {"a": {"eth0": seen("eth0", 3)}, "b": {"eth0": seen("eth0", 3)}}
        counters.discard("a")
        assert counters.read() == {"b": {"eth0": seen("eth0", 3)}}


def test_every_way_to_name_a_namespace_is_taken(net, run, counters):
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 1)
        with support.process_inside(blue.fileno()) as process:
            pidfd = os.pidfd_open(process.pid)
            path = f"/proc/{process.pid}/ns/net"
            ways = (blue, "blue", Path("/run/netns/blue"), path, path.encode(), pidfd)
            for key, netns in enumerate(ways):
                counters.add(key, netns)
            os.close(pidfd)
            assert counters.read() == {key: {"eth0": seen("eth0", 1)} for key in range(6)}


def test_a_container_that_ends_is_absent_and_gone(net, counters, new_namespace):
    ending, staying = fresh(), new_namespace()
    add_container_veth(net, ending, "v0", 1)
    add_container_veth(net, staying, "v1", 2)
    counters.add("a", ending)
    counters.add("b", staying)
    assert set(counters.read()) == {"a", "b"}
    assert counters.gone() == []
    end(ending)
    assert counters.read() == {"b": {"eth0": seen("eth0", 2)}}
    assert counters.gone() == ["a"]
    assert counters.read_columns().keys == ("b",)
    counters.discard("a")
    assert counters.gone() == []


def test_gone_needs_no_reading(net, counters):
    ending = fresh()
    counters.add("a", ending)
    end(ending)
    assert counters.gone() == ["a"]


def test_nothing_keeps_a_container_alive(net, counters):
    """Its end comes while it is read all the time, of both kinds, and the host's name is free."""
    net.add_veth("v0", "w0")
    netns = fresh()
    add_container_veth(net, netns, "v1", 1)
    add_macvlan(net, "mac0", "v0", netns)
    counters.add("a", netns)
    counters.read()
    end(netns)
    assert counters.read() == {}
    deadline = time.monotonic() + 10
    while True:
        try:
            net.add_veth("v1", "again")
            break
        except OSError as error:
            assert error.errno == EEXIST and time.monotonic() < deadline
            time.sleep(0.01)


def test_an_id_that_is_given_anew_is_another_container(net, counters, new_namespace):
    for number in range(6):  # inodes and ids are used again at once
        netns = fresh()
        add_container_veth(net, netns, f"v{number}", number)
        counters.add(number, netns)
        assert counters.read() == {number: {"eth0": seen("eth0", number)}}
        end(netns)
        newcomer = fresh()
        add_container_veth(net, newcomer, f"x{number}", 50 + number)
        counters.add(f"new{number}", newcomer)
        assert counters.read() == {f"new{number}": {"eth0": seen("eth0", 50 + number)}}
        assert number in counters.gone()
        end(newcomer)


def test_a_newcomer_with_the_id_of_one_that_ended_is_not_taken_for_it(net, counters):
    netns = fresh()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    with RtnetlinkSocket() as rtnetlink:
        nsid = rtnetlink.get_nsid(netns)
        end(netns)
        newcomer = fresh()
        add_container_veth(
            net, newcomer, "v1", 2
        )  # gives it an id, nobody has asked the counters since
        assert rtnetlink.get_nsid(newcomer) == nsid
    assert counters.read() == {}
    assert counters.gone() == ["a"]
    os.close(newcomer)


@pytest.mark.parametrize("cookies", [True, False])
def test_a_newcomer_with_the_name_and_the_id_of_one_that_ended_is_not_taken_for_it(
    net, counters, monkeypatch, cookies
):
    if not cookies:  # and with its inode, which is used again soon
        monkeypatch.setattr(_tracking, "cookie", lambda _: None)
        monkeypatch.setattr(_tracking, "identify", lambda *_: (4, 4711))
    with own_run():
        with NetworkNamespace.create("blue") as first:
            add_container_veth(net, first.fileno(), "v0", 1)
            counters.add("a", "blue")
            descriptor = os.dup(first.fileno())
        NetworkNamespace.delete("blue")
        end(descriptor)
        with NetworkNamespace.create("blue") as newcomer, RtnetlinkSocket() as rtnetlink:
            nsid = next(iter(counters._tracker.by_nsid))
            add_container_veth(net, newcomer.fileno(), "v1", 2)
            assert rtnetlink.get_nsid(newcomer) == nsid
            assert counters.read() == {}
            assert counters.gone() == ["a"]


def test_a_pid_that_is_used_again_is_not_the_container(net, counters, new_namespace, tmp_path):
    """What the path stands for later is of no interest."""
    first, second = new_namespace(), new_namespace()
    add_container_veth(net, first, "v0", 1)
    add_container_veth(net, second, "v1", 2)
    link = tmp_path / "link"
    with support.process_inside(first) as one, support.process_inside(second) as other:
        link.symlink_to(f"/proc/{one.pid}/ns/net")
        counters.add("a", link)
        link.unlink()
        link.symlink_to(f"/proc/{other.pid}/ns/net")
        assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}


def report_end(counters: ContainerCounters, nsid: int) -> None:
    """What the kernel would say of the end of a namespace with this id."""
    notes = counters._native.ended._notes
    notes.numbers[notes.count] = nsid
    notes.count += 1


def test_the_end_of_one_that_had_the_id_before_is_not_the_containers(net, counters, new_namespace):
    """The kernel takes an id back before it says so, and may give it anew in between."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    with support.process_inside(netns) as process:
        counters.add("by path", f"/proc/{process.pid}/ns/net")
        (nsid,) = counters._tracker.by_nsid
        report_end(counters, nsid)
        assert counters.gone() == []
        assert counters.read() == {"by path": {"eth0": seen("eth0", 1)}}


def test_the_end_of_one_that_had_the_id_before_may_be_reported_during_add(net, counters):
    netns = fresh()
    native = counters._native
    hear = native.ended.hear

    class Late:
        def __getattr__(self, name: str) -> object:
            return getattr(ended, name)

        def hear(self) -> None:
            hear()
            report_end(counters, next(iter(counters._tracker.by_nsid)))

    ended, native.ended = native.ended, Late()
    ended_notes = ended._notes
    Late._notes = ended_notes
    counters.add("by descriptor", netns)
    native.ended = ended
    assert counters.gone() == []
    end(netns)
    assert counters.gone() == ["by descriptor"]


def test_short_of_descriptors_nobody_is_taken_for_ended(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    with support.process_inside(netns) as process:
        counters.add("a", f"/proc/{process.pid}/ns/net")
        report_end(counters, next(iter(counters._tracker.by_nsid)))
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        try:
            with pytest.raises(KernelError) as caught:
                counters.gone()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert caught.value.errno == EMFILE
        assert counters.gone() == []
        assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}


def test_a_path_that_is_discarded_is_forgotten(net, counters, new_namespace):
    netns = new_namespace()
    counters.add("kept", netns)
    with support.process_inside(netns) as process:
        for _ in range(3):
            counters.add("again", f"/proc/{process.pid}/ns/net")
            counters.discard("again")
    (space,) = counters._tracker.by_nsid.values()
    assert space.keys == {"kept": None}


def test_a_container_is_known_again_after_notifications_of_ends_were_lost(net, counters):
    """By its path, where it has one; what can't be known again counts as ended."""
    kept, ending = fresh(), fresh()
    add_container_veth(net, kept, "v0", 1)
    add_container_veth(net, ending, "v1", 2)
    counters._native.ended._notes.room = 0
    counters.add("host", "/proc/thread-self/ns/net")
    with support.process_inside(kept) as one, support.process_inside(ending) as other:
        counters.add("kept", f"/proc/{one.pid}/ns/net")
        counters.add("ending", f"/proc/{other.pid}/ns/net")
        counters.add("by descriptor", ending)
        third = fresh()
        counters.add("third", third)
        assert len(counters.read()) == 5
        end(third)
        other.kill()
        other.wait()
        end(ending)
        read = counters.read()
        assert read.keys() == {"host", "kept"}
        assert read["kept"] == {"eth0": seen("eth0", 1)}
    assert set(counters.gone()) == {"ending", "by descriptor", "third"}
    os.close(kept)


def test_a_real_overflow_of_the_queue_of_ends_is_survived(net, counters):
    """It is small, and nobody reads while 30 namespaces end."""
    kept, ending = fresh(), fresh()
    add_container_veth(net, kept, "v0", 1)
    with support.process_inside(kept) as process:
        counters.add("kept", f"/proc/{process.pid}/ns/net")
        counters.add("ending", ending)
        os.close(kept)
        with socket.socket(fileno=os.dup(counters._native._sock.fd)) as queue:
            queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for number in range(30):
            netns = fresh()
            net.add_veth(f"w{number}", "eth0", peer_netns=netns)
            end(netns)
        end(ending)
        assert counters.read() == {"kept": {"eth0": seen("eth0", 1)}}
        assert counters.gone() == ["ending"]


# ---- what happens to interfaces ----


def test_a_rename_inside_a_container_is_followed(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}
    rename(netns, "eth0", "net1")
    assert counters.read() == {"a": {"net1": seen("net1", 1)}}


def test_names_that_are_swapped_inside_a_container_are_followed(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1, "eth0")
    add_container_veth(net, netns, "v1", 2, "eth1")
    counters.add("a", netns)
    assert counters.read()["a"] == {"eth0": seen("eth0", 1), "eth1": seen("eth1", 2)}
    rename(netns, "eth0", "free")
    rename(netns, "eth1", "eth0")
    rename(netns, "free", "eth1")
    assert counters.read()["a"] == {"eth0": seen("eth0", 2), "eth1": seen("eth1", 1)}


def test_a_rename_of_the_hosts_end_changes_nothing(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    table = counters.read_columns()
    net.rename(socket.if_nametoindex("v0"), "other")
    assert counters.read_columns().names is table.names
    assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}


def test_an_interface_that_is_swapped_between_containers_goes_with_its_numbers(
    net, counters, new_namespace
):
    one, other = new_namespace(), new_namespace()
    add_container_veth(net, one, "v0", 1, "first")
    add_container_veth(net, other, "v1", 2, "second")
    counters.add("a", one)
    counters.add("b", other)
    counters.read()
    with inside(one), Links() as there:
        there.move("first", other)
    with inside(other), Links() as there:
        there.move("second", one)
    read = counters.read()
    assert {name: row.rx_bytes for name, row in read["a"].items()} == {
        "second": seen("", 2).rx_bytes
    }
    assert {name: row.rx_bytes for name, row in read["b"].items()} == {
        "first": seen("", 1).rx_bytes
    }


def test_an_interface_made_again_with_the_same_index_starts_anew(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 9, index=777)
    counters.add("a", netns)
    assert counters.read() == {"a": {"eth0": seen("eth0", 9)}}
    net.delete("v0")
    add_container_veth(net, netns, "v0", 3, index=777)
    assert counters.read() == {"a": {"eth0": seen("eth0", 3)}}


def test_an_interface_made_again_under_its_name_has_another_identity(net, counters, new_namespace):
    """Also where one of the two indexes is the same; a name has nothing to do with it."""
    netns, home = new_namespace(), support.network_namespace()
    seen = set()
    for index in (0, 50, 50, 0):  # that of the container's end
        with inside(netns), Links() as there:
            there.add_veth("eth0", "v0", peer_netns=home, index=index)
        if not seen:
            counters.add("a", netns)
        (identity,) = counters.read_columns().identities
        assert identity not in seen
        seen.add(identity)
        rename(netns, "eth0", "other")
        assert counters.read_columns().identities == (identity,)
        net.delete("v0")
    os.close(home)


def test_two_containers_have_no_identity_in_common(net, counters, new_namespace):
    """Each has a pair of its own in it, with the indexes that the other's has."""
    for key in ("a", "b"):
        netns = new_namespace()
        with inside(netns), Links() as there:
            support.add_patterned(there, 3)
        counters.add(key, netns)
    table = counters.read_columns()
    assert table.names == ("w3", "v3", "w3", "v3")
    assert len(set(table.identities)) == 4
    assert counters.read_columns().identities is table.identities


def test_an_index_that_a_stranger_has_now_is_not_read(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 9, index=777)
    counters.add("a", netns)
    counters.read()
    net.delete("v0")
    net.add_veth("w0", "w1", index=777)
    support.send_frames("w0", *support.pattern(4))
    assert counters.read() == {"a": {}}


def test_a_hosts_end_that_moves_away_is_read_from_the_containers_side(net, counters, new_namespace):
    netns, away = new_namespace(), new_namespace()
    add_container_veth(net, netns, "v0", 5)
    counters.add("a", netns)
    assert counters.read() == {"a": {"eth0": seen("eth0", 5)}}
    net.move("v0", away)
    read = counters.read()["a"]["eth0"]
    assert read.rx_bytes == seen("eth0", 5).rx_bytes


class Deaf:
    """Notes that note nothing."""

    def hear(self) -> None: ...

    def any(self) -> bool:
        return False


def test_a_stranger_with_the_index_of_an_end_that_moved_away_is_not_read(
    net, counters, new_namespace, monkeypatch
):
    """Of the move itself the container's side gets no notification."""
    netns, away = new_namespace(), new_namespace()
    add_container_veth(net, netns, "v0", 5, index=777)
    counters.add("a", netns)
    counters.read()
    monkeypatch.setattr(counters._native, "elsewhere", Deaf())  # of a carrier that is lost, say
    net.move("v0", away)
    net.add_veth("w0", "w1", index=777)
    support.send_frames("w0", *support.pattern(4))
    assert counters.read()["a"]["eth0"].rx_bytes == seen("eth0", 5).rx_bytes
    assert not counters._tracker.deleted_at


def test_an_interface_that_comes_later_is_found(net, counters, new_namespace):
    netns = new_namespace()
    counters.add("a", netns)
    assert counters.read() == {"a": {}}
    add_container_veth(net, netns, "v0", 1)
    assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}
    net.add_veth("v2", "w2")
    add_macvlan(net, "mac0", "v2", netns)
    assert set(counters.read()["a"]) == {"eth0", "mac0"}
    net.delete("v2")
    assert set(counters.read()["a"]) == {"eth0"}


def test_lost_notifications_make_everything_be_looked_up_again(net, counters, new_namespace):
    one, other = new_namespace(), new_namespace()
    add_container_veth(net, one, "v0", 1)
    add_container_veth(net, other, "v1", 2)
    counters.add("a", one)
    counters.add("b", other)
    counters.read()
    native = counters._native
    assert native.elsewhere is not None
    for notes in (native.links, native.elsewhere):
        notes._notes.room = 0
    rename(one, "eth0", "net1")
    net.delete("v1")
    # What is lost during a reading is lost in every attempt: the second reading sees it all.
    native.elsewhere._notes.room = native.links._notes.room = 0
    with contextlib.suppress(KernelError):
        counters.read()
    native.links._notes.room = native.elsewhere._notes.room = 1024
    assert counters.read() == {"a": {"net1": seen("net1", 1)}, "b": {}}


def test_a_real_overflow_of_the_queues_is_survived(net, counters, new_namespace):
    """The queues are small, and nobody reads while 400 renames come."""
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


# ---- churn ----


class Churn:
    """Two containers whose interfaces are renamed, moved, deleted and made again all the time.

    The name and the traffic of an interface go together: `eN` has received pattern(N), or one that
    was made just now nothing yet, or part of it. In what order it happens is the seed's.
    """

    def __init__(self, host: int, spaces: list[int], seed: int) -> None:
        self.host, self.spaces = host, spaces
        self.random = random.Random(seed)
        self.over = threading.Event()
        self.steps = 0

    def step(self, links: Links) -> None:
        number = self.random.randrange(6)
        host, name = f"h{number}", f"e{number}"
        space = self.spaces[number % 2]
        other = self.spaces[(number + 1) % 2]
        action = self.random.choice(("make", "delete", "move", "rename", "host"))
        with contextlib.suppress(OSError):
            if action == "make":
                add_container_veth(
                    links, space, host, number, name, index=1000 + self.random.randrange(6)
                )
            elif action == "delete":
                links.delete(host)
            elif action == "move":
                with inside(space), Links() as there:
                    there.move(name, other)
                with inside(other), Links() as there:
                    there.move(name, space)
            elif action == "rename":
                rename(space, name, f"t{number}")
                rename(space, f"t{number}", name)
            else:
                links.rename(socket.if_nametoindex(host), f"g{number}")
                links.rename(socket.if_nametoindex(f"g{number}"), host)
        self.steps += 1

    def run(self) -> None:
        with inside(self.host), Links() as links:
            while not self.over.is_set():
                self.step(links)


def is_possible(row: NetworkInterface) -> bool:
    """Whether an interface of that name can have these counters."""
    count, size = support.pattern(int(row.name[1:]))
    frames, rest = divmod(row.rx_bytes, size)  # of one that passes, packets or bytes come first
    return (
        max(row.rx_packets, frames) <= count
        and rest == 0
        and abs(row.rx_packets - frames) <= 1
        and (row.tx_packets, row.tx_bytes, row.rx_errors, row.tx_errors) == (0, 0, 0, 0)
    )


@pytest.mark.parametrize("seed", range(2))
def test_a_thousand_readings_under_churn_never_give_anothers_numbers(net, new_namespace, seed):
    spaces = [new_namespace(), new_namespace()]
    host = support.network_namespace()
    churn = Churn(host, spaces, seed)
    read = rows = 0
    thread = threading.Thread(target=churn.run)
    with ContainerCounters() as counters:
        for number, space in enumerate(spaces):
            counters.add(number, space)
        thread.start()
        try:
            while read < 1000 or churn.steps < 200:
                try:
                    reading = counters.read()
                except KernelError as error:
                    assert error.errno == EAGAIN, error  # it was too much at once
                    continue
                read += 1
                for interfaces in reading.values():
                    for row in interfaces.values():
                        rows += 1
                        assert is_possible(row), row
        finally:
            churn.over.set()
            thread.join()
        assert rows > 1000
        assert counters.gone() == []
    os.close(host)


class Hooked:
    """The native half, with something that happens just before a call of one of its methods."""

    def __init__(self, counters: ContainerCounters, method: str, hook: Callable[[], None]) -> None:
        self._counters, self._native = counters, counters._native
        self._method, self._hook = method, hook

    def __getattr__(self, name: str) -> object:
        if name == self._method:
            self._hook()
        return getattr(self._native, name)

    def __enter__(self) -> None:
        self._counters._idle = self

    def __exit__(self, *_: object) -> None:
        self._counters._idle = self._native


@pytest.mark.parametrize("lost", [False, True])
def test_an_index_that_goes_to_another_container_during_a_reading_goes_with_its_numbers(
    net, counters, new_namespace, lost
):
    one, other = new_namespace(), new_namespace()
    add_container_veth(net, one, "v0", 1, index=777)
    counters.add("one", one)
    counters.add("other", other)
    counters.read()
    rename(one, "eth0", "net0")  # so that its links are dumped, which happens once a reading
    happened = []

    def hand_over() -> None:
        names = [
            name for space in counters._tracker.by_nsid.values() for _, _, name in space.dump.links
        ]
        if names != ["net0"] or happened:
            counters._native.links._notes.room = 1024
            return
        happened.append(True)
        net.delete("v0")
        add_container_veth(net, other, "v1", 2, index=777)
        if lost:
            counters._native.links._notes.room = 0

    with Hooked(counters, "dump_stats", hand_over):
        read = counters.read()
    assert happened
    assert read == {"one": {}, "other": {"eth0": seen("eth0", 2)}}
    assert counters.read() == read


def test_counters_that_are_older_than_the_links_are_not_taken_for_theirs(
    net, counters, new_namespace
):
    """An index goes to another container's pair between the two dumps."""
    one, other, third = new_namespace(), new_namespace(), new_namespace()
    add_container_veth(net, one, "v0", 1, index=777)
    add_container_veth(net, third, "v3", 3)
    for key, netns in enumerate((one, other, third)):
        counters.add(key, netns)
    counters.read()
    rename(third, "eth0", "net0")  # so that there is a second try
    heard = []

    def hand_over() -> None:
        heard.append(True)
        if len(heard) == 2:
            net.delete("v0")
            add_container_veth(net, other, "v1", 2, index=777)

    with Hooked(counters, "hear", hand_over):
        read = counters.read()
    assert read == {0: {}, 1: {"eth0": seen("eth0", 2)}, 2: {"net0": seen("net0", 3)}}


def test_a_hosts_end_that_moves_away_during_a_reading_is_looked_up_again(
    net, counters, new_namespace
):
    netns, away = new_namespace(), new_namespace()
    add_container_veth(net, netns, "v0", 5)
    counters.add("a", netns)
    counters.read()
    rename(netns, "eth0", "net0")
    (space,) = counters._tracker.by_nsid.values()
    moved = []

    def move() -> None:
        if space.dump.links[0][2] == "net0" and not moved:
            moved.append(net.move("v0", away))

    with Hooked(counters, "dump_stats", move):
        read = counters.read()
    assert moved
    assert read["a"]["net0"].rx_bytes == seen("", 5).rx_bytes


def test_containers_that_change_one_after_the_other_do_not_keep_a_reading_from_its_end(
    net, counters, new_namespace
):
    spaces = [new_namespace() for _ in range(12)]
    for number, netns in enumerate(spaces):
        add_container_veth(net, netns, f"v{number}", number)
        counters.add(number, netns)
    counters.read()
    changing = iter(enumerate(spaces))

    def change() -> None:
        for number, netns in changing:
            rename(netns, "eth0", f"net{number}")
            break

    with Hooked(counters, "hear", change):
        read = counters.read()
    assert read == {n: {f"net{n}": seen(f"net{n}", n)} for n in range(12)}


def test_containers_that_come_and_go_never_give_anothers_numbers(net, counters):
    """Inodes and ids are used again all the time; each has a pattern of its own."""
    alive: dict[int, int] = {}
    for number in range(60):
        netns = fresh()
        add_container_veth(net, netns, f"v{number}", number)
        counters.add(number, netns)
        alive[number] = netns
        if number % 3:
            os.close(alive.pop(min(alive)))
        for key, interfaces in counters.read().items():
            # One whose end the kernel has not got round to yet may still be there.
            assert interfaces in ({"eth0": seen("eth0", key)}, {}), key
    for netns in alive.values():
        os.close(netns)


# ---- a malicious container ----


@contextlib.contextmanager
def flood(netns: int) -> Iterator[list[int]]:
    """A container that renames its interface as fast as it can."""
    over, count = threading.Event(), [0]

    def run() -> None:
        with inside(netns), Links() as links:
            index = socket.if_nametoindex("eth0")
            while not over.is_set():
                links.rename(index, f"x{count[0]}")
                count[0] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()


def test_a_flood_of_renames_leaves_the_others_right(net, counters, new_namespace):
    victim, culprit = new_namespace(), new_namespace()
    add_container_veth(net, victim, "v0", 1)
    add_container_veth(net, culprit, "v1", 2)
    counters.add("victim", victim)
    counters.add("culprit", culprit)
    with flood(culprit) as count:
        while count[0] < 2000:
            read = counters.read()
            assert read["victim"] == {"eth0": seen("eth0", 1)}
            (row,) = read["culprit"].values()
            assert row == seen(row.name, 2)


def test_a_flood_makes_a_container_be_dumped_once_a_reading(net, counters, new_namespace):
    victim, culprit = new_namespace(), new_namespace()
    add_container_veth(net, victim, "v0", 1)
    add_container_veth(net, culprit, "v1", 2)
    counters.add("victim", victim)
    counters.add("culprit", culprit)
    native = counters._native
    dumps: list[int] = []
    dump_ends = native.dump_ends

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(native, name)

        def dump_ends(self, nsid: int, known: object) -> object:
            dumps.append(nsid)
            rename(culprit, next_name(), next_name(1))
            return dump_ends(nsid, known)

    def next_name(step: int = 0) -> str:
        names.append(names[-1] + step)
        return "eth0" if not names[-1] else f"x{names[-1]}"

    names = [0]
    rename(culprit, next_name(), next_name(1))
    counters._idle = Counting()
    try:
        for _ in range(5):
            dumps.clear()
            counters._read(Counting())  # type: ignore[arg-type]
            assert len(dumps) == len(set(dumps)), dumps
    finally:
        counters._idle = native


def test_a_container_whose_links_never_settle_keeps_nobody_back(net, counters, new_namespace):
    """Its dumps take several datagrams, and hardly one of them is consistent."""
    victim, culprit = new_namespace(), new_namespace()
    add_container_veth(net, victim, "v0", 1)
    add_container_veth(net, culprit, "v1", 2)
    counters.add("victim", victim)
    counters.add("culprit", culprit)
    with inside(culprit), RtnetlinkSocket() as there:
        batch = pynetstrat.Batch()
        for number in range(400):
            batch.add_link(f"ifb{number}", "ifb")
        there.execute(batch)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException), inside(culprit), Links() as there:
            while True:
                there.add_bridge("br0")
                there.delete("br0")
        os._exit(1)
    try:
        for _ in range(20):
            read = counters.read()
            assert read["victim"] == {"eth0": seen("eth0", 1)}
            assert read["culprit"]["eth0"] == seen("eth0", 2)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_496_alternative_names_hide_nothing(net, counters, new_namespace):
    """The kernel can't put such a link into a dump of another namespace."""
    victim, culprit = new_namespace(), new_namespace()
    add_container_veth(net, victim, "v0", 1)
    add_container_veth(net, culprit, "v1", 2)
    counters.add("victim", victim)
    counters.add("culprit", culprit)
    with inside(culprit), Links() as there:
        for number in range(496):
            there.add_altname("eth0", f"{number:03}" + "n" * 124)
    for _ in range(3):
        assert counters.read() == {
            "victim": {"eth0": seen("eth0", 1)},
            "culprit": {"eth0": seen("eth0", 2)},
        }
    rename(culprit, "eth0", "net1")
    assert counters.read()["culprit"] == {"net1": seen("net1", 2)}
    late = ContainerCounters()
    with late:
        late.add("culprit", culprit)
        assert late.read() == {"culprit": {"net1": seen("net1", 2)}}


def test_a_container_that_ends_while_a_hidden_link_is_asked_for_is_gone(net, counters):
    netns = fresh()
    add_container_veth(net, netns, "v0", 1)
    with inside(netns), Links() as there:
        for number in range(496):
            there.add_altname("eth0", f"{number:03}" + "n" * 124)
    counters.add("a", netns)
    ending = [netns]

    def end_it() -> None:
        if ending:
            end(ending.pop())

    with Hooked(counters, "add_hidden", end_it):
        assert counters.read() == {}
    assert counters.gone() == ["a"]


def test_a_link_that_is_hidden_later_is_found(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    assert set(counters.read()["a"]) == {"eth0"}
    net.add_veth("v1", "w1", up=False)
    for number in range(496):
        net.add_altname("w1", f"{number:03}" + "n" * 124)
    net.move("w1", netns)
    assert counters.read()["a"].keys() == {"eth0", "w1"}
    with inside(netns), Links() as there:
        there.delete("w1")
    assert set(counters.read()["a"]) == {"eth0"}


def test_a_link_without_an_end_here_is_kept_though_it_hides(net, counters, new_namespace):
    netns = new_namespace()
    net.add_veth("v0", "w0")
    add_macvlan(net, "mac0", "v0", netns)
    counters.add("a", netns)
    before = counters.read()["a"]
    with inside(netns), Links() as there:
        for number in range(496):
            there.add_altname("mac0", f"{number:03}" + "n" * 124)
        there.set_up("mac0")
        support.send_frames("mac0", 1, 100)
    for _ in range(2):
        read = counters.read()["a"]
        assert read.keys() == before.keys() == {"mac0"}
        assert read["mac0"].tx_bytes >= 100


# ---- bad input ----


def test_what_is_not_a_namespace_is_refused(net, counters, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KernelError) as caught:
        counters.add("a", "no-such-name")
    assert caught.value.errno == ENOENT
    for netns in (tmp_path / "file", "/proc/self/ns/mnt"):
        with pytest.raises(KernelError) as caught:
            counters.add("a", netns)
        assert caught.value.errno == EINVAL
    with pytest.raises(TypeError, match="netns must be"):
        counters.add("a", 1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="netns must be"):
        counters.add("a", None)  # type: ignore[arg-type]
    with pytest.raises(KernelError) as caught:
        counters.add("a", 999999)
    assert caught.value.errno == EBADF
    assert counters.read() == {}


def test_a_key_that_is_taken_is_refused(net, counters, new_namespace):
    netns = new_namespace()
    counters.add("a", netns)
    with pytest.raises(ValueError, match="key 'a' is taken"):
        counters.add("a", new_namespace())
    ending = fresh()
    counters.add("b", ending)
    end(ending)
    assert counters.gone() == ["b"]
    with pytest.raises(ValueError, match="key 'b' is taken"):
        counters.add("b", netns)
    counters.discard("b")
    counters.add("b", netns)
    assert counters.read() == {"a": {}, "b": {}}


def test_a_key_that_is_not_hashable_is_refused(net, counters, new_namespace):
    with pytest.raises(TypeError, match="unhashable"):
        counters.add([], new_namespace())  # type: ignore[arg-type]
    assert counters.read() == {}


def test_a_key_that_is_not_there_can_be_discarded(counters):
    counters.discard("a")


def test_a_timeout_that_is_none_is_refused():
    with pytest.raises(ValueError, match="timeout is"):
        ContainerCounters(timeout=-1)


def test_after_close_everything_is_refused(net, new_namespace):
    counters = ContainerCounters()
    counters.add("a", new_namespace())
    counters.close()
    counters.close()
    for call in (
        lambda: counters.add("b", new_namespace()),
        lambda: counters.discard("a"),
        counters.read,
        counters.read_columns,
        counters.gone,
    ):
        with pytest.raises(KernelError, match="this ContainerCounters is closed") as caught:
            call()
        assert caught.value.errno == EBADF
    assert "closed" in repr(counters)


def test_a_namespace_that_may_not_be_entered_is_refused(net, counters, new_namespace):
    netns = new_namespace()
    with support.without(support.CAP_SYS_ADMIN), pytest.raises(PermissionDeniedError) as caught:
        counters.add("a", netns)
    assert "CAP_SYS_ADMIN" in str(caught.value)
    assert counters.read() == {}


def test_a_namespace_that_may_not_be_asked_about_is_refused(net, new_namespace):
    """What a socket may do depends on who opened it, and on who asks."""
    netns = new_namespace()
    with support.without(support.CAP_NET_ADMIN), ContainerCounters() as counters:
        with pytest.raises(PermissionDeniedError) as caught:
            counters.add("a", netns)
        assert "CAP_NET_ADMIN" in str(caught.value)
        assert counters.read() == {}


def test_without_notifications_of_others_everything_is_looked_up_each_time(net, new_namespace):
    """CAP_NET_BROADCAST is missing."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    with support.without(11), ContainerCounters() as counters:
        assert counters._native.elsewhere is None
        counters.add("a", netns)
        assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}
        rename(netns, "eth0", "net1")
        assert counters.read() == {"a": {"net1": seen("net1", 1)}}


def test_a_reading_that_is_refused_is_an_error_and_the_next_is_right(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    rename(netns, "eth0", "net0")
    with support.without(support.CAP_NET_ADMIN), pytest.raises(PermissionDeniedError):
        counters.read()
    assert counters.read() == {"a": {"net0": seen("net0", 1)}}


def test_short_of_descriptors_it_is_not_opened_by_halves(net):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    refused = 0
    try:
        for more in range(20):
            resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, limits[1]))
            try:
                ContainerCounters().close()
            except KernelError as error:
                assert error.errno == EMFILE
                refused += 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert refused == 4  # three sockets, and the namespace's own descriptor


def test_before_cookies_an_inode_is_enough(net, monkeypatch, new_namespace):
    """Linux 5.13: the inode, as long as the kernel does not report the namespace's end."""
    monkeypatch.setattr(_tracking, "cookie", lambda _: None)
    with ContainerCounters() as counters:
        netns = fresh()
        add_container_veth(net, netns, "v0", 1)
        counters.add("a", netns)
        counters.add("a too", netns)
        assert len(counters._tracker.by_nsid) == 1
        end(netns)
        newcomer = new_namespace()
        add_container_veth(net, newcomer, "v1", 2)
        counters.add("b", newcomer)
        assert counters.read() == {"b": {"eth0": seen("eth0", 2)}}
        assert counters.gone() == ["a", "a too"]


# ---- as every handle ----


def test_it_is_closed_once_warned_about_and_not_copied(net):
    import copy
    import pickle

    counters = ContainerCounters()
    for attempt in (copy.copy, pickle.dumps):
        with pytest.raises(TypeError, match="can't be copied or pickled"):
            attempt(counters)
    with pytest.warns(ResourceWarning, match="unclosed <ContainerCounters of 0 containers"):
        del counters
        gc.collect()


def test_a_forked_child_is_refused(net, new_namespace):
    with ContainerCounters() as counters:
        counters.add("a", new_namespace())
        child = os.fork()
        if child == 0:
            try:
                counters.read()
            except KernelError as error:
                os._exit(0 if "before fork()" in str(error) else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert counters.read() == {"a": {}}


def test_threads_take_turns(net, new_namespace):
    spaces = [new_namespace() for _ in range(4)]
    for number, netns in enumerate(spaces):
        add_container_veth(net, netns, f"v{number}", number)
    with ContainerCounters() as counters:
        for number, netns in enumerate(spaces):
            counters.add(number, netns)
        expected = {n: {"eth0": seen("eth0", n)} for n in range(4)}

        def read() -> None:
            for _ in range(100):
                assert counters.read() == expected
                assert counters.read_columns().keys == (0, 1, 2, 3)

        support.run_threads(*[read] * 4)


def test_containers_are_added_and_discarded_while_other_threads_read(net, new_namespace):
    spaces = [new_namespace() for _ in range(3)]
    for number, netns in enumerate(spaces):
        add_container_veth(net, netns, f"v{number}", number)
    over = threading.Event()
    with ContainerCounters() as counters:
        counters.add(0, spaces[0])

        def come_and_go(number: int) -> None:
            try:
                for _ in range(100):
                    counters.add(number, spaces[number])
                    assert counters.read()[number] == {"eth0": seen("eth0", number)}
                    counters.discard(number)
                    assert number not in counters.read()
            finally:
                over.set()

        def read() -> None:
            while not over.is_set():
                read = counters.read()
                assert read.keys() >= {0} and counters.gone() == []
                for number, interfaces in read.items():
                    assert interfaces == {"eth0": seen("eth0", number)}

        support.run_threads(lambda: come_and_go(1), lambda: come_and_go(2), read, read)


def test_close_while_others_read_ends_their_readings(net, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters = ContainerCounters()
    counters.add("a", netns)
    read = threading.Semaphore(0)

    def go_on() -> None:
        with pytest.raises(KernelError, match="this ContainerCounters is closed"):
            while True:
                assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}
                read.release()

    def close() -> None:
        for _ in range(20):
            read.acquire()
        counters.close()

    support.run_threads(go_on, go_on, close)


def test_a_signal_handler_that_raises_at_any_moment_leaves_everything_true(net, new_namespace):
    """Something has happened before each reading; what is read after the broken one has it."""

    class Interrupted(BaseException):
        pass

    def strike(*_: object) -> None:
        raise Interrupted

    one, other = new_namespace(), new_namespace()
    add_container_veth(net, one, "v0", 1, "eth0")
    add_container_veth(net, one, "v1", 2, "eth1")
    before = signal.signal(signal.SIGALRM, strike)
    # Not measured for coverage: a handler that strikes the tracer leaves its lock taken.
    tracer = sys.gettrace()
    sys.settrace(None)
    struck = 0
    try:
        with ContainerCounters() as counters:
            counters.add("one", one)
            counters.read()
            for turn in range(60):
                rename(one, "eth0", "free")
                rename(one, "eth1", "eth0")
                rename(one, "free", "eth1")
                ending = fresh()
                add_container_veth(net, ending, "v2", 3, index=777)
                counters.add("ending", ending)
                end(ending)
                while "v2" in [name for _, name in socket.if_nameindex()]:
                    time.sleep(0.001)
                net.add_veth("x2", "y2", index=777, up=False)  # a stranger's
                try:
                    signal.setitimer(signal.ITIMER_REAL, (1 + turn) * 15e-6)
                    counters.add("other", other)
                    counters.discard("other")
                    counters.read()
                    counters.gone()
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Interrupted:
                    struck += 1
                counters.discard("other")
                first, second = (2, 1) if turn % 2 == 0 else (1, 2)
                assert counters.read() == {
                    "one": {"eth0": seen("eth0", first), "eth1": seen("eth1", second)}
                }
                assert counters.gone() == ["ending"]
                counters.discard("ending")
                assert len(counters._tracker.by_nsid) == 1
                net.delete("x2")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.settrace(tracer)
    assert struck


def test_it_holds_four_sockets_and_nothing_of_the_containers(net, new_namespace):
    before = support.descriptors()
    with ContainerCounters() as counters:
        for number in range(20):
            netns = new_namespace()
            before = before | {str(netns): support.descriptors()[str(netns)]}
            add_container_veth(net, netns, f"v{number}", number)
            counters.add(number, netns)
        counters.read()
        held = set(support.descriptors()) - set(before)
        assert len(held) == 4  # one hears of namespaces, two of links, one makes changes


def test_the_named_namespaces_of_a_host_are_counted_by_their_names(net, run, counters):
    expected = {}
    for number, name in enumerate(("blue", "red")):
        with NetworkNamespace.create(name) as namespace:
            add_container_veth(net, namespace.fileno(), f"v{number}", number)
        expected[name] = {"eth0": seen("eth0", number)}
    for name in NetworkNamespace.names():
        counters.add(name, name)
    assert counters.read() == expected


def test_links_that_never_settle_end_in_an_error(net, counters, new_namespace, monkeypatch):
    """What the kernel reports of the host's links is lost in every attempt."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)

    class Lossy:
        def hear(self) -> None: ...

        def any(self) -> bool:
            return True

        def peek(self) -> tuple[None, bool]:
            return None, False

        def clear(self) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(counters._native, "links", Lossy())
        with pytest.raises(KernelError, match="list changed") as caught:
            counters.read()
        assert caught.value.errno == EAGAIN
    assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}


def test_a_namespace_that_took_anothers_id_unnoticed_takes_its_place(net, counters, new_namespace):
    """No notification came of the end of the first, and the cookie shows it."""
    netns, newcomer = new_namespace(), new_namespace()
    add_container_veth(net, newcomer, "v0", 2)
    counters.add("a", netns)
    native = counters._native
    (space,) = counters._tracker.by_nsid.values()
    del counters._tracker.by_nsid[space.nsid]
    space.nsid = native.assign_nsid(newcomer)
    counters._tracker.by_nsid[space.nsid] = space
    counters.add("b", newcomer)
    assert counters.read() == {"b": {"eth0": seen("eth0", 2)}}
    assert counters.gone() == ["a"]


def test_an_end_that_only_the_dump_shows_is_heeded(net, counters, monkeypatch):
    netns = fresh()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    counters.read()
    end(netns)
    monkeypatch.setattr(Tracker, "process_ended", lambda *_: None)
    (space,) = counters._tracker.by_nsid.values()
    counters._tracker.stale.add(space)
    assert counters.read() == {}
    assert counters.gone() == ["a"]


def test_a_link_of_a_container_that_was_let_go_of_is_of_no_interest(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    counters.add("b", new_namespace())
    counters.read()
    counters.discard("a")
    net.delete("v0")
    assert counters.read() == {"b": {}}


def test_a_namespace_that_can_not_be_is_refused(net, counters, new_namespace):
    """It is open, and the kernel says that there is none of its id."""
    with Hooked(counters, "dump_ends", lambda: None), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Containers, "dump_ends", lambda *_: None)
        with pytest.raises(KernelError, match="RTM_GETLINK"):
            counters.add("a", new_namespace())
    counters.add("a", new_namespace())
    assert counters.read() == {"a": {}}


def test_a_representation_says_how_many_and_where(net, new_namespace):
    unborn = ContainerCounters.__new__(ContainerCounters)
    assert repr(unborn) == "<ContainerCounters of 0 containers, from no namespace: closed>"
    with ContainerCounters() as counters:
        counters.add("a", new_namespace())
        assert repr(counters) == (
            "<ContainerCounters of 1 containers, from its opener's namespace: open>"
        )
