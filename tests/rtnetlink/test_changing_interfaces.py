"""Interfaces that are renamed, deleted and made while their counters are read."""

from __future__ import annotations

import errno
import itertools
import os
import random
import socket
import struct
import sys
import threading
import time

import pytest
import support

from pynetstrat import InterfaceNotFoundError, KernelError, NetworkInterface, RtnetlinkSocket


@pytest.mark.slow
def test_readings_are_right_during_a_thousand_renames(net):
    """Each veth alternates between two names and has traffic of its own."""
    count, renames = 10, 1000
    for number in range(count):
        support.add_patterned(net, number)
    indexes = [socket.if_nametoindex(f"v{number}") for number in range(count)]
    done = threading.Event()
    answered = []

    def rename():
        try:
            with support.Links() as links:
                for turn in range(renames):
                    number = turn % count
                    name = "b" if turn // count % 2 == 0 else "v"
                    links.rename(indexes[number], f"{name}{number}")
        finally:
            done.set()

    def read():
        reads = found = 0
        with RtnetlinkSocket() as rtnetlink:
            for number in itertools.cycle(range(count)):
                if done.is_set() and reads >= 1000:
                    break
                for name in (f"v{number}", f"b{number}"):
                    reads += 1
                    try:
                        assert rtnetlink.get_stats(name) == support.view(name, number)
                        found += 1
                    except InterfaceNotFoundError:
                        pass
        answered.append(found)

    support.run_threads(rename, read, read)
    assert all(answered)
    assert len(answered) == 2


@pytest.mark.slow
def test_a_name_that_passes_from_link_to_link_is_never_read_from_another(net):
    """One name passes between interfaces: each answer is of one that had it during the call."""
    count = 6
    for number in range(count):
        support.add_patterned(net, number)
    indexes = [socket.if_nametoindex(f"v{number}") for number in range(count)]
    owners: list[int | None] = [None]  # as of each step; a step is entered before it is taken
    done = threading.Event()

    def rename():
        try:
            with support.Links() as links:
                for turn in range(50_000):
                    if turn > 500 and found:
                        break
                    number = turn % count
                    owners.append(number)
                    links.rename(indexes[number], "hot")
                    owners.append(None)
                    links.rename(indexes[number], f"v{number}")
        finally:
            done.set()

    found = []

    def read():
        with RtnetlinkSocket() as rtnetlink:
            while not done.is_set():
                before = len(owners)
                try:
                    stats = rtnetlink.get_stats("hot")
                except InterfaceNotFoundError:
                    continue
                # Who had it, from just before the call to just after.
                candidates = owners[max(0, before - 2) : len(owners)]
                assert any(
                    number is not None and stats == support.view("hot", number)
                    for number in candidates
                ), (stats, candidates)
                found.append(stats)

    support.run_threads(rename, read)
    assert found


@pytest.mark.slow
def test_dumps_are_right_during_renames(net):
    count = 6
    for number in range(count):
        support.add_patterned(net, number)
    indexes = [socket.if_nametoindex(f"v{number}") for number in range(count)]
    done = threading.Event()

    def rename():
        try:
            with support.Links() as links:
                for turn in range(600):
                    number = turn % count
                    name = "b" if turn // count % 2 == 0 else "v"
                    links.rename(indexes[number], f"{name}{number}")
        finally:
            done.set()

    def check(names, rows):
        assert len(names) == len(set(names)) == 1 + 2 * count
        for name, row in zip(names, rows, strict=True):
            if name[0] in "vb":
                assert row == support.values(support.view("", int(name[1:])))

    def dump():
        dumps = 0
        with RtnetlinkSocket() as rtnetlink:
            while not done.is_set() or not dumps:
                try:
                    columns = rtnetlink.dump_counters()
                    check(columns.names, columns.counters.tolist())
                    found = rtnetlink.dump_stats()
                    check(list(found), map(support.values, found.values()))
                    assert [interface.name for interface in found.values()] == list(found)
                    dumps += 1
                except KernelError as error:
                    assert error.errno == errno.EAGAIN

    support.run_threads(rename, dump)


@pytest.mark.slow
def test_a_link_made_again_under_its_name_has_its_own_counters(net, rtnetlink):
    for number in range(1, 20):
        net.add_veth("v0", "w0")
        support.send_frames("v0", *support.pattern(number))
        for _ in range(2):
            assert rtnetlink.get_stats("v0") == support.view("v0", number)
        assert rtnetlink.dump_stats()["v0"] == support.view("v0", number)
        net.delete("v0")
        with pytest.raises(InterfaceNotFoundError) as caught:
            rtnetlink.get_stats("v0")
        assert caught.value.interface == "v0"
        assert list(rtnetlink.dump_stats()) == ["lo"]


