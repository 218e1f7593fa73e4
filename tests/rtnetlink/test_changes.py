"""Changes by a socket that receives notifications, which could displace the acks."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import support
from support import CAP_NET_ADMIN, CAP_SYS_ADMIN

from pynetstrat import (
    Batch,
    BatchError,
    InterfaceNotFoundError,
    PermissionDeniedError,
    RtnetlinkSocket,
)


def groups() -> dict[int, int]:
    """Returns the multicast groups of each rtnetlink socket of this process, by its inode."""
    own = {
        int(target[8:-1])
        for target in support.descriptors().values()
        if target.startswith("socket:[")
    }
    # Columns: sk, Eth (the protocol), Pid, Groups, Rmem, Wmem, Dump, Locks, Drops, Inode.
    table = Path("/proc/thread-self/net/netlink")
    # While other processes make the kernel resize its table of sockets, a listing may lack one.
    lines = [line for _ in range(3) for line in table.read_text().splitlines()[1:]]
    rows = [line.split() for line in lines]
    return {int(row[9]): int(row[3], 16) for row in rows if row[1] == "0" and int(row[9]) in own}


@pytest.fixture
def counting(net):
    """A socket that has read counters, and so receives notifications."""
    with RtnetlinkSocket() as rtnetlink:
        rtnetlink.get_stats("lo")
        rtnetlink.dump_counters()
        yield rtnetlink


def add_bridge(rtnetlink: RtnetlinkSocket, name: str = "br0") -> int:
    rtnetlink.execute(Batch().add_bridge(name))
    return rtnetlink.get_link(name).index


def add_pairs(bridge: int, count: int, prefix: str = "v") -> Batch:
    batch = Batch()
    for number in range(count):
        batch.add_veth(f"{prefix}{number}", f"w{prefix}{number}", up=True, master=bridge)
    return batch


@contextlib.contextmanager
def without_descriptors() -> Iterator[None]:
    """No further descriptor can be opened."""
    free = os.dup(0)
    os.close(free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 8, 14, 26, 60, 300])
def test_no_ack_is_lost_of_many_pairs_made_at_once(counting, count):
    bridge = add_bridge(counting)
    counting.execute(add_pairs(bridge, count))
    assert len(counting.dump_links()) == 2 + 2 * count
    assert counting.get_stats("v0").name == "v0"


def test_no_ack_is_lost_of_a_group_of_many_links(counting):
    batch = Batch()
    for number in range(150):
        batch.add_link(f"i{number}", "ifb")
    counting.execute(batch)
    indexes = [link.index for name, link in counting.dump_links().items() if name != "lo"]
    grouped = Batch()
    for index in indexes:
        grouped.set_group(index, 7)
    counting.execute(grouped)
    counting.execute(Batch().delete_group(7))
    assert list(counting.dump_links()) == ["lo"]


@pytest.mark.slow
def test_no_ack_is_lost_of_many_ports_that_are_deleted(counting):
    bridge = add_bridge(counting)
    counting.execute(add_pairs(bridge, 40))
    batch = Batch()
    for number in range(20):
        batch.delete_link(f"v{number}")
    counting.execute(batch)
    counting.delete_links([f"v{number}" for number in range(20, 40)])
    assert sorted(counting.dump_links()) == ["br0", "lo"]


def test_a_socket_that_counts_makes_its_changes_by_another(net):
    """The second socket is opened only when needed, and never joins a group."""
    before = groups()
    with RtnetlinkSocket() as rtnetlink:
        rtnetlink.link_set_up("lo")
        assert list(groups().items() - before.items()) == [
            (inode, 0) for inode in groups().keys() - before.keys()
        ]
        rtnetlink.get_stats("lo")
        assert sorted(groups()[inode] for inode in groups().keys() - before.keys()) == [1]
        rtnetlink.link_set_down("lo")
        rtnetlink.link_set_up("lo")
        rtnetlink.execute(add_pairs(add_bridge(rtnetlink), 2))
        rtnetlink.delete_links(["v0", "v1"])
        assert sorted(groups()[inode] for inode in groups().keys() - before.keys()) == [0, 1]
    assert groups() == before


def test_counters_are_as_new_as_the_changes_before_them(net, counting):
    """The change and the counters use two sockets, and no other link's counters are returned."""
    for number in range(2):
        support.add_patterned(net, number)
    index = counting.get_link("v0").index
    for turn in range(50):
        name = f"a{turn}"
        counting.execute(Batch().set_link(index, up=False).set_link(index, new_name=name, up=True))
        assert counting.get_stats(name) == support.view(name, 0)
        assert counting.dump_stats()[name] == support.view(name, 0)
        gone = "v0" if turn == 0 else f"a{turn - 1}"
        with pytest.raises(InterfaceNotFoundError):
            counting.get_stats(gone)