def test_two_interfaces_that_swap_names_keep_their_counters(net, rtnetlink):
    for number in (0, 1):
        support.add_patterned(net, number)
    indexes = [socket.if_nametoindex(f"v{number}") for number in (0, 1)]
    rtnetlink.dump_stats()
    for turn in range(20):
        mine = turn % 2
        for number in (0, 1):
            name = f"v{(number + mine) % 2}"
            assert rtnetlink.get_stats(name) == support.view(name, number)
            assert rtnetlink.dump_stats()[name] == support.view(name, number)
        net.rename(indexes[0], "between")
        net.rename(indexes[1], f"v{mine}")
        net.rename(indexes[0], f"v{1 - mine}")


def test_an_interface_deleted_after_its_look_up_is_not_found(net, rtnetlink):
    """The name is cached, but no link has its index."""
    support.add_patterned(net, 0)
    rtnetlink.get_stats("v0")
    net.delete("v0")
    with pytest.raises(InterfaceNotFoundError):
        rtnetlink.get_stats("v0")


def test_an_interface_that_moves_away_and_back_is_found_again(net, rtnetlink, new_namespace):
    other = new_namespace()
    support.add_patterned(net, 2)
    assert rtnetlink.get_stats("v2") == support.view("v2", 2)
    net.move("v2", other)
    with pytest.raises(InterfaceNotFoundError):
        rtnetlink.get_stats("v2")
    assert "v2" not in rtnetlink.dump_stats()
    original = support.network_namespace()
    try:
        with support.inside(other), support.Links() as links:
            links.move("v2", original)
    finally:
        os.close(original)
    assert rtnetlink.get_stats("v2") == support.view("v2", 2)
    assert rtnetlink.dump_stats()["v2"] == support.view("v2", 2)


def test_a_notification_with_our_own_port_and_number_is_not_the_answer(net, new_namespace):
    """A socket of this process elsewhere causes it: both ports are the id of the process."""
    blue = new_namespace()
    with support.inside(blue), support.Links() as links:
        support.add_patterned(links, 5)
    with (
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as elsewhere,
        RtnetlinkSocket(blue) as rtnetlink,
    ):
        elsewhere.bind((os.getpid(), 0))
        rtnetlink.get_stats("lo")  # from now on it hears notifications
        for number, call in enumerate((rtnetlink.get_stats, rtnetlink.get_link)):
            sequence = rtnetlink._native._sock.sequence + 1
            body = support._link() + support._name(f"br{number}")
            body += support._attribute(support.IFLA_NET_NS_FD, struct.pack("=i", blue))
            body += support._attribute(support.IFLA_LINKINFO, support._attribute(1, b"bridge"))
            flags = 0x600 | 8 | 4 | 1  # NLM_F_CREATE, _EXCL, _ECHO, _ACK, _REQUEST
            header = struct.pack("=IHHII", 16 + len(body), 16, flags, sequence, 0)
            elsewhere.send(header + body)
            assert struct.unpack_from("=i", elsewhere.recv(4096), 16) == (0,)
            found = call("v5")
            assert found.name == "v5"
            if call == rtnetlink.get_stats:
                assert found == support.view("v5", 5)


@pytest.mark.slow
def test_a_port_that_leaves_its_bridge_is_still_there(net, rtnetlink):
    """The kernel then sends RTM_DELLINK for the port, of family AF_BRIDGE."""
    support.add_patterned(net, 2)
    net.add_bridge("br0")
    rtnetlink.dump_stats()
    assert rtnetlink.get_stats("v2") == support.view("v2", 2)
    for _ in range(3):
        net.set_master("v2", "br0")
        assert rtnetlink.get_stats("v2").name == "v2"
        net.delete("br0")
        assert "v2" in rtnetlink.dump_stats()
        assert rtnetlink.get_stats("v2").name == "v2"
        assert "v2" in rtnetlink.dump_counters().names
        net.add_bridge("br0")


def test_an_interface_deleted_after_the_dump_of_names_is_left_out(net, rtnetlink, monkeypatch):
    """It is deleted after its counters have arrived and before the names are matched."""
    for number in range(3):
        support.add_patterned(net, number)
    native = sys.modules["pynetstrat._native.socket"].Socket
    dump = native.dump_stats

    def dump_and_delete(self, *, lasting):
        rows = dump(self, lasting=lasting)
        net.delete("v1")
        self.is_up("lo")  # an exchange, which receives the notification
        return rows

    rtnetlink.dump_stats()
    monkeypatch.setattr(native, "dump_stats", dump_and_delete)
    columns = rtnetlink.dump_counters()
    monkeypatch.undo()
    assert sorted(columns.names) == ["lo", "v0", "v2", "w0", "w2"]
    assert columns.counters.shape == (5, 8)
    rows = dict(zip(columns.names, columns.counters.tolist(), strict=True))
    for number in (0, 2):
        assert rows[f"v{number}"] == support.values(support.view("", number))
    assert rtnetlink.dump_counters().names == columns.names


def test_a_dump_is_answered_where_notifications_are_lost_at_every_attempt(
    net, rtnetlink, monkeypatch
):
    for number in range(3):
        support.add_patterned(net, number)
    expected = rtnetlink.dump_stats()
    native = sys.modules["pynetstrat._native.socket"].Socket
    monkeypatch.setattr(native, "has_changes", lambda self: True)
    monkeypatch.setattr(native, "take_changes", lambda self: None)
    for _ in range(2):
        assert rtnetlink.dump_stats() == expected
        table = rtnetlink.dump_counters()
        assert table.names == tuple(expected)
        assert table.ifindexes.tolist() == [socket.if_nametoindex(name) for name in expected]
        assert table.counters.tolist() == list(map(support.values, expected.values()))


@pytest.mark.slow
def test_dumps_are_right_while_interfaces_are_made_and_deleted(net):
    for number in range(4):
        support.add_patterned(net, number)
    done = threading.Event()

    def churn():
        try:
            with support.Links() as links:
                for turn in range(40):
                    links.add_veth(f"c{turn}", f"d{turn}", up=False)
                    if turn >= 3:
                        links.delete(f"c{turn - 3}")
        finally:
            done.set()

    def dump():
        with RtnetlinkSocket() as rtnetlink:
            while not done.is_set():
                try:
                    found = rtnetlink.dump_stats()
                except KernelError as error:
                    assert error.errno == errno.EAGAIN
                    continue
                assert found["lo"] == NetworkInterface("lo")
                for number in range(4):
                    assert found[f"v{number}"] == support.view(f"v{number}", number)

    support.run_threads(churn, dump)


class Swapping:
    """Two of many links exchange their names repeatedly, by way of a third name.

    Random pauses interrupt the exchanges: without them each exchange waits for the kernel's lock
    that the next datagram of a dump takes, so 16 dumps in a row may be inconsistent.
    """

    def __init__(self, names: tuple[str, str]) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._swap, args=names)

    def _swap(self, first: str, second: str) -> None:
        indexes = socket.if_nametoindex(first), socket.if_nametoindex(second)
        pauses = random.Random(1)
        with support.Links() as links:
            while not self._stop.is_set():
                for index, name in zip((*indexes, indexes[0]), ("x", first, second), strict=True):
                    links.rename(index, name)
                indexes = indexes[::-1]
                if pauses.random() < 0.2:
                    time.sleep(pauses.random() / 100)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def consistent(dump):
    """The result of a dump. One of which 16 in a row were inconsistent is repeated."""
    while True:
        try:
            return dump()
        except KernelError as error:
            assert error.errno == errno.EAGAIN


@pytest.mark.slow
def test_no_link_is_missing_in_dumps_while_links_exchange_names(net, rtnetlink):
    """They are the first and the last link of a dump that takes several datagrams."""
    for number in range(40):
        net.add_veth(f"v{number}", f"w{number}", up=False)
    with RtnetlinkSocket() as by_name, Swapping(("v0", "w39")):
        by_name._native.by_name_only = True
        by_counters = by_name.dump_stats, lambda: by_name.dump_counters().names
        everything = rtnetlink.dump_links, *by_counters
        for _ in range(50):
            for dump in everything:
                assert len(set(consistent(dump))) == 81


def test_a_dump_in_which_names_are_doubled_every_time_is_an_error(net, rtnetlink, monkeypatch):
    for number in range(2):
        net.add_veth(f"v{number}", f"w{number}", up=False)
    for module in ("links", "queries"):
        monkeypatch.setattr(f"pynetstrat._native.{module}.decode", lambda name: "v0")
    with pytest.raises(KernelError) as caught:
        rtnetlink.dump_links()
    assert (caught.value.errno, caught.value.operation) == (errno.EAGAIN, "RTM_GETLINK")