def test_a_socket_of_another_namespace_makes_its_changes_there(net, new_namespace):
    there = new_namespace()
    with support.inside(there), support.Links() as links:
        support.add_patterned(links, 3)
    with RtnetlinkSocket(there) as rtnetlink:
        assert rtnetlink.get_stats("v3") == support.view("v3", 3)
        rtnetlink.link_set_down("v3")
        assert not rtnetlink.link_is_up("v3")
        rtnetlink.execute(Batch().delete_link("v3"))
        assert list(rtnetlink.dump_links()) == ["lo"]


def test_a_thread_elsewhere_makes_changes_where_the_socket_is(net, counting, new_namespace):
    there = new_namespace()
    net.add_veth("v0", "w0", up=False)

    def work():
        with support.inside(there):
            counting.link_set_up("v0")
            counting.execute(Batch().add_bridge("br0"))

    support.run_threads(work)
    assert counting.link_is_up("v0")
    assert "br0" in counting.dump_links()
    with RtnetlinkSocket(there) as other:
        assert list(other.dump_links()) == ["lo"]


def test_without_a_spare_descriptor_no_ack_is_lost_and_no_name_is_stale(net):
    """The only socket leaves its group for the change, and names are looked up again."""
    for number in range(3):
        support.add_patterned(net, number)
    with RtnetlinkSocket() as rtnetlink:
        indexes = [rtnetlink.get_link(f"v{number}").index for number in range(2)]
        bridge = add_bridge(rtnetlink)
        for number in range(3):
            assert rtnetlink.get_stats(f"v{number}") == support.view(f"v{number}", number)
        rtnetlink.dump_counters()
        with without_descriptors():
            for index, name in zip([*indexes, indexes[0]], ("x", "v0", "v1"), strict=True):
                rtnetlink.execute(
                    Batch().set_link(index, up=False).set_link(index, new_name=name, up=True)
                )
            assert rtnetlink.get_stats("v0") == support.view("v0", 1)
            assert rtnetlink.get_stats("v1") == support.view("v1", 0)
            assert rtnetlink.dump_stats()["v1"] == support.view("v1", 0)
            rtnetlink.execute(add_pairs(bridge, 40, "p"))
            assert len(rtnetlink.dump_links()) == 8 + 80
        rtnetlink.link_set_up("v2")
        assert rtnetlink.get_stats("v2") == support.view("v2", 2)


def test_without_capabilities_a_link_that_is_up_is_set_up_after_counting(net, new_namespace):
    """The thread may also be in another namespace, and not allowed to enter the socket's."""
    there = new_namespace()
    net.set_up("lo")

    def work():
        with support.without(CAP_NET_ADMIN, CAP_SYS_ADMIN):
            counting.link_set_up("lo")
            with pytest.raises(PermissionDeniedError):
                counting.link_set_down("lo")
            assert counting.get_stats("lo").name == "lo"

    def work_elsewhere():
        with support.inside(there):
            work()

    with RtnetlinkSocket() as counting:
        counting.get_stats("lo")
        support.run_threads(work_elsewhere)
        support.run_threads(work)
        assert counting.link_is_up("lo")


def test_many_threads_change_links_and_read_counters(net, counting):
    for number in range(4):
        support.add_patterned(net, number)
    stop = threading.Event()

    def change(number):
        for _ in range(100):
            counting.link_set_down(f"w{number}")
            counting.link_set_up(f"w{number}")

    def count():
        while not stop.is_set():
            for number in range(4):
                assert counting.get_stats(f"v{number}") == support.view(f"v{number}", number)
            assert len(counting.dump_stats()) == 9

    counter = threading.Thread(target=count)
    counter.start()
    try:
        support.run_threads(*(lambda number=number: change(number) for number in range(4)))
    finally:
        stop.set()
        counter.join()


def test_a_refusal_after_counting_is_reported_as_before(counting):
    with pytest.raises(BatchError) as caught:
        counting.execute(Batch().add_bridge("br0").add_bridge("br0"))
    assert caught.value.item == 1
    assert 'the name "br0" is already in use in this namespace' in str(caught.value)
